// Package check tells whether an engine proves rightly, with circuits and keys
// of its own: for self-tests of engine programs, for bringing a device back that
// was taken out of service, and for the check of a GPU host (gpucheck below).
// Keys are made on the spot and worth nothing.
//
// The judge is gnark's verifier, and beside it the CPU engine: key, solution and
// blinding determine a proof, so any difference is a fault.
package check
