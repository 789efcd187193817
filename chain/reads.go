package chain

import (
	"context"
	"fmt"
	"math/big"

	"github.com/ethereum/go-ethereum/common"

	"github.com/gristmill-zk/gristmill/chain/bindings"
	"github.com/gristmill-zk/gristmill/wire"
)

// All reads are of the head block unless they say otherwise. A read the
// contracts refuse (an unknown project's version, say) is a *RevertError.

// Tip is the end of the chain of mined blocks.
type Tip struct {
	Hash   wire.Hash
	Height uint64
	Time   uint32
	// NextBits is what the next block must carry.
	NextBits uint32
}

// Tip reads the newest mined block and the bits that follow it, both as of the
// same EVM block.
func (d *Deployment) Tip(ctx context.Context) (Tip, error) {
	number, err := d.client.BlockNumber(ctx)
	if err != nil {
		return Tip{}, fmt.Errorf("chain: tip: %w", err)
	}
	at, m := new(big.Int).SetUint64(number), bindings.NewBlockMinter()
	tip, err := view(ctx, d.client, d.parts.Minter, at, m.PackTip(), m.UnpackTip)
	if err != nil {
		return Tip{}, fmt.Errorf("chain: tip: %w", err)
	}
	bits, err := view(ctx, d.client, d.parts.Minter, at, m.PackNextBits(), m.UnpackNextBits)
	if err != nil {
		return Tip{}, fmt.Errorf("chain: next bits: %w", err)
	}
	return Tip{Hash: tip.Hash, Height: tip.Height, Time: tip.Time, NextBits: bits}, nil
}

// NextBits reads the bits that the next block must carry.
func (d *Deployment) NextBits(ctx context.Context) (uint32, error) {
	m := bindings.NewBlockMinter()
	return read(ctx, d, d.parts.Minter, "next bits", m.PackNextBits(), m.UnpackNextBits)
}

// BlockHashAt reads the hash of the mined block at a height; zero above the tip.
func (d *Deployment) BlockHashAt(ctx context.Context, height uint64) (wire.Hash, error) {
	m := bindings.NewBlockMinter()
	h, err := read(ctx, d, d.parts.Minter, "block hash", m.PackHashAt(height), m.UnpackHashAt)
	return h, err
}

// ProjectInfo is the changeable part of a project.
type ProjectInfo struct {
	ID     uint64
	Owner  wire.Address
	Paused bool
	// Version is the current version's number; 0 when it has none.
	Version uint32
}

// Project reads a project.
func (d *Deployment) Project(ctx context.Context, project uint64) (ProjectInfo, error) {
	r := bindings.NewProjectRegistry()
	owner, err := read(ctx, d, d.parts.Projects, "owner", r.PackOwnerOf(project), r.UnpackOwnerOf)
	if err != nil {
		return ProjectInfo{}, err
	}
	paused, err := read(ctx, d, d.parts.Projects, "paused", r.PackIsPaused(project), r.UnpackIsPaused)
	if err != nil {
		return ProjectInfo{}, err
	}
	version, err := read(ctx, d, d.parts.Projects, "current version", r.PackCurrentVersion(project), r.UnpackCurrentVersion)
	if err != nil {
		return ProjectInfo{}, err
	}
	return ProjectInfo{ID: project, Owner: WireAddress(owner), Paused: paused, Version: version}, nil
}

// Projects counts the projects; their ids start at 1.
func (d *Deployment) Projects(ctx context.Context) (uint64, error) {
	r := bindings.NewProjectRegistry()
	return read(ctx, d, d.parts.Projects, "projects", r.PackCount(), r.UnpackCount)
}

// Version reads a project's version.
func (d *Deployment) Version(ctx context.Context, project uint64, version uint32) (Version, error) {
	r := bindings.NewProjectRegistry()
	return read(ctx, d, d.parts.Projects, "version", r.PackVersionOf(project, version), r.UnpackVersionOf)
}

// IsSequencer says whether a project listed a key.
func (d *Deployment) IsSequencer(ctx context.Context, project uint64, key wire.Address) (bool, error) {
	r := bindings.NewProjectRegistry()
	return read(ctx, d, d.parts.Projects, "sequencer", r.PackIsSequencer(project, EthAddress(key)), r.UnpackIsSequencer)
}

// IsDeviceAllowed says whether a project takes messages of a device.
func (d *Deployment) IsDeviceAllowed(ctx context.Context, project uint64, device wire.Hash) (bool, error) {
	r := bindings.NewDeviceRegistry()
	return read(ctx, d, d.parts.Devices, "device", r.PackIsAllowed(project, device), r.UnpackIsAllowed)
}

// TaskRecord is what the task manager keeps of a task. It is zero, with
// StatusNone, for a task that the chain does not know.
type TaskRecord struct {
	Status Status
	// Attempt counts the offers and claims made so far.
	Attempt  uint8
	Withheld bool
	Project  uint64
	Version  uint32
	Height   uint64
	Count    uint32
	// Prover is the one the task is offered or assigned to.
	Prover    wire.Address
	Sequencer wire.Address
	// AcceptBy ends the offer and Deadline the proving time, unix seconds.
	AcceptBy, Deadline       uint64
	DataCommitment, DataHash wire.Hash
}

// Task reads a task.
func (d *Deployment) Task(ctx context.Context, id wire.Hash) (TaskRecord, error) {
	m := bindings.NewTaskManager()
	r, err := read(ctx, d, d.parts.Tasks, "task", m.PackTaskOf(id), m.UnpackTaskOf)
	if err != nil {
		return TaskRecord{}, err
	}
	return TaskRecord{
		Status: Status(r.Status), Attempt: r.Attempt, Withheld: r.Withheld,
		Project: r.Project, Version: r.Version, Height: r.Height, Count: r.Count,
		Prover: WireAddress(r.Prover), Sequencer: WireAddress(r.Sequencer),
		AcceptBy: r.AcceptBy, Deadline: r.Deadline,
		DataCommitment: word(r.DataCommitment), DataHash: r.DataHash,
	}, nil
}

// Prover is a prover's registration; Joined is 0 for a stranger.
type Prover struct {
	Beneficiary wire.Address
	Stake       *big.Int
	// Capacity bounds Used, the tasks it holds, and Offered, open offers.
	Capacity, Used, Offered uint32
	Paused, Idle            bool
	Joined                  uint64 // unix seconds
}

// Prover reads a prover's registration.
func (d *Deployment) Prover(ctx context.Context, operator wire.Address) (Prover, error) {
	r := bindings.NewProverRegistry()
	p, err := read(ctx, d, d.parts.Provers, "prover", r.PackProverOf(EthAddress(operator)), r.UnpackProverOf)
	if err != nil {
		return Prover{}, err
	}
	return Prover{
		Beneficiary: WireAddress(p.Beneficiary), Stake: p.Stake, Capacity: p.Capacity, Used: p.Used,
		Offered: p.Offered, Paused: p.Paused, Idle: p.Idle, Joined: p.Joined,
	}, nil
}

// BondPerTask reads the stake that each task held locks.
func (d *Deployment) BondPerTask(ctx context.Context) (*big.Int, error) {
	r := bindings.NewProverRegistry()
	return read(ctx, d, d.parts.Provers, "bond per task", r.PackBondPerTask(), r.UnpackBondPerTask)
}

// IsOptedIn says whether a prover takes a project's tasks.
func (d *Deployment) IsOptedIn(ctx context.Context, project uint64, operator wire.Address) (bool, error) {
	r := bindings.NewProverRegistry()
	return read(ctx, d, d.parts.Provers, "opt-in", r.PackIsOptedIn(project, EthAddress(operator)), r.UnpackIsOptedIn)
}

// SequencerURLs reads the data endpoints that an operator registered.
func (d *Deployment) SequencerURLs(ctx context.Context, operator wire.Address) ([]string, error) {
	r := bindings.NewSequencerRegistry()
	return read(ctx, d, d.parts.Sequencers, "endpoints", r.PackUrlsOf(EthAddress(operator)), r.UnpackUrlsOf)
}

// VerifyingKey reads a registered key's bytes.
func (d *Deployment) VerifyingKey(ctx context.Context, id wire.Hash) ([]byte, error) {
	k := bindings.NewVerifyingKeys()
	return read(ctx, d, d.parts.Keys, "verifying key", k.PackRead(id), k.UnpackRead)
}

// FreeEscrow reads what a project may still spend in a token.
func (d *Deployment) FreeEscrow(ctx context.Context, project uint64, token wire.Address) (*big.Int, error) {
	e := bindings.NewEscrow()
	return read(ctx, d, d.parts.Escrow, "free escrow", e.PackFreeOf(project, EthAddress(token)), e.UnpackFreeOf)
}

// ProtocolShareBps reads the protocol's part of a reward, in 1/10000.
func (d *Deployment) ProtocolShareBps(ctx context.Context) (uint16, error) {
	e := bindings.NewEscrow()
	return read(ctx, d, d.parts.Escrow, "protocol share", e.PackProtocolShareBps(), e.UnpackProtocolShareBps)
}

// OwedTokens reads what an account may claim of a token.
func (d *Deployment) OwedTokens(ctx context.Context, token, account wire.Address) (*big.Int, error) {
	e := bindings.NewEscrow()
	return read(ctx, d, d.parts.Escrow, "owed", e.PackOwed(EthAddress(token), EthAddress(account)), e.UnpackOwed)
}

// OwedRewards reads the block rewards, in wei, that an account may claim.
func (d *Deployment) OwedRewards(ctx context.Context, account wire.Address) (*big.Int, error) {
	p := bindings.NewRewardPool()
	return read(ctx, d, d.parts.Rewards, "rewards", p.PackOwed(EthAddress(account)), p.UnpackOwed)
}

// read is view at the head, with what was read in the error.
func read[T any](ctx context.Context, d *Deployment, to common.Address, what string, data []byte, unpack func([]byte) (T, error)) (T, error) {
	v, err := view(ctx, d.client, to, nil, data, unpack)
	if err != nil {
		return v, fmt.Errorf("chain: %s: %w", what, err)
	}
	return v, nil
}

func word(v *big.Int) wire.Hash { return wire.Hash(common.BigToHash(v)) }

func words(list []*big.Int) []wire.Hash {
	out := make([]wire.Hash, len(list))
	for i, v := range list {
		out[i] = word(v)
	}
	return out
}
