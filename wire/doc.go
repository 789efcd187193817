// Package wire holds the bytes that every part of gristmill agrees on:
// device messages, bodies, tasks, blocks, public inputs, proofs and the
// envelopes that travel through the queue; how each is encoded, hashed, signed
// and checked. docs/protocol.md is the prose of the same rules and
// wire/testdata pins both, for Go, circuits, Solidity and JavaScript alike.
//
// The package is authoritative for encodings and digests and for nothing else:
// whether a project exists, a device is listed or a nonce is fresh is asked of
// the chain and of the sequencer's store.
//
// Everything here is pure: no clock, no network, no files, no global state that
// changes. Every decoder takes bytes from outside: it accepts exactly one
// encoding of a value, allocates no more than the input's size justifies and
// answers anything else with a [*Reject] that names the field.
//
// Integers are big-endian except inside Bitcoin's header. fr is the scalar
// field of BN254.
package wire
