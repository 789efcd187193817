package sequencer

import (
	"time"

	"github.com/gristmill-zk/gristmill/wire"
)

// Event is something an observer may want to show. The types that implement it
// are MessagesAccepted, BatchMade, JobOffered, BlockFound, BlockLanded,
// BlockLost, TaskChanged and MessagesRefused.
type Event interface{ event() }

// MessagesAccepted tells of messages that are on disk.
type MessagesAccepted struct {
	IDs      []wire.Hash
	Projects []uint64 // of each message
}

// BatchMade tells of a new body.
type BatchMade struct {
	Project  uint64
	Messages int
	Size     int
	DataHash wire.Hash
	Waited   time.Duration // since its oldest message came in
}

// JobOffered tells of a new template for miners.
type JobOffered struct {
	Height uint64
	Parent wire.Hash
	Bits   uint32
	Tasks  int
}

// BlockFound tells of a solved block that is journalled and about to be sent.
type BlockFound struct {
	Hash   wire.Hash
	Height uint64
	Bits   uint32
	Tasks  []wire.Hash
}

// BlockLanded tells of a block that stands on chain.
type BlockLanded struct {
	Hash   wire.Hash
	Height uint64
	Tasks  int
	Tx     wire.Hash
	Gas    uint64
}

// BlockLost tells of a block that the chain refused; its tasks go into the next.
type BlockLost struct {
	Hash   wire.Hash
	Height uint64
	Reason string
}

// TaskChanged tells of what the chain did with a task of ours.
type TaskChanged struct {
	Task     wire.Hash
	DataHash wire.Hash
	State    string
	Reason   string
	Messages int
}

// MessagesRefused tells of acknowledged messages that end without a settlement.
type MessagesRefused struct {
	Project uint64
	Count   int
	Reason  string
}

func (MessagesAccepted) event() {}
func (BatchMade) event()        {}
func (JobOffered) event()       {}
func (BlockFound) event()       {}
func (BlockLanded) event()      {}
func (BlockLost) event()        {}
func (TaskChanged) event()      {}
func (MessagesRefused) event()  {}

func (s *Sequencer) tell(e Event) {
	if s.cfg.Observe != nil {
		s.cfg.Observe(e)
	}
}
