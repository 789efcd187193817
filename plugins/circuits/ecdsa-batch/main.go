// Command ecdsa-batch is the circuit plugin for messages of secure elements,
// which sign with P-256. See the README beside it for what its proofs say.
package main

import (
	"github.com/gristmill-zk/gristmill/plugins/circuits/ecdsa-batch/circuit"
	"github.com/gristmill-zk/gristmill/plugins/sdk"
)

func main() { sdk.Main(circuit.Project()) }
