package scheduler

import (
	"time"

	"github.com/gristmill-zk/gristmill/wire"
)

// Task is a task as the chain sees it and what this prover does about it.
type Task struct {
	ID wire.Hash `json:"id"`
	View

	// State is how far this prover has come.
	State State `json:"state"`
	// Attempt is the newest attempt's number, from 1; 0 before the first.
	Attempt uint32 `json:"attempt"`
	// Solves says that an attempt found a witness, so the offer is accepted.
	Solves bool `json:"solves"`
	// Reason says in words why the task is in its state.
	Reason string `json:"reason"`
	// Tx is the settlement's transaction, Gas what it used; zero before.
	Tx  wire.Hash `json:"tx"`
	Gas uint64    `json:"gas"`

	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`

	answer   answer // what was said to the offer
	opened   uint32 // number of the offer the work belongs to
	failures uint32 // in a row, of what the state waits for
	nextAt   time.Time
	envelope []byte // verified proof, empty before
	// envelopeSum is SHA-256 of the envelope as it was verified; empty for one
	// that an older version stored.
	envelopeSum []byte
}

// View is what the chain's events say about a task.
type View struct {
	Status ChainStatus `json:"chain_status"`

	Project        uint64       `json:"project"`
	Version        uint32       `json:"version"`
	Count          uint32       `json:"count"`
	DataCommitment wire.Hash    `json:"data_commitment"`
	DataHash       wire.Hash    `json:"data_hash"`
	Size           uint32       `json:"size"`
	Height         uint64       `json:"height"`
	Operator       wire.Address `json:"operator"`

	// Prover holds the task: offered to, accepted or settled by.
	Prover wire.Address `json:"prover"`
	// Offer counts the offers and waits so far, from 1.
	Offer uint32 `json:"offer"`
	// Draw is the contract's attempt number of the offer.
	Draw uint32 `json:"draw"`
	// AcceptBy and Deadline are unix seconds; 0 when the status has none.
	AcceptBy uint64 `json:"accept_by"`
	Deadline uint64 `json:"deadline"`
	// SettleTx is the transaction that settled the task.
	SettleTx wire.Hash `json:"settle_tx"`
	// Why is the chain's reason for a task that is dead or skipped.
	Why string `json:"why"`
}

// due is when something is lost without a proof: the offer, or the bond of a
// task that was accepted. In unix seconds; 0 when nothing is.
func (v *View) due() uint64 {
	switch v.Status {
	case ChainOffered:
		return v.AcceptBy
	case ChainAccepted:
		return v.Deadline
	default:
		return 0
	}
}

// ChainStatus is a task's status on chain.
type ChainStatus string

// The statuses the chain gives. Gone is a task whose block a reorganisation
// removed.
const (
	ChainGone     ChainStatus = "gone"
	ChainMined    ChainStatus = "mined"
	ChainSkipped  ChainStatus = "skipped"
	ChainWaiting  ChainStatus = "waiting"
	ChainOffered  ChainStatus = "offered"
	ChainAccepted ChainStatus = "accepted"
	ChainSettled  ChainStatus = "settled"
	ChainRecalled ChainStatus = "recalled"
	ChainDead     ChainStatus = "dead"
)

// answer is what this prover told the chain about the present offer.
type answer string

const (
	unanswered answer = ""
	answering  answer = "answering" // a batch with it is, or is about to be, sent
	answered   answer = "answered"  // the receipt was seen
)

// Attempt is one try to solve and prove a task.
type Attempt struct {
	Number uint32       `json:"attempt"`
	State  AttemptState `json:"state"`
	Worker string       `json:"worker"`
	Reason string       `json:"reason"`
	// Progress is what it has come to in the words of its worker and plugin, the
	// newest last; for people.
	Progress  string    `json:"progress"`
	StartedAt time.Time `json:"started_at"`
	EndedAt   time.Time `json:"ended_at"`
}

// AttemptState is how one attempt fares.
type AttemptState string

// The states of an attempt.
const (
	// AttemptNew: numbered in the store, maybe not in the queue yet.
	AttemptNew AttemptState = "new"
	// AttemptSent: in the queue.
	AttemptSent AttemptState = "sent"
	// AttemptSolved: reported a witness.
	AttemptSolved AttemptState = "solved"
	// AttemptProved: its proof verified.
	AttemptProved AttemptState = "proved"
	// AttemptFailed: reported an error, or a proof that does not verify.
	AttemptFailed AttemptState = "failed"
	// AttemptLost: its worker fell silent or the queue forgot it.
	AttemptLost AttemptState = "lost"
	// AttemptStopped: not needed any more.
	AttemptStopped AttemptState = "stopped"
)

// Running says whether a worker may still be busy with the attempt.
func (s AttemptState) Running() bool {
	return s == AttemptNew || s == AttemptSent || s == AttemptSolved
}

// Step is one row of a task's history.
type Step struct {
	At      time.Time `json:"at"`
	State   State     `json:"state"`
	Attempt uint32    `json:"attempt"`
	Reason  string    `json:"reason"`
}

// mine says whether the chain holds prover to the task or offers it to it.
func (v *View) mine(prover wire.Address) bool {
	return v.Prover == prover && (v.Status == ChainOffered || v.Status == ChainAccepted)
}

// reached is the state that what is on disk justifies.
func (t *Task) reached(haveBody bool) State {
	switch {
	case len(t.envelope) > 0:
		return Proved
	case haveBody:
		return Fetched
	}
	return Discovered
}
