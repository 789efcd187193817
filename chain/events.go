package chain

import (
	"math/big"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"

	"github.com/gristmill-zk/gristmill/wire"
)

// Event is one of the event types below.
type Event interface {
	// At says where on the EVM chain the event stands.
	At() Pos
}

// Pos is an event's place on the EVM chain.
type Pos struct {
	Block     uint64
	BlockHash common.Hash
	Tx        common.Hash
	// Index is the log's within its block.
	Index    uint
	Contract common.Address
}

// At implements Event.
func (p Pos) At() Pos { return p }

func posOf(l *types.Log) Pos {
	return Pos{Block: l.BlockNumber, BlockHash: l.BlockHash, Tx: l.TxHash, Index: l.Index, Contract: l.Address}
}

// Blocks and the tasks they bring.
type (
	// BlockMined is a block appended to the chain of blocks. It comes before
	// the events of its tasks, in the same transaction.
	BlockMined struct {
		Pos
		Height                uint64
		Hash                  wire.Hash
		Operator, Beneficiary wire.Address
		Tasks                 uint32
		Reward                *big.Int // wei
		Header, Coinbase      []byte
	}
	// TaskMined is a task of a block, taken or not.
	TaskMined struct {
		Pos
		TaskID   wire.Hash
		Height   uint64
		Operator wire.Address
		Task     wire.Task
	}
	// TaskSkipped says that a mined task was not taken.
	TaskSkipped struct {
		Pos
		TaskID wire.Hash
		Reason SkipReason
	}
)

// What becomes of a task.
type (
	// TaskOffered offers a task to a prover until AcceptBy (unix seconds).
	TaskOffered struct {
		Pos
		TaskID   wire.Hash
		Prover   wire.Address
		Attempt  uint8
		AcceptBy uint64
	}
	// TaskWaiting says that no prover was free.
	TaskWaiting struct {
		Pos
		TaskID wire.Hash
	}
	// TaskAccepted assigns a task until Deadline (unix seconds).
	TaskAccepted struct {
		Pos
		TaskID   wire.Hash
		Prover   wire.Address
		Deadline uint64
	}
	// TaskDeclined is an offer refused.
	TaskDeclined struct {
		Pos
		TaskID wire.Hash
		Prover wire.Address
	}
	// OfferMissed is an offer that passed in silence.
	OfferMissed struct {
		Pos
		TaskID wire.Hash
		Prover wire.Address
	}
	// TaskReassigned takes a late task from its prover.
	TaskReassigned struct {
		Pos
		TaskID  wire.Hash
		From    wire.Address
		Slashed *big.Int // wei
	}
	// TaskSettled is a verified proof and who earned what by it.
	TaskSettled struct {
		Pos
		TaskID  wire.Hash
		Project uint64
		Prover  wire.Address
		Proof   wire.Proof
		Outputs []wire.Hash
		// Amounts of the project's reward token.
		ProverAmount, SequencerAmount, ProtocolAmount *big.Int
	}
	// TaskRecalled is a task that its project took back.
	TaskRecalled struct {
		Pos
		TaskID  wire.Hash
		Project uint64
	}
	// TaskDead is a task that nobody will do.
	TaskDead struct {
		Pos
		TaskID wire.Hash
		Reason DeadReason
	}
	// DappCalled says how the dApp took a settled result.
	DappCalled struct {
		Pos
		TaskID wire.Hash
		OK     bool
	}
)

// What project owners do.
type (
	// ProjectCreated is a new project.
	ProjectCreated struct {
		Pos
		Project uint64
		Owner   wire.Address
	}
	// VersionAdded is a project's new current version.
	VersionAdded struct {
		Pos
		Project            uint64
		Version            uint32
		VKID, BundleDigest wire.Hash
		BundleURI          string
	}
	// SequencerListed lists a sequencer key for a project or strikes it off.
	SequencerListed struct {
		Pos
		Project uint64
		Key     wire.Address
		Allowed bool
	}
	// ProjectPaused pauses a project or resumes it.
	ProjectPaused struct {
		Pos
		Project uint64
		Paused  bool
	}
	// ProjectOwned is a project's new owner.
	ProjectOwned struct {
		Pos
		Project  uint64
		From, To wire.Address
	}
	// DeviceSet lists a device for a project or strikes it off.
	DeviceSet struct {
		Pos
		Project uint64
		Device  wire.Hash
		Allowed bool
	}
	// OpenSet opens a project to every device or closes it.
	OpenSet struct {
		Pos
		Project uint64
		Open    bool
	}
	// KeyRegistered is a new verifying key.
	KeyRegistered struct {
		Pos
		VKID wire.Hash
	}
)

// What operators do.
type (
	// EndpointsSet are an operator's data endpoints.
	EndpointsSet struct {
		Pos
		Operator wire.Address
		URLs     []string
	}
	// ProverJoined is a new prover.
	ProverJoined struct {
		Pos
		Operator, Beneficiary wire.Address
		Capacity              uint32
	}
	// BeneficiarySet is a prover's new beneficiary.
	BeneficiarySet struct {
		Pos
		Operator, Beneficiary wire.Address
	}
	// Staked is stake added; Stake is the sum.
	Staked struct {
		Pos
		Operator      wire.Address
		Amount, Stake *big.Int
	}
	// Unstaked is stake taken out; Stake is what is left.
	Unstaked struct {
		Pos
		Operator, To  wire.Address
		Amount, Stake *big.Int
	}
	// OptedIn is a prover taking a project's tasks.
	OptedIn struct {
		Pos
		Project  uint64
		Operator wire.Address
	}
	// OptedOut is a prover that no longer does.
	OptedOut struct {
		Pos
		Project  uint64
		Operator wire.Address
	}
	// ProverPaused pauses a prover or resumes it.
	ProverPaused struct {
		Pos
		Operator wire.Address
		Paused   bool
	}
	// IdleSet marks a prover that let something pass, or one that is back.
	IdleSet struct {
		Pos
		Operator wire.Address
		Idle     bool
	}
	// Slashed is stake lost; Bounty of it went to Caller.
	Slashed struct {
		Pos
		Operator, Caller wire.Address
		Amount, Bounty   *big.Int
	}
)

// Money.
type (
	// Deposited is a project's deposit.
	Deposited struct {
		Pos
		Project     uint64
		Token, From wire.Address
		Amount      *big.Int
	}
	// Withdrawn is free money a project took back.
	Withdrawn struct {
		Pos
		Project   uint64
		Token, To wire.Address
		Amount    *big.Int
	}
	// Withheld sets a task's reward aside.
	Withheld struct {
		Pos
		TaskID  wire.Hash
		Project uint64
		Token   wire.Address
		Amount  *big.Int
	}
	// Paid credits an account with its share of a task's reward.
	Paid struct {
		Pos
		TaskID         wire.Hash
		Account, Token wire.Address
		Amount         *big.Int
	}
	// Refunded gives a task's reward back to its project.
	Refunded struct {
		Pos
		TaskID  wire.Hash
		Project uint64
		Token   wire.Address
		Amount  *big.Int
	}
	// Claimed is money paid out of escrow.
	Claimed struct {
		Pos
		Account, Token, To wire.Address
		Amount             *big.Int
	}
	// Funded is wei given to the reward pool.
	Funded struct {
		Pos
		From   wire.Address
		Amount *big.Int
	}
	// RewardCredited is a block reward.
	RewardCredited struct {
		Pos
		Beneficiary wire.Address
		Amount      *big.Int
	}
	// RewardClaimed is block reward paid out.
	RewardClaimed struct {
		Pos
		Beneficiary, To wire.Address
		Amount          *big.Int
	}
)
