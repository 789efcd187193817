//go:build !icicle

// Command gristmill-engine-icicle, built without ICICLE, only says so.
package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "gristmill-engine-icicle: this program was built without ICICLE: build it with make icicle-cpu or make icicle-cuda")
	os.Exit(1)
}
