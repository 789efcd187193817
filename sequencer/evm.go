package sequencer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"time"

	"github.com/gristmill-zk/gristmill/chain"
	"github.com/gristmill-zk/gristmill/chain/cursor"
	"github.com/gristmill-zk/gristmill/wire"
)

// EVMConfig is what the real Chain needs.
type EVMConfig struct {
	// Deployment and Sender are required. The sender's account is the operator.
	Deployment *chain.Deployment
	Sender     chain.Sender
	// Confirmations is how many EVM blocks must follow one before its events
	// count; 0 counts the head's.
	Confirmations uint64
	// Poll is how often events are looked for; 0 means 500 ms.
	Poll time.Duration
	// Logger; nil means slog.Default().
	Logger *slog.Logger
}

// evm is a deployment on an EVM chain.
type evm struct{ cfg EVMConfig }

// OpenChain is the Chain of a deployment.
func OpenChain(cfg EVMConfig) (Chain, error) {
	if cfg.Deployment == nil || cfg.Sender == nil {
		return nil, errors.New("sequencer: chain config: Deployment and Sender are required")
	}
	return &evm{cfg: cfg}, nil
}

func (e *evm) Deployment() wire.Deployment { return e.cfg.Deployment.Wire() }
func (e *evm) Minter() wire.Address        { return chain.WireAddress(e.cfg.Deployment.Parts().Minter) }
func (e *evm) Operator() wire.Address      { return chain.WireAddress(e.cfg.Sender.Address()) }
func (e *evm) MaxTasks() int               { return int(e.cfg.Deployment.Params().MaxTasks) }

func (e *evm) Tip(ctx context.Context) (Tip, error) {
	t, err := e.cfg.Deployment.Tip(ctx)
	return Tip(t), err
}

func (e *evm) Projects(ctx context.Context) (uint64, error) {
	return e.cfg.Deployment.Projects(ctx)
}

func (e *evm) Project(ctx context.Context, project uint64) (Project, error) {
	info, err := e.cfg.Deployment.Project(ctx, project)
	var revert *chain.RevertError
	if errors.As(err, &revert) && revert.Name == "UnknownProject" {
		return Project{}, ErrNoProject
	}
	if err == nil && info.Version == 0 {
		return Project{}, ErrNoProject
	}
	return Project{Paused: info.Paused, Version: info.Version}, err
}

func (e *evm) Terms(ctx context.Context, project uint64, version uint32) (Terms, error) {
	v, err := e.cfg.Deployment.Version(ctx, project, version)
	return Terms{
		BatchSize: v.BatchSize, PayloadLimit: v.PayloadLimit, MaxWait: v.MaxWait,
		Token: chain.WireAddress(v.RewardToken), Reward: v.Reward,
	}, err
}

func (e *evm) Funds(ctx context.Context, project uint64, token wire.Address) (*big.Int, error) {
	return e.cfg.Deployment.FreeEscrow(ctx, project, token)
}

func (e *evm) IsSequencer(ctx context.Context, project uint64, key wire.Address) (bool, error) {
	return e.cfg.Deployment.IsSequencer(ctx, project, key)
}

func (e *evm) DeviceAllowed(ctx context.Context, project uint64, device wire.Hash) (bool, error) {
	return e.cfg.Deployment.IsDeviceAllowed(ctx, project, device)
}

func (e *evm) BlockTime(ctx context.Context, number uint64) (uint64, error) {
	h, err := e.cfg.Deployment.Client().HeaderByNumber(ctx, new(big.Int).SetUint64(number))
	if err != nil {
		return 0, fmt.Errorf("sequencer: time of block %d: %w", number, err)
	}
	return h.Time, nil
}

func (e *evm) Mint(ctx context.Context, key string, b SolvedBlock) (Receipt, error) {
	data, err := chain.PackMint(b.Header, b.Coinbase, b.Tasks)
	if err != nil {
		return Receipt{}, &BlockError{Name: "Unpackable", Err: err}
	}
	to := e.cfg.Deployment.Parts().Minter
	r, err := e.cfg.Sender.Send(ctx, chain.Request{Key: key, To: &to, Data: data})
	var revert *chain.RevertError
	switch {
	case errors.As(err, &revert):
		return Receipt{}, &BlockError{Name: revert.Name, Err: err}
	case errors.Is(err, chain.ErrReverted), errors.Is(err, chain.ErrKeyReused):
		return Receipt{}, &BlockError{Err: err}
	case err != nil:
		return Receipt{}, err
	}
	return Receipt{Tx: chain.WireHash(r.TxHash), Block: r.BlockNumber.Uint64(), Gas: r.GasUsed}, nil
}

func (e *evm) Follow(ctx context.Context, position []byte, apply func(context.Context, Batch) error) error {
	var from cursor.Position
	if position != nil {
		if err := json.Unmarshal(position, &from); err != nil {
			return fmt.Errorf("stored position: %w", err)
		}
	}
	start, err := e.cfg.Deployment.Start(ctx)
	if err != nil {
		return err
	}
	c, err := cursor.New(cursor.Config{
		Client: e.cfg.Deployment.Client(), Addresses: e.cfg.Deployment.Addresses(), Start: start,
		Confirmations: e.cfg.Confirmations, Poll: e.cfg.Poll, Logger: e.cfg.Logger,
	})
	if err != nil {
		return err
	}
	return c.Follow(ctx, from, func(ctx context.Context, b cursor.Batch) error {
		events, err := e.cfg.Deployment.DecodeEvents(b.Logs)
		if err != nil {
			return err
		}
		out := Batch{Rollback: b.Rollback, Number: b.Next.Number}
		for _, ev := range events {
			if c, ok := convert(ev); ok {
				out.Events = append(out.Events, c)
			}
		}
		if out.Position, err = json.Marshal(b.Next); err != nil {
			return err
		}
		return apply(ctx, out)
	})
}

// convert keeps what concerns a sequencer.
func convert(ev chain.Event) (ChainEvent, bool) {
	at := ev.At()
	out := ChainEvent{Block: at.Block, Index: at.Index, Tx: wire.Hash(at.Tx)}
	switch e := ev.(type) {
	case chain.BlockMined:
		out.Kind, out.Height = KindBlockMined, e.Height
		out.Mined = &MinedBlock{
			Hash: e.Hash, Height: e.Height, Operator: e.Operator, Beneficiary: e.Beneficiary, Tasks: e.Tasks,
			Reward: e.Reward, Header: e.Header, Coinbase: e.Coinbase,
		}
	case chain.TaskMined:
		out.Kind, out.Task, out.Height, out.Leaf = KindTaskMined, e.TaskID, e.Height, &e.Task
	case chain.TaskSkipped:
		out.Kind, out.Task, out.Reason = KindTaskSkipped, e.TaskID, e.Reason.String()
	case chain.TaskOffered:
		out.Kind, out.Task = KindTaskOffered, e.TaskID
	case chain.TaskWaiting:
		out.Kind, out.Task = KindTaskWaiting, e.TaskID
	case chain.TaskAccepted:
		out.Kind, out.Task = KindTaskAccepted, e.TaskID
	case chain.TaskSettled:
		out.Kind, out.Task = KindTaskSettled, e.TaskID
	case chain.TaskRecalled:
		out.Kind, out.Task = KindTaskRecalled, e.TaskID
	case chain.TaskDead:
		out.Kind, out.Task, out.Reason = KindTaskDead, e.TaskID, e.Reason.String()
	default:
		out.Kind, out.Project = KindProjectChanged, projectOf(ev)
		return out, out.Project != 0
	}
	return out, true
}

// projectOf is the project whose standing an event changes; 0 for none.
func projectOf(ev chain.Event) uint64 {
	switch e := ev.(type) {
	case chain.VersionAdded:
		return e.Project
	case chain.SequencerListed:
		return e.Project
	case chain.ProjectPaused:
		return e.Project
	case chain.DeviceSet:
		return e.Project
	case chain.OpenSet:
		return e.Project
	case chain.Deposited:
		return e.Project
	case chain.Withdrawn:
		return e.Project
	case chain.Withheld:
		return e.Project
	case chain.Refunded:
		return e.Project
	}
	return 0
}
