// Package bindings holds the Go bindings of the contracts, generated from their sources by scripts/generate.sh.
//
// bindings.go carries the bytecode too, so that deploying needs no compiler. The sources in contracts/src are
// authoritative: never edit bindings.go.
package bindings
