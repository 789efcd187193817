// Package devnet is an EVM chain inside the process: go-ethereum's node with
// JSON-RPC on a loopback port, no peers and no consensus, for one machine.
//
// Pending transactions are sealed at most once per second and an empty block
// every ten seconds, so block.timestamp is the wall's clock.
//
// The authority on the chain is our own log of sealed blocks: every block is
// in it, fsync'd, before anybody can see it. go-ethereum's database keeps its
// newest blocks in memory and may lose them when the process is killed; what
// it lacks at start is imported from the log again, and a database that cannot
// be used is rebuilt from the log. A torn last record (the machine died while
// writing) is cut off with a warning; damage anywhere else is an error that
// names the record, because silently losing a block in the middle would lose
// everything after it.
package devnet
