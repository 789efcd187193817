// Package node puts gristmill's services together into processes.
//
// It is the only package that knows all of them: each role (sequencer, miner,
// scheduler, worker, devnet) as a process of its own, and [Up], which runs all
// of them in one process over an embedded chain and an embedded queue.
//
// All state of a node lives below one data directory ([DataDir]); nothing is
// kept elsewhere. The chain is authoritative for what tasks exist and who is
// paid; a data directory can lose anything but its keys and its acknowledged
// messages without losing money.
//
// The bootstrap of an embedded deployment is a list of steps. Each looks at
// the chain (or the disk) first, does what is missing under a fixed
// idempotency key, and leaves nothing half done that the next start could not
// finish: the process may be killed anywhere in it.
package node
