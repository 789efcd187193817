package scheduler

import "time"

// EventKind says what an [Event] reports.
type EventKind string

// What is reported.
const (
	// StateChanged: the task is in another state.
	StateChanged EventKind = "state"
	// OfferAccepted: the acceptance of the offer is on chain.
	OfferAccepted EventKind = "accepted"
	// ReceiptSeen: the settlement's transaction and gas are known. It may
	// come before or after the change to settled.
	ReceiptSeen EventKind = "receipt"
)

// Event is something durable that happened to a task of this prover. After a
// crash the last events before it may be missing.
type Event struct {
	At   time.Time
	Kind EventKind
	// From is the state before, for StateChanged.
	From State
	// Task is the task after it.
	Task Task
}
