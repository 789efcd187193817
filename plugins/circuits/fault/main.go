// Command fault is a plugin that misbehaves on request. It is for trying out
// what a worker does about it, and never for real data.
package main

import "github.com/gristmill-zk/gristmill/plugins/circuits/fault/circuit"

func main() { circuit.Main() }
