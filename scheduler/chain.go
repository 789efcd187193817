package scheduler

import (
	"context"
	"math/big"
	"time"

	"github.com/gristmill-zk/gristmill/wire"
)

// Chain is what the scheduler needs of a deployment. [NewChain] is the real
// one. Errors are transient unless they are chain.ErrReverted.
type Chain interface {
	// Deployment names the contracts.
	Deployment() wire.Deployment
	// Next gives the task events after position, nil being the start. With
	// nothing new it returns at once.
	Next(ctx context.Context, position []byte) (Batch, error)
	// Version is a project's version; versions never change.
	Version(ctx context.Context, project uint64, version uint32) (Version, error)
	// VerifyingKey is the registered key with that id.
	VerifyingKey(ctx context.Context, id wire.Hash) ([]byte, error)
	// DeviceAllowed asks the project's allow-list.
	DeviceAllowed(ctx context.Context, project uint64, device wire.Hash) (bool, error)
	// URLs are the data endpoints that an account registered: an operator of
	// blocks or a sequencer key.
	URLs(ctx context.Context, account wire.Address) ([]string, error)
	// Record is the task as the head block has it; the zero record if the
	// head does not know it.
	Record(ctx context.Context, task wire.Hash) (Record, error)
	// Self is this prover's registration.
	Self(ctx context.Context) (Self, error)
	// OptedIn asks whether this prover takes the project's tasks.
	OptedIn(ctx context.Context, project uint64) (bool, error)
	// Time is the head block's, in unix seconds.
	Time(ctx context.Context) (uint64, error)
	// Lag is how long after its block an event is seen, the confirmations that
	// are waited for at the pace of the latest blocks.
	Lag(ctx context.Context) (time.Duration, error)
	// Send puts a call on chain exactly once for each key.
	Send(ctx context.Context, key string, call Call) (Receipt, error)
	// Await returns as Send does for the call that was sent with that key,
	// whatever it says; the zero receipt if none was, so that none can land.
	Await(ctx context.Context, key string) (Receipt, error)
	// Receipt is that of a transaction known to be on chain.
	Receipt(ctx context.Context, tx wire.Hash) (Receipt, error)
}

// Batch is a stretch of the chain.
type Batch struct {
	// Events in chain order; none when Rollback is set.
	Events []ChainEvent
	// Next is the position to store with the effects.
	Next []byte
	// Rollback, when set: forget the events above this block.
	Rollback *uint64
	// More says that further events are ready.
	More bool
}

// ChainEventKind names what happened to a task.
type ChainEventKind string

// What happens to tasks on chain.
const (
	EventMined      ChainEventKind = "mined"
	EventSkipped    ChainEventKind = "skipped"
	EventWaiting    ChainEventKind = "waiting"
	EventOffered    ChainEventKind = "offered"
	EventAccepted   ChainEventKind = "accepted"
	EventDeclined   ChainEventKind = "declined"
	EventMissed     ChainEventKind = "missed"
	EventReassigned ChainEventKind = "reassigned"
	EventSettled    ChainEventKind = "settled"
	EventRecalled   ChainEventKind = "recalled"
	EventDead       ChainEventKind = "dead"
)

// ChainEvent is one event about one task. Fields that the kind does not have
// are zero.
type ChainEvent struct {
	Kind  ChainEventKind `json:"kind"`
	Block uint64         `json:"-"`
	Index uint           `json:"-"`
	Task  wire.Hash      `json:"-"`
	Tx    wire.Hash      `json:"tx"`

	Mined    *Mined       `json:"mined,omitempty"`
	Prover   wire.Address `json:"prover"`
	Draw     uint32       `json:"draw,omitempty"`
	AcceptBy uint64       `json:"accept_by,omitempty"`
	Deadline uint64       `json:"deadline,omitempty"`
	Reason   string       `json:"reason,omitempty"`
}

// Mined is the task that a block brought.
type Mined struct {
	Project        uint64       `json:"project"`
	Version        uint32       `json:"version"`
	Count          uint32       `json:"count"`
	DataCommitment wire.Hash    `json:"data_commitment"`
	DataHash       wire.Hash    `json:"data_hash"`
	Size           uint32       `json:"size"`
	Height         uint64       `json:"height"`
	Operator       wire.Address `json:"operator"`
}

// Version is what a project version fixes for a prover.
type Version struct {
	VKID         wire.Hash
	BundleDigest wire.Hash
	BundleURI    string
	BatchSize    uint32
	PayloadLimit uint32
	Outputs      uint16
	// AcceptWindow is how long an offer stands for certain.
	AcceptWindow time.Duration
	// ProveWindow is the time from acceptance to the deadline.
	ProveWindow time.Duration
	// Reward of a settled task, all shares included, in the smallest unit of
	// the project's token; nil is none.
	Reward *big.Int
}

// Record is a task as the head has it.
type Record struct {
	Status   ChainStatus // ChainGone when the head does not know the task
	Prover   wire.Address
	Draw     uint32
	AcceptBy uint64
	Deadline uint64
	// Sequencer is the key that authorised the task.
	Sequencer wire.Address
}

// Self is this prover's registration.
type Self struct {
	Joined bool
	Paused bool
	// Idle is set by the chain when an offer passed unanswered: nothing is
	// offered until the prover resumes.
	Idle bool
	// Free is how many more tasks it may hold.
	Free uint32
}

// CallKind names a call that a prover makes.
type CallKind string

// The calls a prover makes.
const (
	CallAccept   CallKind = "accept"
	CallDecline  CallKind = "decline"
	CallSettle   CallKind = "settle"
	CallAdvance  CallKind = "advance"
	CallClaim    CallKind = "claim"
	CallReassign CallKind = "reassign"
	CallResume   CallKind = "resume"
)

// Call is one call. Accept takes many tasks, resume none, the rest one.
type Call struct {
	Kind    CallKind
	Tasks   []wire.Hash
	Proof   wire.Proof
	Outputs []wire.Hash
}

// Receipt is a mined transaction.
type Receipt struct {
	Tx  wire.Hash
	Gas uint64
}
