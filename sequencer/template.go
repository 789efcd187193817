package sequencer

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gristmill-zk/gristmill/internal/store"
	"github.com/gristmill-zk/gristmill/miner"
	"github.com/gristmill-zk/gristmill/wire"
)

// template is the next block without its extra nonce. It does not change.
type template struct {
	id     string
	d      wire.Deployment
	parent Tip
	time   uint32
	target *big.Int
	base   wire.Coinbase
	tasks  []batchRow
	leaves [][]byte // of the tasks
	made   time.Time
}

// extraNonceSize is the length of the extra nonce in our coinbases.
const extraNonceSize = 8

// newTemplate builds the block after tip. now becomes the header's time, unless
// the parent is ahead of it.
func newTemplate(cfg *Config, tip Tip, tasks []batchRow, now time.Time) (*template, error) {
	target, err := wire.CompactToTarget(tip.NextBits)
	if err != nil {
		return nil, fmt.Errorf("nBits of the chain: %w", err)
	}
	var id [8]byte
	_, _ = rand.Read(id[:]) // never fails
	t := &template{
		id: hex.EncodeToString(id[:]), d: cfg.Chain.Deployment(), parent: tip, target: target, tasks: tasks, made: now,
		time: max(uint32(now.Unix()), tip.Time+1),
		base: wire.Coinbase{
			Minter: cfg.Chain.Minter(), Operator: cfg.Chain.Operator(), Beneficiary: cfg.Beneficiary,
			Height: tip.Height + 1, TaskCount: uint32(len(tasks)),
		},
	}
	for i := range tasks {
		t.leaves = append(t.leaves, tasks[i].task.Leaf(t.d, tip.Hash))
	}
	return t, nil
}

// sameWork says whether a template on tip with these tasks would be the same.
func (t *template) sameWork(tip Tip, tasks []batchRow) bool {
	return t.parent == tip && slices.EqualFunc(t.tasks, tasks, func(a, b batchRow) bool {
		return a.id == b.id && a.task.Authorisation.Expiry == b.task.Authorisation.Expiry
	})
}

// block fills in an extra nonce.
func (t *template) block(extra []byte) (wire.Header, []byte, error) {
	c := t.base
	c.ExtraNonce = extra
	coinbase, err := c.Encode(t.d)
	if err != nil {
		return wire.Header{}, nil, err
	}
	root, err := wire.MerkleRoot(append([][]byte{coinbase}, t.leaves...))
	if err != nil {
		return wire.Header{}, nil, err
	}
	return wire.Header{
		Version: wire.HeaderVersion, Prev: t.parent.Hash, MerkleRoot: root, Time: t.time, Bits: t.parent.NextBits,
	}, coinbase, nil
}

// desk hands out jobs of the current template and takes their solutions. A
// job's id holds the template's id and the extra nonce, so that any number of
// miners costs no memory.
type desk struct {
	mu      sync.Mutex
	current *template
	claimed *wire.Hash // parent of the solved block that is on its way; nil for none
	extra   uint64
	changed chan struct{} // closed when current changes
	stopped chan struct{} // closed by stop
	stop    func()
}

func newDesk() *desk {
	var seed [8]byte
	_, _ = rand.Read(seed[:]) // never fails
	d := &desk{extra: binary.BigEndian.Uint64(seed[:]), changed: make(chan struct{}), stopped: make(chan struct{})}
	d.stop = sync.OnceFunc(func() { close(d.stopped) }) // nobody waits for work any more
	return d
}

// set makes t the template to work on; nil stops the work. So does a template
// whose parent a solved block has: who made it looked before that block was
// journalled, and two blocks of ours would compete.
func (d *desk) set(t *template) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if t != nil && d.claimed != nil && t.parent.Hash == *d.claimed {
		t = nil
	}
	d.put(t)
}

// put changes the template under the lock.
func (d *desk) put(t *template) {
	if d.current == t {
		return
	}
	d.current = t
	close(d.changed)
	d.changed = make(chan struct{})
}

// at tells the desk the chain's tip: a claim of any other parent is history.
func (d *desk) at(tip wire.Hash) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.claimed != nil && *d.claimed != tip {
		d.claimed = nil
	}
}

// release lets a parent be mined on again, after the block on it was refused.
func (d *desk) release(parent wire.Hash) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.claimed != nil && *d.claimed == parent {
		d.claimed = nil
	}
}

// reset forgets a claim, after the chain reorganised.
func (d *desk) reset() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.claimed = nil
}

func (d *desk) get() *template {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.current
}

// work blocks until the current template is not that of the job have.
func (d *desk) work(ctx context.Context, have string) (miner.Job, uint64, error) {
	for {
		d.mu.Lock()
		t, changed := d.current, d.changed
		d.extra++
		extra := binary.BigEndian.AppendUint64(nil, d.extra)
		d.mu.Unlock()
		switch {
		case t == nil && have != "":
			return miner.Job{}, 0, nil
		case t != nil && !strings.HasPrefix(have, t.id+"-"):
			header, _, err := t.block(extra)
			return miner.Job{ID: t.id + "-" + hex.EncodeToString(extra), Header: header, Target: t.target}, t.base.Height, err
		}
		select {
		case <-changed:
		case <-d.stopped:
			return miner.Job{}, 0, errStopping
		case <-ctx.Done():
			return miner.Job{}, 0, ctx.Err()
		}
	}
}

// claim checks a solution and, if it is good, takes the template off the desk:
// it wants no second solution. restore undoes that.
func (d *desk) claim(s miner.Solution) (t *template, coinbase []byte, err error) {
	name, rawExtra, _ := strings.Cut(s.JobID, "-")
	d.mu.Lock()
	defer d.mu.Unlock()
	t = d.current
	if t == nil || t.id != name {
		return nil, nil, miner.ErrStale
	}
	extra, err := hex.DecodeString(rawExtra)
	if err != nil || len(extra) != extraNonceSize {
		return nil, nil, refuse(wire.RejectMalformed, "job_id", "is not the name of a job")
	}
	want, coinbase, err := t.block(extra)
	if err != nil {
		return nil, nil, err
	}
	if err := checkSolved(want, s.Header); err != nil {
		return nil, nil, err
	}
	parent := t.parent.Hash
	d.claimed = &parent
	d.put(nil)
	return t, coinbase, nil
}

// checkSolved compares a solved header with its job: only the nonce and
// BIP320's bits may differ, and the work must be there.
func checkSolved(want, got wire.Header) error {
	fixed := got
	fixed.Nonce, fixed.Version = want.Nonce, want.Version
	if fixed != want {
		return refuse(wire.RejectMalformed, "header", "differs from the job in more than nonce and version bits")
	}
	return got.CheckWork()
}

// restore puts a claimed template back, unless another has come meanwhile.
func (d *desk) restore(t *template) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.claimed = nil
	if d.current == nil {
		d.put(t)
	}
}

// templater keeps the desk's template on the chain's tip with the tasks that
// are ready. One goroutine runs it.
type templater struct {
	cfg     *Config
	db      *store.DB
	queues  *queues
	desk    *desk
	tell    func(Event)
	tipSeen func(Tip)
}

// step looks once at the chain and the ready batches.
func (t *templater) step(ctx context.Context) error {
	tip, err := t.cfg.Chain.Tip(ctx)
	if err != nil {
		return fmt.Errorf("sequencer: tip: %w", err)
	}
	t.tipSeen(tip)
	t.desk.at(tip.Hash)
	next, err := t.next(ctx, tip)
	if err != nil {
		return fmt.Errorf("sequencer: template: %w", err)
	}
	t.desk.set(next)
	return nil
}

// next is the template to work on; nil for none.
func (t *templater) next(ctx context.Context, tip Tip) (*template, error) {
	if busy, err := t.underway(ctx, tip.Hash); err != nil || busy {
		return nil, err
	}
	tasks, err := t.ready(ctx)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	if len(tasks) == 0 && !t.emptyDue(tip, now) {
		return nil, nil
	}
	if int64(tip.Time)+1 > now.Add(maxAhead).Unix() {
		return nil, nil // a child would have to be too far in the future
	}
	if old := t.desk.get(); old != nil && old.sameWork(tip, tasks) && now.Sub(old.made) < t.cfg.Refresh {
		return old, nil
	}
	made, err := newTemplate(t.cfg, tip, tasks, now)
	if err != nil {
		return nil, err
	}
	t.tell(JobOffered{Height: made.base.Height, Parent: tip.Hash, Bits: tip.NextBits, Tasks: len(tasks)})
	return made, nil
}

// maxAhead keeps header times well below the minute that the contract allows.
const maxAhead = 30 * time.Second

func (t *templater) emptyDue(tip Tip, now time.Time) bool {
	return t.cfg.MineEmpty && now.Sub(time.Unix(int64(tip.Time), 0)) >= t.cfg.EmptyInterval
}

// underway says whether a block of ours with this parent is on its way to the
// chain: another would only compete with it.
func (t *templater) underway(ctx context.Context, parent wire.Hash) (busy bool, err error) {
	err = t.db.Read().QueryRowContext(ctx,
		`SELECT EXISTS (SELECT 1 FROM mints WHERE state IN ('sending', 'landed') AND parent = ?)`, parent[:]).Scan(&busy)
	return busy, err
}

// ready are the batches for the next block: authorised for some time to come,
// of projects that can pay. Projects take turns, the one whose batch waits
// longest first, so that none keeps the others out.
func (t *templater) ready(ctx context.Context) ([]batchRow, error) {
	queues, err := t.queues.load(ctx, t.cfg.Chain.MaxTasks(), time.Now().Add(t.cfg.AuthorisationTTL/4))
	if err != nil {
		return nil, err
	}
	return takeTurns(queues, t.cfg.Chain.MaxTasks()), nil
}
