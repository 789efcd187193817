package worker

import (
	"time"

	"github.com/gristmill-zk/gristmill/wire"
)

// EventKind says what happened to an attempt.
type EventKind string

// The kinds of events, in the order in which an attempt that goes well has
// them. Each ends with EventProved, EventFailed or EventDropped.
const (
	EventTaken    EventKind = "taken"
	EventFetched  EventKind = "fetched"
	EventSolved   EventKind = "solved"
	EventProved   EventKind = "proved"   // and verified, and reported
	EventBadProof EventKind = "badproof" // a device failed it, or it does not verify; another try may follow
	EventFailed   EventKind = "failed"
	EventDropped  EventKind = "dropped" // not wanted any more, or here twice
)

// Event is something that happened to an attempt.
type Event struct {
	Kind    EventKind
	TaskID  wire.Hash
	Attempt uint32
	Project uint64
	// Took is how long the step took.
	Took time.Duration
	Err  error
}
