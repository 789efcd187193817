// Command coldchain is a gristmill circuit plugin. See README.md for what its
// proofs say.
package main

import (
	"github.com/gristmill-zk/gristmill/plugins/scaffold/template/circuit"
	"github.com/gristmill-zk/gristmill/plugins/sdk"
)

func main() { sdk.Main(circuit.Project()) }
