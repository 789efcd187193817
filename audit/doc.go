// Package audit re-checks a whole deployment from genesis, believing nobody.
//
// It reads what the contracts emitted, the bodies that the tasks commit to and
// the registered verifying keys, and computes everything again in Go: headers,
// proof of work, difficulty, merkle roots with every task leaf (skipped ones
// included), coinbases, authorisations, bodies by hash, device signatures and
// allow-lists at the time of the block, commitments, proofs and payments.
//
// What sequencers and provers keep of it themselves (blocks, bodies, proof
// envelopes) is compared with the chain, where it can be asked for. The end is
// pinned: the minter's tip and the escrow's sums at the block of the EVM chain
// that the events were read up to must be what the events lead to.
//
// The first thing that is wrong ends the audit as a [*Finding] that says where
// it is. Trouble in reading (an endpoint that is down) is an ordinary error:
// it says nothing about the deployment. A body that nobody serves is a finding
// when its task was accepted or settled: somebody was paid for it.
package audit
