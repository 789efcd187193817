// Package scheduler is the prover's side of a task: it discovers the tasks the
// chain offers to this prover, fetches and checks their data, has workers
// solve and prove them, verifies what comes back and settles it on chain.
//
// Who is authoritative. The chain says which tasks exist, whose they are and
// whether they are settled; the scheduler keeps every event about a task and
// derives the chain's view of it from those, so that a reorganisation is the
// same fold over fewer events. The store says what this prover does about a
// task; every attempt has a number that fences it. The queue only carries
// envelopes and may lose all of them.
//
// A task's states and the ways between them are the table in state.go. The
// acceptance of an offer is sent once an attempt reported that the circuit
// solves, beside the proving. A proof reaches the state proved only after it
// verified against the key that the project version pins, and is verified
// again from disk before gas is paid.
//
// On failure: a service that meets an error logs it, and tries again; an
// unreachable chain or queue stops progress and nothing else. A crash at any
// write, send or receipt is repaired by the reconciler and by idempotent
// sends: the same key never makes a second transaction.
package scheduler
