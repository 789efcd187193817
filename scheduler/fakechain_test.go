package scheduler_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"sync"
	"time"

	"github.com/gristmill-zk/gristmill/chain"
	"github.com/gristmill-zk/gristmill/internal/groth16vk"
	"github.com/gristmill-zk/gristmill/scheduler"
	"github.com/gristmill-zk/gristmill/wire"
)

var errOffline = errors.New("endpoint is away")

// fakeChain has the rules of the contracts as far as a prover meets them, in
// memory, with reorganisations on demand. Every call is a block.
type fakeChain struct {
	mu       sync.Mutex
	d        wire.Deployment
	prover   wire.Address // who sends
	key      []byte       // the verifying key of the one version
	version  scheduler.Version
	urls     []string // of every operator
	urlsOf   map[wire.Address][]string
	signer   wire.Address // who authorised the tasks
	lag      time.Duration
	banned   map[wire.Hash]bool
	blocks   []fakeBlock
	sent     map[string]*fakeSend
	self     scheduler.Self
	opted    bool
	now      uint64
	down     error                     // every read and send fails with it
	frozen   bool                      // no news of blocks
	dropped  bool                      // sends take effect, their receipts are lost
	unsent   bool                      // settlements get no further than the sender's door
	refuse   func(scheduler.Call) bool // calls that revert
	settles  map[wire.Hash]int
	accepts  int // accept transactions, of however many tasks
	attempts map[scheduler.CallKind]int
}

type fakeBlock struct {
	hash   wire.Hash
	events []scheduler.ChainEvent
	tasks  map[wire.Hash]scheduler.Record // after the block
	bodies map[wire.Hash]scheduler.Mined
}

// fakeSend is a call as the manager of transactions journals it.
type fakeSend struct {
	by      wire.Address
	call    scheduler.Call
	block   int
	receipt scheduler.Receipt
	err     error // how it was refused when it was sent again
	lost    bool  // its block is gone; it is not sent again yet
}

func newFakeChain(prover wire.Address, version scheduler.Version, key []byte) *fakeChain {
	version.ProveWindow, version.Reward = window*time.Second, big.NewInt(1000)
	c := &fakeChain{
		d: wire.Deployment{ChainID: 1337, Registry: wire.Address{9}}, prover: prover, key: key, version: version,
		banned: map[wire.Hash]bool{}, sent: map[string]*fakeSend{}, settles: map[wire.Hash]int{}, attempts: map[scheduler.CallKind]int{},
		self: scheduler.Self{Joined: true, Free: 100}, opted: true, now: 1000,
	}
	c.add(map[wire.Hash]scheduler.Record{}, map[wire.Hash]scheduler.Mined{}, nil)
	return c
}

func (c *fakeChain) tip() *fakeBlock { return &c.blocks[len(c.blocks)-1] }

func (c *fakeChain) add(tasks map[wire.Hash]scheduler.Record, bodies map[wire.Hash]scheduler.Mined, events []scheduler.ChainEvent) wire.Hash {
	var b fakeBlock
	_, _ = rand.Read(b.hash[:])
	number := uint64(len(c.blocks))
	tx := wire.SHA256(b.hash[:])
	for i := range events {
		events[i].Block, events[i].Index, events[i].Tx = number, uint(i), tx
	}
	b.events, b.tasks, b.bodies = events, tasks, bodies
	c.blocks = append(c.blocks, b)
	return tx
}

// change makes a block out of a change to one task.
func (c *fakeChain) change(id wire.Hash, r scheduler.Record, events ...scheduler.ChainEvent) wire.Hash {
	tasks := maps.Clone(c.tip().tasks)
	tasks[id] = r
	for i := range events {
		events[i].Task = id
	}
	return c.add(tasks, c.tip().bodies, events)
}

const window = 100

func (c *fakeChain) offer(id wire.Hash, to wire.Address, before ...scheduler.ChainEvent) {
	r := c.tip().tasks[id]
	r.Status, r.Prover, r.Draw, r.AcceptBy, r.Deadline = scheduler.ChainOffered, to, r.Draw+1, c.now+window, 0
	c.change(id, r, append(before, scheduler.ChainEvent{Kind: scheduler.EventOffered, Prover: to, Draw: r.Draw, AcceptBy: r.AcceptBy})...)
}

// Mine brings a task and offers it to a prover; the zero address leaves it
// waiting.
func (c *fakeChain) Mine(id wire.Hash, m scheduler.Mined, to wire.Address) {
	c.mu.Lock()
	defer c.mu.Unlock()
	m.Height = uint64(len(c.blocks))
	bodies := maps.Clone(c.tip().bodies)
	bodies[id] = m
	mined := scheduler.ChainEvent{Kind: scheduler.EventMined, Mined: &m}
	r := scheduler.Record{Status: scheduler.ChainWaiting}
	next := scheduler.ChainEvent{Kind: scheduler.EventWaiting}
	if !to.IsZero() {
		r = scheduler.Record{Status: scheduler.ChainOffered, Prover: to, Draw: 1, AcceptBy: c.now + window}
		next = scheduler.ChainEvent{Kind: scheduler.EventOffered, Prover: to, Draw: 1, AcceptBy: r.AcceptBy}
	}
	c.change(id, r, mined, next)
	c.tip().bodies = bodies
}

// Offer moves a task to another prover, whatever its status.
func (c *fakeChain) Offer(id wire.Hash, to wire.Address) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.offer(id, to, scheduler.ChainEvent{Kind: scheduler.EventMissed})
}

// Accept makes another prover hold a task that waits or is offered to it.
func (c *fakeChain) Accept(id wire.Hash, by wire.Address) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.tip().tasks[id]
	kind := scheduler.CallClaim
	if r.Status == scheduler.ChainOffered {
		kind = scheduler.CallAccept
	}
	_, _ = c.call(by, scheduler.Call{Kind: kind, Tasks: []wire.Hash{id}})
}

// Kill ends a task.
func (c *fakeChain) Kill(id wire.Hash, kind scheduler.ChainEventKind, status scheduler.ChainStatus) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.change(id, scheduler.Record{Status: status}, scheduler.ChainEvent{Kind: kind, Reason: "no takers"})
}

// Reorg drops the last blocks. The manager keeps its journal, in which their
// transactions have receipts still, until it sends them again: at once if
// resend is set, else with Resend.
func (c *fakeChain) Reorg(depth int, resend bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	keep := max(1, len(c.blocks)-depth)
	c.blocks = c.blocks[:keep]
	for _, s := range c.sent {
		if s.err == nil && !s.lost && s.block >= keep {
			s.lost = true
			if s.call.Kind == scheduler.CallSettle {
				c.settles[s.call.Tasks[0]]--
			}
		}
	}
	if resend {
		c.resend()
	}
}

// Resend has the manager send again what reorganisations dropped.
func (c *fakeChain) Resend() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.resend()
}

func (c *fakeChain) resend() {
	var again []*fakeSend
	for _, s := range c.sent {
		if s.lost {
			again = append(again, s)
		}
	}
	slices.SortFunc(again, func(a, b *fakeSend) int { return a.block - b.block })
	for _, s := range again {
		s.lost = false
		s.receipt, s.err = c.execute(s.by, s.call)
		s.block = len(c.blocks) - 1
	}
}

// Set changes the chain's parameters under its lock.
func (c *fakeChain) Set(change func(*fakeChain)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change(c)
}

func (c *fakeChain) Deployment() wire.Deployment { return c.d }

type fakePosition struct {
	Hashes []wire.Hash `json:"hashes"`
}

func (c *fakeChain) Next(_ context.Context, raw []byte) (scheduler.Batch, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var p fakePosition
	if len(raw) > 0 {
		if err := json.Unmarshal(raw, &p); err != nil {
			return scheduler.Batch{}, err
		}
	}
	if c.down != nil {
		return scheduler.Batch{}, c.down
	}
	common := 0
	for common < len(p.Hashes) && common < len(c.blocks) && c.blocks[common].hash == p.Hashes[common] {
		common++
	}
	var batch scheduler.Batch
	if common < len(p.Hashes) {
		last := uint64(common - 1)
		batch.Rollback, p.Hashes = &last, p.Hashes[:common]
	} else if common < len(c.blocks) && !c.frozen {
		batch.Events = slices.Clone(c.blocks[common].events)
		p.Hashes = append(p.Hashes, c.blocks[common].hash)
		batch.More = common+1 < len(c.blocks)
	}
	var err error
	batch.Next, err = json.Marshal(p)
	return batch, err
}

func (c *fakeChain) Version(context.Context, uint64, uint32) (scheduler.Version, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.version, c.down
}

func (c *fakeChain) VerifyingKey(context.Context, wire.Hash) ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.key, c.down
}

func (c *fakeChain) DeviceAllowed(_ context.Context, _ uint64, device wire.Hash) (bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.banned[device], c.down
}

func (c *fakeChain) URLs(_ context.Context, account wire.Address) ([]string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if urls, set := c.urlsOf[account]; set {
		return slices.Clone(urls), c.down
	}
	return slices.Clone(c.urls), c.down
}

func (c *fakeChain) Record(_ context.Context, task wire.Hash) (scheduler.Record, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r, ok := c.tip().tasks[task]
	if !ok {
		r.Status = scheduler.ChainGone
	}
	r.Sequencer = c.signer
	return r, c.down
}

func (c *fakeChain) Self(context.Context) (scheduler.Self, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.self, c.down
}

func (c *fakeChain) OptedIn(context.Context, uint64) (bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.opted, c.down
}

func (c *fakeChain) Time(context.Context) (uint64, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now, c.down
}

func (c *fakeChain) Receipt(_ context.Context, tx wire.Hash) (scheduler.Receipt, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return scheduler.Receipt{Tx: tx, Gas: 4242}, c.down
}

func (c *fakeChain) Lag(context.Context) (time.Duration, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lag, c.down
}

// As is the chain as another prover has it, with a journal of its own.
func (c *fakeChain) As(prover wire.Address) scheduler.Chain { return fakeChainOf{c, prover} }

type fakeChainOf struct {
	*fakeChain
	by wire.Address
}

func (c fakeChainOf) Send(ctx context.Context, key string, call scheduler.Call) (scheduler.Receipt, error) {
	return c.send(ctx, c.by, key, call)
}

func (c fakeChainOf) Await(ctx context.Context, key string) (scheduler.Receipt, error) {
	return c.awaitSend(ctx, c.by, key)
}

func (c *fakeChain) Send(ctx context.Context, key string, call scheduler.Call) (scheduler.Receipt, error) {
	return c.send(ctx, c.prover, key, call)
}

func (c *fakeChain) Await(ctx context.Context, key string) (scheduler.Receipt, error) {
	return c.awaitSend(ctx, c.prover, key)
}

func (c *fakeChain) send(ctx context.Context, by wire.Address, key string, call scheduler.Call) (scheduler.Receipt, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := errors.Join(c.down, ctx.Err()); err != nil {
		return scheduler.Receipt{}, err
	}
	if c.unsent && call.Kind == scheduler.CallSettle {
		return scheduler.Receipt{}, errOffline
	}
	journal := by.String() + " " + key
	if s, ok := c.sent[journal]; ok {
		if fmt.Sprint(s.call) != fmt.Sprint(call) {
			return scheduler.Receipt{}, chain.ErrKeyReused
		}
		return c.journalled(journal)
	}
	receipt, err := c.execute(by, call)
	if err != nil {
		return receipt, err
	}
	c.sent[journal] = &fakeSend{by: by, call: call, block: len(c.blocks) - 1, receipt: receipt}
	if c.dropped {
		err = errOffline
	}
	return receipt, err
}

func (c *fakeChain) awaitSend(ctx context.Context, by wire.Address, key string) (scheduler.Receipt, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := errors.Join(c.down, ctx.Err()); err != nil {
		return scheduler.Receipt{}, err
	}
	return c.journalled(by.String() + " " + key)
}

// journalled is what the journal has of a call. A refused one is told and then
// forgotten, so that it may be made again.
func (c *fakeChain) journalled(key string) (scheduler.Receipt, error) {
	s, ok := c.sent[key]
	if !ok {
		return scheduler.Receipt{}, nil
	}
	if s.err != nil {
		delete(c.sent, key)
		return scheduler.Receipt{}, s.err
	}
	return s.receipt, nil
}

func revert(name string) error { return &chain.RevertError{Name: name} }

func (c *fakeChain) execute(by wire.Address, call scheduler.Call) (scheduler.Receipt, error) {
	c.attempts[call.Kind]++
	if c.refuse != nil && c.refuse(call) {
		return scheduler.Receipt{}, revert("Refused")
	}
	tx, err := c.call(by, call)
	if err != nil {
		return scheduler.Receipt{}, err
	}
	return scheduler.Receipt{Tx: tx, Gas: 4242}, nil
}

func (c *fakeChain) call(by wire.Address, call scheduler.Call) (wire.Hash, error) {
	if call.Kind == scheduler.CallResume {
		c.self.Idle = false
		return c.add(c.tip().tasks, c.tip().bodies, nil), nil
	}
	if call.Kind == scheduler.CallAccept {
		return c.accept(by, call.Tasks)
	}
	id := call.Tasks[0]
	r, known := c.tip().tasks[id]
	if !known {
		return wire.Hash{}, revert("UnknownTask")
	}
	mine := r.Prover == by
	switch {
	case call.Kind == scheduler.CallDecline && r.Status == scheduler.ChainOffered && mine:
		c.change(id, scheduler.Record{Status: scheduler.ChainWaiting, Draw: r.Draw},
			scheduler.ChainEvent{Kind: scheduler.EventDeclined}, scheduler.ChainEvent{Kind: scheduler.EventWaiting})
	case call.Kind == scheduler.CallClaim && r.Status == scheduler.ChainWaiting:
		r.Status, r.Prover, r.Deadline = scheduler.ChainAccepted, by, c.now+window
		c.change(id, r, scheduler.ChainEvent{Kind: scheduler.EventAccepted, Prover: by, Deadline: r.Deadline})
	case call.Kind == scheduler.CallAdvance && r.Status == scheduler.ChainOffered && c.now > r.AcceptBy:
		c.offer(id, by, scheduler.ChainEvent{Kind: scheduler.EventMissed})
	case call.Kind == scheduler.CallReassign && r.Status == scheduler.ChainAccepted && c.now > r.Deadline:
		c.offer(id, by, scheduler.ChainEvent{Kind: scheduler.EventReassigned})
	case call.Kind == scheduler.CallSettle && r.Status == scheduler.ChainAccepted && mine:
		return c.settle(by, id, r, call)
	default:
		return wire.Hash{}, revert("WrongStatus")
	}
	return wire.SHA256(c.tip().hash[:]), nil
}

func (c *fakeChain) accept(by wire.Address, ids []wire.Hash) (wire.Hash, error) {
	tasks := maps.Clone(c.tip().tasks)
	var events []scheduler.ChainEvent
	for _, id := range ids {
		r := tasks[id]
		if r.Status != scheduler.ChainOffered || r.Prover != by {
			return wire.Hash{}, revert("NotOffered")
		}
		r.Status, r.Deadline = scheduler.ChainAccepted, c.now+window
		tasks[id] = r
		events = append(events, scheduler.ChainEvent{Kind: scheduler.EventAccepted, Task: id, Prover: by, Deadline: r.Deadline})
	}
	c.accepts++
	return c.add(tasks, c.tip().bodies, events), nil
}

func (c *fakeChain) settle(by wire.Address, id wire.Hash, r scheduler.Record, call scheduler.Call) (wire.Hash, error) {
	vk, err := groth16vk.ParseVK(c.key)
	if err != nil {
		return wire.Hash{}, err
	}
	inputs, err := wire.PublicInputs(c.d, id, by, c.tip().bodies[id].DataCommitment, call.Outputs)
	if err != nil {
		return wire.Hash{}, err
	}
	if groth16vk.Verify(vk, call.Proof, inputs) != nil {
		return wire.Hash{}, revert("InvalidProof")
	}
	c.settles[id]++
	r.Status = scheduler.ChainSettled
	return c.change(id, r, scheduler.ChainEvent{Kind: scheduler.EventSettled, Prover: by}), nil
}

// Settlements counts the settlements of a task on the canonical chain.
func (c *fakeChain) Settlements(id wire.Hash) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.settles[id]
}
