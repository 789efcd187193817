// Package chain is everything that talks to the EVM: the client, the typed
// view of one deployment of the contracts (reads, calldata, events) and the
// idempotent deployment itself.
//
// The chain is the authority on which tasks exist, to whom they are assigned
// and whether they are settled; this package only reads it and prepares calls.
// Transactions go out through a [Sender] (package txmgr), logs come in through
// package cursor, and package devnet is a chain in a process.
//
// Failures: an endpoint that cannot be reached is an ordinary wrapped error
// and may be retried; a call the contracts refused is a [*RevertError] that
// carries the contract's own error by name. Nothing here retries.
package chain
