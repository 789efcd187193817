package scheduler

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"

	"github.com/gristmill-zk/gristmill/chain"
	"github.com/gristmill-zk/gristmill/chain/cursor"
	"github.com/gristmill-zk/gristmill/wire"
)

// ChainConfig is what [NewChain] needs.
type ChainConfig struct {
	// Deployment is the contracts; required.
	Deployment *chain.Deployment
	// Sender is the prover's account; required.
	Sender chain.Sender
	// Start is the first block of interest, usually the deployment's; 0 reads
	// from the first.
	Start uint64
	// Confirmations is how many blocks must follow one before it is believed;
	// 0 believes the head's, and relies on reorganisations being undone.
	Confirmations uint64
	// Logger receives rollbacks; nil is slog.Default().
	Logger *slog.Logger
}

// liveChain is a deployment as its contracts have it.
type liveChain struct {
	confirmations uint64

	d        *chain.Deployment
	sender   chain.Sender
	cursor   *cursor.Cursor
	tasks    common.Address
	provers  common.Address
	operator wire.Address
}

// NewChain is the real [Chain]. Its Next must not be called concurrently.
func NewChain(cfg ChainConfig) (Chain, error) {
	if cfg.Deployment == nil || cfg.Sender == nil {
		return nil, errors.New("scheduler: ChainConfig: Deployment and Sender are required")
	}
	parts := cfg.Deployment.Parts()
	follow, err := cursor.New(cursor.Config{
		Client: cfg.Deployment.Client(), Addresses: []common.Address{parts.Tasks},
		Start: cfg.Start, Confirmations: cfg.Confirmations, Logger: cfg.Logger,
	})
	if err != nil {
		return nil, err
	}
	return &liveChain{
		confirmations: cfg.Confirmations,
		d:             cfg.Deployment, sender: cfg.Sender, cursor: follow, tasks: parts.Tasks, provers: parts.Provers,
		operator: chain.WireAddress(cfg.Sender.Address()),
	}, nil
}

func (c *liveChain) Deployment() wire.Deployment { return c.d.Wire() }

func (c *liveChain) Next(ctx context.Context, raw []byte) (Batch, error) {
	var position cursor.Position
	if raw != nil {
		if err := json.Unmarshal(raw, &position); err != nil {
			return Batch{}, fmt.Errorf("stored chain position: %w", err)
		}
	}
	found, err := c.cursor.Next(ctx, position)
	if err != nil {
		return Batch{}, err
	}
	batch := Batch{Rollback: found.Rollback, More: found.More}
	if batch.Next, err = json.Marshal(found.Next); err != nil {
		return Batch{}, err
	}
	events, err := c.d.DecodeEvents(found.Logs)
	if err != nil {
		return Batch{}, err
	}
	for _, e := range events {
		if converted, ok := taskEvent(e); ok {
			at := e.At()
			converted.Block, converted.Index, converted.Tx = at.Block, at.Index, chain.WireHash(at.Tx)
			batch.Events = append(batch.Events, converted)
		}
	}
	return batch, nil
}

// taskEvent picks what concerns a task's way.
func taskEvent(e chain.Event) (ChainEvent, bool) {
	switch e := e.(type) {
	case chain.TaskMined:
		return ChainEvent{Kind: EventMined, Task: e.TaskID, Mined: &Mined{
			Project: e.Task.Project, Version: e.Task.Version, Count: e.Task.Count,
			DataCommitment: e.Task.DataCommitment, DataHash: e.Task.DataHash, Size: e.Task.Size,
			Height: e.Height, Operator: e.Operator,
		}}, true
	case chain.TaskSkipped:
		return ChainEvent{Kind: EventSkipped, Task: e.TaskID, Reason: e.Reason.String()}, true
	case chain.TaskWaiting:
		return ChainEvent{Kind: EventWaiting, Task: e.TaskID}, true
	case chain.TaskOffered:
		return ChainEvent{Kind: EventOffered, Task: e.TaskID, Prover: e.Prover, Draw: uint32(e.Attempt), AcceptBy: e.AcceptBy}, true
	case chain.TaskAccepted:
		return ChainEvent{Kind: EventAccepted, Task: e.TaskID, Prover: e.Prover, Deadline: e.Deadline}, true
	case chain.TaskDeclined:
		return ChainEvent{Kind: EventDeclined, Task: e.TaskID, Prover: e.Prover}, true
	case chain.OfferMissed:
		return ChainEvent{Kind: EventMissed, Task: e.TaskID, Prover: e.Prover}, true
	case chain.TaskReassigned:
		return ChainEvent{Kind: EventReassigned, Task: e.TaskID, Prover: e.From}, true
	case chain.TaskSettled:
		return ChainEvent{Kind: EventSettled, Task: e.TaskID, Prover: e.Prover}, true
	case chain.TaskRecalled:
		return ChainEvent{Kind: EventRecalled, Task: e.TaskID}, true
	case chain.TaskDead:
		return ChainEvent{Kind: EventDead, Task: e.TaskID, Reason: e.Reason.String()}, true
	}
	return ChainEvent{}, false
}

func (c *liveChain) Version(ctx context.Context, project uint64, version uint32) (Version, error) {
	v, err := c.d.Version(ctx, project, version)
	if err != nil {
		return Version{}, err
	}
	return Version{
		VKID: v.VkId, BundleDigest: v.BundleDigest, BundleURI: v.BundleURI,
		BatchSize: v.BatchSize, PayloadLimit: v.PayloadLimit, Outputs: v.Outputs,
		AcceptWindow: time.Duration(v.AcceptWindow) * time.Second, ProveWindow: time.Duration(v.ProveWindow) * time.Second, Reward: v.Reward,
	}, nil
}

func (c *liveChain) VerifyingKey(ctx context.Context, id wire.Hash) ([]byte, error) {
	return c.d.VerifyingKey(ctx, id)
}

func (c *liveChain) DeviceAllowed(ctx context.Context, project uint64, device wire.Hash) (bool, error) {
	return c.d.IsDeviceAllowed(ctx, project, device)
}

func (c *liveChain) URLs(ctx context.Context, account wire.Address) ([]string, error) {
	return c.d.SequencerURLs(ctx, account)
}

var statuses = map[chain.Status]ChainStatus{
	chain.StatusNone: ChainGone, chain.StatusWaiting: ChainWaiting, chain.StatusOffered: ChainOffered,
	chain.StatusAccepted: ChainAccepted, chain.StatusSettled: ChainSettled, chain.StatusRecalled: ChainRecalled,
	chain.StatusDead: ChainDead,
}

func (c *liveChain) Record(ctx context.Context, task wire.Hash) (Record, error) {
	r, err := c.d.Task(ctx, task)
	if err != nil {
		return Record{}, err
	}
	status, ok := statuses[r.Status]
	if !ok {
		return Record{}, fmt.Errorf("task %s: the chain says status %s", task, r.Status)
	}
	return Record{
		Status: status, Prover: r.Prover, Draw: uint32(r.Attempt), AcceptBy: r.AcceptBy, Deadline: r.Deadline, Sequencer: r.Sequencer,
	}, nil
}

func (c *liveChain) Self(ctx context.Context) (Self, error) {
	p, err := c.d.Prover(ctx, c.operator)
	if err != nil {
		return Self{}, err
	}
	self := Self{Joined: p.Joined != 0, Paused: p.Paused, Idle: p.Idle}
	if busy := uint64(p.Used) + uint64(p.Offered); uint64(p.Capacity) > busy {
		self.Free = uint32(uint64(p.Capacity) - busy)
	}
	return self, nil
}

func (c *liveChain) OptedIn(ctx context.Context, project uint64) (bool, error) {
	return c.d.IsOptedIn(ctx, project, c.operator)
}

func (c *liveChain) Time(ctx context.Context) (uint64, error) {
	head, err := c.d.Client().HeaderByNumber(ctx, nil)
	if err != nil {
		return 0, fmt.Errorf("head block: %w", err)
	}
	return head.Time, nil
}

// paceBlocks is over how many blocks the chain's pace is taken.
const paceBlocks = 64

func (c *liveChain) Lag(ctx context.Context) (time.Duration, error) {
	if c.confirmations == 0 {
		return 0, nil
	}
	head, err := c.d.Client().HeaderByNumber(ctx, nil)
	if err != nil {
		return 0, fmt.Errorf("head block: %w", err)
	}
	back := min(head.Number.Uint64(), paceBlocks)
	if back == 0 {
		return 0, nil
	}
	before, err := c.d.Client().HeaderByNumber(ctx, new(big.Int).Sub(head.Number, new(big.Int).SetUint64(back)))
	if err != nil {
		return 0, fmt.Errorf("block %d before the head: %w", back, err)
	}
	took := time.Duration(head.Time-before.Time) * time.Second
	return took / time.Duration(back) * time.Duration(c.confirmations), nil
}

// forgetter is a sender that can send a refused call again under its key.
type forgetter interface {
	Forget(ctx context.Context, key string) error
}

// awaiter is a sender that knows by the key alone what became of a call.
type awaiter interface {
	Await(ctx context.Context, key string) (*types.Receipt, error)
}

func (c *liveChain) Send(ctx context.Context, key string, call Call) (Receipt, error) {
	to, data, err := c.pack(call)
	if err != nil {
		return Receipt{}, fmt.Errorf("%s: %w", call.Kind, err)
	}
	receipt, err := c.sender.Send(ctx, chain.Request{Key: key, To: &to, Data: data})
	return c.ended(ctx, key, receipt, err)
}

func (c *liveChain) Await(ctx context.Context, key string) (Receipt, error) {
	a, ok := c.sender.(awaiter)
	if !ok {
		return Receipt{}, fmt.Errorf("%T cannot tell what became of %s", c.sender, key)
	}
	receipt, err := a.Await(ctx, key)
	if errors.Is(err, chain.ErrUnknownKey) {
		return Receipt{}, nil
	}
	return c.ended(ctx, key, receipt, err)
}

func (c *liveChain) ended(ctx context.Context, key string, receipt *types.Receipt, err error) (Receipt, error) {
	if errors.Is(err, chain.ErrReverted) {
		// A refusal is not for ever: the same call may be right later.
		if f, ok := c.sender.(forgetter); ok {
			if forgot := f.Forget(ctx, key); forgot != nil {
				return Receipt{}, errors.Join(forgot, errors.New(err.Error()))
			}
		}
	}
	if err != nil {
		return Receipt{}, err
	}
	return asReceipt(receipt), nil
}

func (c *liveChain) pack(call Call) (to common.Address, data []byte, err error) {
	if call.Kind == CallResume {
		data, err = chain.PackResume()
		return c.provers, data, err
	}
	if call.Kind == CallAccept {
		data, err = chain.PackAccept(call.Tasks)
		return c.tasks, data, err
	}
	if len(call.Tasks) != 1 {
		return to, nil, fmt.Errorf("names %d tasks, want 1", len(call.Tasks))
	}
	task := call.Tasks[0]
	switch call.Kind {
	case CallDecline:
		data, err = chain.PackDecline(task)
	case CallSettle:
		data, err = chain.PackSettle(task, call.Proof, call.Outputs)
	case CallAdvance:
		data, err = chain.PackAdvance(task)
	case CallClaim:
		data, err = chain.PackClaim(task)
	case CallReassign:
		data, err = chain.PackReassign(task)
	default:
		err = errors.New("is no call of a prover's")
	}
	return c.tasks, data, err
}

func (c *liveChain) Receipt(ctx context.Context, tx wire.Hash) (Receipt, error) {
	receipt, err := c.d.Client().TransactionReceipt(ctx, chain.EthHash(tx))
	if err != nil {
		return Receipt{}, err
	}
	return asReceipt(receipt), nil
}

func asReceipt(r *types.Receipt) Receipt {
	return Receipt{Tx: chain.WireHash(r.TxHash), Gas: r.GasUsed}
}
