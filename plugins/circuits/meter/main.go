// Command meter is the circuit plugin for signed energy readings. See the
// README beside it for what its proofs say.
package main

import (
	"github.com/gristmill-zk/gristmill/plugins/circuits/meter/circuit"
	"github.com/gristmill-zk/gristmill/plugins/sdk"
)

func main() { sdk.Main(circuit.Project()) }
