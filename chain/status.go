package chain

import "strconv"

// Status is how far the chain has brought a task.
type Status uint8

// The states of a task on chain.
const (
	StatusNone Status = iota
	StatusWaiting
	StatusOffered
	StatusAccepted
	StatusSettled
	StatusRecalled
	StatusDead
)

var statusNames = [...]string{"none", "waiting", "offered", "accepted", "settled", "recalled", "dead"}

func (s Status) String() string { return nameOf(statusNames[:], uint8(s)) }

// SkipReason is why a task in a block was not taken.
type SkipReason uint8

// The reasons for which a task is skipped.
const (
	SkipNone SkipReason = iota
	SkipUnknownVersion
	SkipProjectPaused
	SkipBadAuthorisation
	SkipExpired
	SkipDuplicateData
	SkipInsufficientFunds
	SkipBadCount
	SkipBadSize
	SkipBadCommitment
)

var skipNames = [...]string{"none", "unknown version", "project paused", "bad authorisation", "expired", "duplicate data",
	"insufficient funds", "bad count", "bad size", "bad commitment"}

func (r SkipReason) String() string { return nameOf(skipNames[:], uint8(r)) }

// DeadReason is why a task ended with nobody.
type DeadReason uint8

// The reasons for which a task dies.
const (
	DeadNone DeadReason = iota
	DeadOffersExhausted
	DeadInsufficientFunds
)

var deadNames = [...]string{"none", "offers exhausted", "insufficient funds"}

func (r DeadReason) String() string { return nameOf(deadNames[:], uint8(r)) }

func nameOf(names []string, v uint8) string {
	if int(v) < len(names) {
		return names[v]
	}
	return "unknown (" + strconv.Itoa(int(v)) + ")"
}
