package sequencer

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/gristmill-zk/gristmill/chain"
	"github.com/gristmill-zk/gristmill/wire"
)

// fakeChain follows the rules of the contracts that concern a sequencer: tip,
// work, root, one live task per body, funds. It can reorganise, be out of
// reach, and keep itself in a file.
type fakeChain struct {
	mu       sync.Mutex
	moved    chan struct{}
	state    fakeState
	file     string
	down     bool
	projects map[uint64]*fakeProject
	bits     uint32

	// mintHook, if set, runs before a block is looked at; its error is Mint's.
	mintHook func(ctx context.Context, key string) error
	// afterMint, if set, runs once the block stands.
	afterMint func(tasks []wire.Hash)
	mintCalls int
	deviceAsk int
}

type fakeProject struct {
	Project
	Terms
	old      Terms // of the versions before the current one
	unlisted bool
	free     *big.Int
	denied   map[wire.Hash]bool
}

type fakeState struct {
	Blocks   []fakeBlock
	Receipts map[string]Receipt
}

type fakeBlock struct {
	Hash   wire.Hash
	Time   uint64
	Events []ChainEvent
	After  fakeWorld
}

type fakeWorld struct {
	Tips   []Tip
	Tasks  map[wire.Hash]fakeTask
	ByData map[wire.Hash]wire.Hash
}

type fakeTask struct {
	Project  uint64
	DataHash wire.Hash
	Status   EventKind
}

func (w fakeWorld) clone() fakeWorld {
	return fakeWorld{slices.Clone(w.Tips), maps.Clone(w.Tasks), maps.Clone(w.ByData)}
}

const easyBits = 0x207fffff

func newFakeChain(file string) *fakeChain {
	f := &fakeChain{moved: make(chan struct{}), file: file, bits: easyBits, projects: map[uint64]*fakeProject{}}
	f.projects[1] = &fakeProject{
		Project: Project{Version: 1},
		Terms:   Terms{BatchSize: 4, PayloadLimit: 64, MaxWait: 0, Reward: big.NewInt(10)},
		free:    big.NewInt(1_000_000), denied: map[wire.Hash]bool{},
	}
	if raw, err := os.ReadFile(file); err == nil {
		if err := json.Unmarshal(raw, &f.state); err != nil {
			panic(err)
		}
		return f
	}
	f.state.Receipts = map[string]Receipt{}
	f.append(fakeWorld{
		Tips:  []Tip{{Hash: wire.GenesisHash(f.Deployment()), Time: uint32(time.Now().Unix()) - 100, NextBits: f.bits}},
		Tasks: map[wire.Hash]fakeTask{}, ByData: map[wire.Hash]wire.Hash{},
	}, nil)
	return f
}

func (f *fakeChain) Deployment() wire.Deployment {
	return wire.Deployment{ChainID: 1337, Registry: wire.Address{1, 2, 3}}
}
func (f *fakeChain) Minter() wire.Address   { return wire.Address{4} }
func (f *fakeChain) Operator() wire.Address { return wire.Address{5} }
func (f *fakeChain) MaxTasks() int          { return 3 }

var errDown = errors.New("connection refused")

// read runs fn under the lock unless the chain is out of reach.
func (f *fakeChain) read(fn func() error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.down {
		return errDown
	}
	return fn()
}

func (f *fakeChain) head() *fakeBlock { return &f.state.Blocks[len(f.state.Blocks)-1] }

func (f *fakeChain) Tip(context.Context) (t Tip, err error) {
	return t, f.read(func() error { t = last(f.head().After.Tips); return nil })
}

func last[T any](s []T) T { return s[len(s)-1] }

func (f *fakeChain) project(id uint64, fn func(p *fakeProject)) error {
	return f.read(func() error {
		p, ok := f.projects[id]
		if !ok {
			return ErrNoProject
		}
		fn(p)
		return nil
	})
}

func (f *fakeChain) Projects(context.Context) (n uint64, err error) {
	return n, f.read(func() error {
		for id := range f.projects {
			n = max(n, id)
		}
		return nil
	})
}

func (f *fakeChain) Project(_ context.Context, id uint64) (v Project, err error) {
	err = f.project(id, func(p *fakeProject) { v = p.Project })
	return v, err
}

func (f *fakeChain) Terms(_ context.Context, id uint64, version uint32) (v Terms, err error) {
	err = f.project(id, func(p *fakeProject) {
		if v = p.Terms; version < p.Version {
			v = p.old
		}
	})
	return v, err
}

func (f *fakeChain) Funds(_ context.Context, id uint64, _ wire.Address) (v *big.Int, err error) {
	err = f.project(id, func(p *fakeProject) { v = p.free })
	return v, err
}

func (f *fakeChain) IsSequencer(_ context.Context, id uint64, _ wire.Address) (v bool, err error) {
	err = f.project(id, func(p *fakeProject) { v = !p.unlisted })
	return v, err
}

func (f *fakeChain) DeviceAllowed(_ context.Context, id uint64, device wire.Hash) (v bool, err error) {
	err = f.project(id, func(p *fakeProject) { v = !p.denied[device]; f.deviceAsk++ })
	return v, err
}

func (f *fakeChain) BlockTime(_ context.Context, number uint64) (t uint64, err error) {
	err = f.read(func() error { t = f.state.Blocks[number].Time; return nil })
	return t, err
}

// append adds an EVM block.
func (f *fakeChain) append(w fakeWorld, events []ChainEvent) {
	var hash wire.Hash
	_, _ = rand.Read(hash[:])
	number := uint64(len(f.state.Blocks))
	for i := range events {
		events[i].Block, events[i].Index, events[i].Tx = number, uint(i), hash
	}
	f.state.Blocks = append(f.state.Blocks, fakeBlock{hash, uint64(time.Now().Unix()), events, w})
	f.save()
}

func (f *fakeChain) save() {
	close(f.moved)
	f.moved = make(chan struct{})
	if f.file == "" {
		return
	}
	raw, err := json.Marshal(f.state)
	if err == nil {
		if err = os.WriteFile(f.file+".new", raw, 0o600); err == nil {
			err = os.Rename(f.file+".new", f.file)
		}
	}
	if err != nil {
		panic(err)
	}
}

func (f *fakeChain) Mint(ctx context.Context, key string, b SolvedBlock) (Receipt, error) {
	f.mu.Lock()
	f.mintCalls++
	hook, after := f.mintHook, f.afterMint
	f.mu.Unlock()
	if hook != nil {
		if err := hook(ctx, key); err != nil {
			return Receipt{}, err
		}
	}
	var r Receipt
	var tasks []wire.Hash
	err := f.read(func() (err error) {
		if known, ok := f.state.Receipts[key]; ok {
			r = known
			return nil
		}
		r, tasks, err = f.mint(b)
		if err == nil {
			f.state.Receipts[key] = r
			f.save()
		}
		return err
	})
	if err == nil && after != nil && len(tasks) > 0 {
		after(tasks)
	}
	return r, err
}

func refused(name string, args ...any) error {
	return &BlockError{Name: name, Err: fmt.Errorf("reverted: %s%v", name, args)}
}

func (f *fakeChain) mint(b SolvedBlock) (Receipt, []wire.Hash, error) {
	w, d := f.head().After.clone(), f.Deployment()
	tip := last(w.Tips)
	c, err := wire.ParseCoinbase(d, b.Coinbase)
	if err != nil {
		return Receipt{}, nil, refused("BadCoinbase", err)
	}
	leaves := [][]byte{b.Coinbase}
	for i := range b.Tasks {
		leaves = append(leaves, b.Tasks[i].Leaf(d, b.Header.Prev))
	}
	root, _ := wire.MerkleRoot(leaves)
	hash := b.Header.Hash()
	switch {
	case b.Header.Prev != tip.Hash:
		return Receipt{}, nil, refused("NotTip", tip.Hash, b.Header.Prev)
	case b.Header.Bits != tip.NextBits:
		return Receipt{}, nil, refused("WrongBits")
	case b.Header.CheckWork() != nil:
		return Receipt{}, nil, refused("NotEnoughWork")
	case root != b.Header.MerkleRoot:
		return Receipt{}, nil, refused("WrongRoot")
	case b.Header.Time <= tip.Time:
		return Receipt{}, nil, refused("TimeTooOld")
	case c.Operator != f.Operator() || c.Minter != f.Minter() || c.Height != tip.Height+1 || int(c.TaskCount) != len(b.Tasks):
		return Receipt{}, nil, refused("BadCoinbase", c)
	}
	w.Tips = append(w.Tips, Tip{hash, tip.Height + 1, b.Header.Time, f.bits})
	raw := b.Header.Encode()
	events := []ChainEvent{{Kind: KindBlockMined, Height: tip.Height + 1, Mined: &MinedBlock{
		Hash: hash, Height: tip.Height + 1, Operator: c.Operator, Beneficiary: c.Beneficiary, Tasks: c.TaskCount,
		Reward: big.NewInt(5), Header: raw[:], Coinbase: b.Coinbase,
	}}}
	var ids []wire.Hash
	for i := range b.Tasks {
		ids = append(ids, f.enter(&w, &b.Tasks[i], b.Header.Prev, tip.Height+1, &events))
	}
	f.append(w, events)
	return Receipt{Tx: f.head().Hash, Block: uint64(len(f.state.Blocks) - 1), Gas: 100_000}, ids, nil
}

func (f *fakeChain) enter(w *fakeWorld, t *wire.Task, parent wire.Hash, height uint64, events *[]ChainEvent) wire.Hash {
	id := t.ID(f.Deployment(), parent)
	*events = append(*events, ChainEvent{Kind: KindTaskMined, Task: id, Leaf: t, Height: height})
	if reason := f.skips(w, t); reason != chain.SkipNone {
		*events = append(*events, ChainEvent{Kind: KindTaskSkipped, Task: id, Reason: reason.String()})
		return id
	}
	w.Tasks[id] = fakeTask{t.Project, t.DataHash, KindTaskOffered}
	w.ByData[t.DataHash] = id
	*events = append(*events, ChainEvent{Kind: KindTaskOffered, Task: id})
	return id
}

// skips is TaskManager._check, in its order.
func (f *fakeChain) skips(w *fakeWorld, t *wire.Task) chain.SkipReason {
	p := f.projects[t.Project]
	_, authErr := t.Authoriser(f.Deployment())
	_, noElement := t.DataCommitment.Element()
	old, taken := w.Tasks[w.ByData[t.DataHash]]
	switch {
	case p == nil || t.Version == 0 || t.Version > p.Version:
		return chain.SkipUnknownVersion
	case p.Paused:
		return chain.SkipProjectPaused
	case t.Count == 0 || t.Count > p.BatchSize:
		return chain.SkipBadCount
	case t.Size > 1<<20:
		return chain.SkipBadSize
	case noElement != nil:
		return chain.SkipBadCommitment
	case uint64(time.Now().Unix()) > t.Authorisation.Expiry:
		return chain.SkipExpired
	case authErr != nil:
		return chain.SkipBadAuthorisation
	case taken && old.Status != KindTaskDead && old.Status != KindTaskRecalled:
		return chain.SkipDuplicateData
	case p.free.Cmp(p.Reward) < 0:
		return chain.SkipInsufficientFunds
	}
	return chain.SkipNone
}

// end gives a live task its end in a block of its own.
func (f *fakeChain) end(id wire.Hash, kind EventKind, reason string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	w := f.head().After.clone()
	t, ok := w.Tasks[id]
	if !ok || t.Status != KindTaskOffered {
		return false
	}
	t.Status = kind
	w.Tasks[id] = t
	f.append(w, []ChainEvent{{Kind: kind, Task: id, Reason: reason}})
	return true
}

// tick adds an empty EVM block.
func (f *fakeChain) tick() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.append(f.head().After, nil)
}

// reorg drops the newest n EVM blocks and puts an empty one in their place.
func (f *fakeChain) reorg(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.state.Blocks = f.state.Blocks[:len(f.state.Blocks)-n]
	f.append(f.head().After, nil)
}

// compete mines a block of somebody else on the tip, with whatever leaves, and
// returns their ids.
func (f *fakeChain) compete(leaves ...wire.Task) (ids []wire.Hash) {
	f.mu.Lock()
	defer f.mu.Unlock()
	w := f.head().After.clone()
	tip := last(w.Tips)
	var hash wire.Hash
	_, _ = rand.Read(hash[:])
	var events []ChainEvent
	for i := range leaves {
		ids = append(ids, f.enter(&w, &leaves[i], tip.Hash, tip.Height+1, &events))
	}
	w.Tips = append(w.Tips, Tip{hash, tip.Height + 1, tip.Time + 1, f.bits})
	f.append(w, events)
	return ids
}

// onMint and onMinted set the hooks.
func (f *fakeChain) onMint(hook func(ctx context.Context, key string) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mintHook = hook
}

func (f *fakeChain) onMinted(hook func(tasks []wire.Hash)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.afterMint = hook
}

func (f *fakeChain) setDown(down bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.down = down
}

// change edits a project and announces it.
func (f *fakeChain) change(id uint64, fn func(*fakeProject)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	fn(f.projects[id])
	f.append(f.head().After, []ChainEvent{{Kind: KindProjectChanged, Project: id}})
}

// tasks lists the canonical tasks in a state.
func (f *fakeChain) tasks(status EventKind) []fakeTask {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []fakeTask
	for _, t := range f.head().After.Tasks {
		if t.Status == status {
			out = append(out, t)
		}
	}
	return out
}

func (f *fakeChain) taskIDs(status EventKind) []wire.Hash {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []wire.Hash
	for id, t := range f.head().After.Tasks {
		if t.Status == status {
			out = append(out, id)
		}
	}
	return out
}

type fakePosition struct {
	Number uint64
	Hashes []wire.Hash // of every block so far
}

func (f *fakeChain) Follow(ctx context.Context, position []byte, apply func(context.Context, Batch) error) error {
	var p fakePosition
	if position != nil {
		if err := json.Unmarshal(position, &p); err != nil {
			return err
		}
	}
	for {
		f.mu.Lock()
		moved := f.moved
		batch, next := f.after(p)
		f.mu.Unlock()
		if batch == nil {
			select {
			case <-moved:
				continue
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		if err := apply(ctx, *batch); err != nil {
			return err
		}
		p = next
	}
}

// after is the next batch for someone at p; nil when there is none.
func (f *fakeChain) after(p fakePosition) (*Batch, fakePosition) {
	common := 0
	for common < len(p.Hashes) && common < len(f.state.Blocks) && p.Hashes[common] == f.state.Blocks[common].Hash {
		common++
	}
	b := &Batch{}
	switch {
	case common < len(p.Hashes):
		p.Hashes = slices.Clone(p.Hashes[:common])
		above := uint64(common - 1)
		b.Rollback = &above
	case common < len(f.state.Blocks):
		block := f.state.Blocks[common]
		p.Hashes = append(slices.Clone(p.Hashes), block.Hash)
		b.Events = block.Events
	default:
		return nil, p
	}
	p.Number = uint64(len(p.Hashes) - 1)
	b.Number = p.Number
	b.Position, _ = json.Marshal(p)
	return b, p
}
