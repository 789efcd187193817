// Package client is what a device or a dApp uses: it asks a sequencer for the
// deployment and a project, signs messages, sends them and follows them to
// their settlement.
//
// The sequencer is authoritative for what it has taken, the chain for what is
// settled. A message is safe once Send returns without error: the sequencer
// answers only after it is on disk.
//
// Requests are repeated after 429, 5xx and network errors, within the
// context's time. That is harmless: a message's bytes name it, and bytes that
// the sequencer has already are a success with Duplicate set. Every other
// answer is an *Error with the protocol's code.
package client
