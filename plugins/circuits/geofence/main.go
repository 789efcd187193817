// Command geofence is the circuit plugin for signed positions inside a fence.
// See the README beside it for what its proofs say.
package main

import (
	"fmt"
	"os"

	"github.com/gristmill-zk/gristmill/plugins/circuits/geofence/circuit"
	"github.com/gristmill-zk/gristmill/plugins/sdk"
)

func main() {
	project, err := circuit.Project()
	if err != nil {
		fmt.Fprintln(os.Stderr, "geofence:", err)
		os.Exit(1)
	}
	sdk.Main(project)
}
