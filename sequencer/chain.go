package sequencer

import (
	"context"
	"errors"
	"math/big"

	"github.com/gristmill-zk/gristmill/wire"
)

// ErrNoProject is what Chain.Project gives for a project the chain does not
// have, or that has no version yet.
var ErrNoProject = errors.New("no such project")

// BlockError is a block that the chain refused for good.
type BlockError struct {
	// Name is the contract's error, as in NotTip.
	Name string
	Err  error
}

func (e *BlockError) Error() string { return e.Err.Error() }

func (e *BlockError) Unwrap() error { return e.Err }

// Chain is what the sequencer needs of a deployment of the contracts. OpenChain
// gives the real one.
type Chain interface {
	Deployment() wire.Deployment
	// Minter is the contract that blocks are for.
	Minter() wire.Address
	// Operator is the account that sends blocks.
	Operator() wire.Address
	// MaxTasks is how many tasks a block may carry.
	MaxTasks() int

	// Tip is the newest mined block and the nBits its child must have.
	Tip(ctx context.Context) (Tip, error)
	// Projects counts the projects; their ids start at 1 and have no gaps.
	Projects(ctx context.Context) (uint64, error)
	Project(ctx context.Context, project uint64) (Project, error)
	Terms(ctx context.Context, project uint64, version uint32) (Terms, error)
	// Funds is the project's free escrow in a token.
	Funds(ctx context.Context, project uint64, token wire.Address) (*big.Int, error)
	IsSequencer(ctx context.Context, project uint64, key wire.Address) (bool, error)
	DeviceAllowed(ctx context.Context, project uint64, device wire.Hash) (bool, error)
	// BlockTime is the time, in seconds since 1970, of an EVM block.
	BlockTime(ctx context.Context, number uint64) (uint64, error)

	// Mint submits a block and returns when it stands, or a *BlockError when
	// the chain refused it. Calling it again with the same key and block never
	// makes a second transaction. Any other error says nothing.
	Mint(ctx context.Context, key string, b SolvedBlock) (Receipt, error)
	// Follow calls apply for every batch of events after position (nil: from
	// the start) until ctx ends or apply fails. apply stores the batch's
	// position together with its effects.
	Follow(ctx context.Context, position []byte, apply func(context.Context, Batch) error) error
}

// Tip is the end of the chain of mined blocks.
type Tip struct {
	Hash   wire.Hash
	Height uint64
	Time   uint32
	// NextBits is what the next block's header must say.
	NextBits uint32
}

// Project is the changeable part of a project.
type Project struct {
	Paused bool
	// Version is the current version's number.
	Version uint32
}

// Terms is the part of a project version that concerns a sequencer.
type Terms struct {
	BatchSize    uint32
	PayloadLimit uint32
	// MaxWait is how many seconds the oldest message of a batch may wait.
	MaxWait uint32
	// Token and Reward are what one settled task costs the project.
	Token  wire.Address
	Reward *big.Int
}

// SolvedBlock is what the minter contract takes.
type SolvedBlock struct {
	Header   wire.Header
	Coinbase []byte
	Tasks    []wire.Task
}

// Receipt says where a block's transaction stands.
type Receipt struct {
	Tx    wire.Hash
	Block uint64 // EVM block number
	Gas   uint64
}

// Batch is a run of events in chain order.
type Batch struct {
	// Rollback, when set: everything above this EVM block is undone. Such a
	// batch has no events.
	Rollback *uint64
	Events   []ChainEvent
	// Number is the EVM block up to which everything has been given out.
	Number uint64
	// Position is what Follow goes on from.
	Position []byte
}

// EventKind names a chain event.
type EventKind string

// The events that the sequencer acts on.
const (
	KindBlockMined     EventKind = "block"
	KindTaskMined      EventKind = "mined"
	KindTaskSkipped    EventKind = "skipped"
	KindTaskOffered    EventKind = "offered"
	KindTaskWaiting    EventKind = "waiting"
	KindTaskAccepted   EventKind = "accepted"
	KindTaskSettled    EventKind = "settled"
	KindTaskRecalled   EventKind = "recalled"
	KindTaskDead       EventKind = "dead"
	KindProjectChanged EventKind = "project"
)

// ChainEvent is one log.
type ChainEvent struct {
	Block uint64 // EVM block number
	Index uint   // of the log in its block
	Tx    wire.Hash
	Kind  EventKind

	// Task is set for every task event, Project for KindProjectChanged.
	Task    wire.Hash
	Project uint64
	// Leaf is set for KindTaskMined: the leaf as the block has it. Whoever
	// mined it may have written anything into it.
	Leaf *wire.Task
	// Height is the block's height, for KindTaskMined and KindBlockMined.
	Height uint64
	// Reason is why a task was skipped or died: the contract's name for it.
	Reason string
	// Mined is set for KindBlockMined.
	Mined *MinedBlock
}

// MinedBlock is a block as the minter contract announced it.
type MinedBlock struct {
	Hash        wire.Hash
	Height      uint64
	Operator    wire.Address
	Beneficiary wire.Address
	Tasks       uint32
	Reward      *big.Int
	Header      []byte
	Coinbase    []byte
}
