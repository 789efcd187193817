package sequencer

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/gristmill-zk/gristmill/chain"
	"github.com/gristmill-zk/gristmill/internal/failpoint"
	"github.com/gristmill-zk/gristmill/internal/store"
	"github.com/gristmill-zk/gristmill/wire"
)

// follower applies the chain's events: facts, blocks and the position in one
// transaction. One goroutine runs it.
type follower struct {
	cfg      *Config
	address  wire.Address // of cfg.Key
	db       *store.DB
	projects *projects
	backlog  *backlog
	log      *slog.Logger
	tell     func(Event)
	moved    func()
	// undone is called after a rollback: what was mined on may be the tip again.
	undone func()
}

func (f *follower) run(ctx context.Context) error {
	position, _, err := loadPosition(ctx, f.db.Read())
	if err != nil {
		return fmt.Errorf("sequencer: position: %w", err)
	}
	if err := f.cfg.Chain.Follow(ctx, position, f.apply); err != nil {
		return fmt.Errorf("sequencer: follow: %w", err)
	}
	return nil
}

// applied collects what one batch of events did.
type applied struct {
	touched []int64 // batches
	news    []Event
	waiting map[uint64]int64 // by project: messages that left the backlog (below 0) or came back
}

func (f *follower) apply(ctx context.Context, b Batch) error {
	var done applied
	failpoint.Hit("sequencer.events.before")
	err := f.db.Update(ctx, func(tx *sql.Tx) error {
		done = applied{waiting: map[uint64]int64{}} // the function may run again
		if b.Rollback != nil {
			if err := undo(ctx, tx, *b.Rollback, &done); err != nil {
				return err
			}
		}
		for i := range b.Events {
			if err := f.record(ctx, tx, &b.Events[i], &done); err != nil {
				return fmt.Errorf("block %d log %d (%s): %w", b.Events[i].Block, b.Events[i].Index, b.Events[i].Kind, err)
			}
		}
		for _, batch := range done.touched {
			if err := f.recompute(ctx, tx, batch, &done); err != nil {
				return fmt.Errorf("batch %d: %w", batch, err)
			}
		}
		if err := savePosition(ctx, tx, b); err != nil {
			return err
		}
		return closeLanded(ctx, tx)
	})
	failpoint.Hit("sequencer.events.after")
	if err != nil {
		return fmt.Errorf("sequencer: apply events: %w", err)
	}
	for project, n := range done.waiting {
		f.backlog.add(project, n)
	}
	if b.Rollback != nil {
		f.log.WarnContext(ctx, "chain reorganised", "above", *b.Rollback, "batches", len(done.touched))
		f.undone()
	}
	changed := map[uint64]bool{}
	for i := range b.Events {
		if id := b.Events[i].Project; b.Events[i].Kind == KindProjectChanged && !changed[id] {
			changed[id] = true
			f.projects.changed(id)
		}
	}
	for _, e := range done.news {
		f.tell(e)
	}
	f.moved()
	return nil
}

func savePosition(ctx context.Context, tx *sql.Tx, b Batch) error {
	if err := saveMeta(ctx, tx, "position", b.Position); err != nil {
		return err
	}
	return saveMeta(ctx, tx, "number", nonceBytes(b.Number))
}

// undo forgets everything the chain said above a block. A block of ours that
// had landed there is over: if its transaction comes back, its events will.
func undo(ctx context.Context, tx *sql.Tx, above uint64, done *applied) error {
	n := int64(above)
	touched, err := collect(ctx, tx, scanOne[int64], `SELECT DISTINCT batch FROM facts WHERE evm_block > ?`, n)
	if err != nil {
		return err
	}
	done.touched = touched
	for _, query := range []string{
		`DELETE FROM facts WHERE evm_block > ?`,
		`DELETE FROM blocks WHERE evm_block > ?`,
		`UPDATE mints SET state = 'done' WHERE state = 'landed' AND evm_block > ?`,
	} {
		if err := execute(ctx, tx, query, n); err != nil {
			return err
		}
	}
	return nil
}

// record keeps an event that concerns a batch of ours, and every block.
func (f *follower) record(ctx context.Context, tx *sql.Tx, e *ChainEvent, done *applied) error {
	var batch int64
	var own bool
	var err error
	switch e.Kind {
	case KindBlockMined:
		return recordBlock(ctx, tx, e)
	case KindProjectChanged:
		return nil
	case KindTaskMined:
		batch, own, err = f.batchOf(ctx, tx, e.Leaf)
	default:
		err = tx.QueryRowContext(ctx, `SELECT batch FROM facts WHERE task = ? LIMIT 1`, e.Task[:]).Scan(&batch)
	}
	if errors.Is(err, sql.ErrNoRows) {
		return nil // another sequencer's
	}
	if err != nil {
		return err
	}
	if !slices.Contains(done.touched, batch) {
		done.touched = append(done.touched, batch)
	}
	return execute(ctx, tx, `INSERT INTO facts (evm_block, log_index, kind, batch, task, height, reason, seen, own) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		int64(e.Block), int64(e.Index), string(e.Kind), batch, e.Task[:], int64(e.Height), e.Reason, time.Now().UnixMilli(), own)
}

// batchOf finds the batch whose body a leaf names and says whether the leaf is
// ours. Bodies are public and a leaf costs only the work of its block, so
// anybody can write one that names our body and says something else of it, or
// that nobody authorised. Such a leaf concerns us, for it may go live and is
// then the body's only task, but how it ends says nothing about the body.
func (f *follower) batchOf(ctx context.Context, tx *sql.Tx, leaf *wire.Task) (batch int64, own bool, err error) {
	b, err := scanBatch(tx.QueryRowContext(ctx, `SELECT `+batchColumns+` FROM batches WHERE project = ? AND data_hash = ?`,
		int64(leaf.Project), leaf.DataHash[:]).Scan)
	if err != nil {
		return 0, false, err
	}
	if !sameTask(leaf, &b.task) {
		return b.id, false, nil
	}
	signer, err := leaf.Authoriser(f.cfg.Chain.Deployment())
	return b.id, err == nil && signer == f.address, nil
}

// sameTask compares everything but the authorisations: an older one of ours is
// as good as the current one.
func sameTask(a, b *wire.Task) bool {
	return a.Project == b.Project && a.Version == b.Version && a.Count == b.Count && a.Size == b.Size &&
		a.DataHash == b.DataHash && a.DataCommitment == b.DataCommitment
}

func recordBlock(ctx context.Context, tx *sql.Tx, e *ChainEvent) error {
	b := e.Mined
	return execute(ctx, tx, `INSERT INTO blocks (hash, height, evm_block, tx, operator, beneficiary, tasks, reward, header, coinbase)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`, b.Hash[:], int64(b.Height), int64(e.Block), e.Tx[:], b.Operator[:],
		b.Beneficiary[:], b.Tasks, decimal(b.Reward), b.Header, b.Coinbase)
}

// fact is one row of what the chain says about a batch.
type fact struct {
	kind   EventKind
	task   wire.Hash
	height uint64
	reason string
	seen   int64
	own    bool // of a mined leaf: it is ours, word for word
}

// taskState is what a batch's facts say about one of its tasks.
type taskState struct {
	id      wire.Hash
	height  uint64
	state   string
	reason  string
	seen    int64
	own     bool // the leaf it came from is ours
	entered bool // the contract took it in
}

// States of a task that the chain has ended without settling it.
const (
	taskSkipped  = string(KindTaskSkipped)
	taskDead     = string(KindTaskDead)
	taskRecalled = string(KindTaskRecalled)
	taskSettled  = string(KindTaskSettled)
)

// fold reads the facts in order. Leaves of strangers that the contract did not
// take in leave no trace in what it returns.
func fold(facts []fact) []taskState {
	var tasks []taskState
	lastOwn := map[wire.Hash]bool{} // whether the last leaf of the task is ours
	for _, f := range facts {
		i := slices.IndexFunc(tasks, func(t taskState) bool { return t.id == f.task })
		if i < 0 {
			tasks = append(tasks, taskState{id: f.task})
			i = len(tasks) - 1
		}
		t := &tasks[i]
		leaf := f.kind == KindTaskMined || f.kind == KindTaskSkipped
		if f.kind == KindTaskMined {
			lastOwn[f.task] = f.own
			t.height = f.height
		}
		// The block may have a leaf of this task twice. Once one was taken, the
		// others were skipped and the task stands; and a stranger's leaf, which
		// gives the same id, does not hide how ours ended.
		if leaf && (t.entered || t.own && !lastOwn[f.task]) {
			continue
		}
		if !t.entered {
			t.own = lastOwn[f.task]
		}
		t.entered, t.reason, t.seen = !leaf, f.reason, f.seen
		t.state = string(f.kind)
		if f.kind == KindTaskMined {
			t.state = string(KindTaskWaiting)
		}
	}
	return slices.DeleteFunc(tasks, func(t taskState) bool { return !t.own && !t.entered })
}

// verdict is the state of a batch.
type verdict struct {
	state     string
	reason    string
	notBefore int64
}

// judge computes a batch's state from its tasks.
func judge(cfg *Config, tasks []taskState, count int) verdict {
	v := verdict{state: batchOpen}
	ended, failures := 0, 0
	var last int64
	for _, t := range tasks {
		switch t.state {
		case taskSettled:
			return verdict{state: stateSettled}
		case taskSkipped, taskDead, taskRecalled:
			if !t.own {
				continue // a stranger's word about our body
			}
			ended++
			if !passing(t) {
				failures++
			}
			v.reason, last = reasonOf(t), max(last, t.seen)
		default:
			v.state = stateMined
		}
	}
	switch {
	case v.state == stateMined:
		return verdict{state: stateMined}
	case failures >= splitAfter && count > 1:
		v.state = batchSplitting
	case failures >= cfg.Attempts:
		v.state = stateRefused
	case ended > 0:
		v.notBefore = last + backoff(cfg, ended).Milliseconds()
	}
	return v
}

// standing are the reasons, as package chain names them, that lie in the
// project's standing at that moment or in the block, not in the body.
var standing = map[string]bool{
	chain.SkipUnknownVersion.String():    true,
	chain.SkipProjectPaused.String():     true,
	chain.SkipBadAuthorisation.String():  true,
	chain.SkipExpired.String():           true,
	chain.SkipDuplicateData.String():     true,
	chain.SkipInsufficientFunds.String(): true,
	chain.DeadInsufficientFunds.String(): true,
}

// passing says whether a task's end does not count as a failure of its body.
func passing(t taskState) bool { return t.state != taskRecalled && standing[t.reason] }

func reasonOf(t taskState) string {
	if t.reason == "" {
		return "task " + t.state
	}
	return "task " + t.state + ": " + t.reason
}

func backoff(cfg *Config, ended int) time.Duration {
	d := cfg.RetryFirst
	for range ended - 1 {
		if d *= 2; d >= cfg.RetryMost {
			return cfg.RetryMost
		}
	}
	return d
}

// recompute derives a batch's tasks and state from its facts.
func (f *follower) recompute(ctx context.Context, tx *sql.Tx, batch int64, done *applied) error {
	var project uint64
	var count int
	var before string
	var dataHash wire.Hash
	err := tx.QueryRowContext(ctx, `SELECT project, count, state, data_hash FROM batches WHERE id = ?`, batch).
		Scan(&project, &count, &before, hashArg{&dataHash})
	if err != nil {
		return err
	}
	facts, err := collect(ctx, tx, scanFact,
		`SELECT kind, task, height, reason, seen, own FROM facts WHERE batch = ? ORDER BY evm_block, log_index`, batch)
	if err != nil {
		return err
	}
	tasks := fold(facts)
	changed, err := f.saveTasks(ctx, tx, batch, tasks)
	if err != nil {
		return err
	}
	for _, t := range changed {
		done.news = append(done.news, TaskChanged{Task: t.id, DataHash: dataHash, State: t.state, Reason: t.reason, Messages: count})
	}
	v := judge(f.cfg, tasks, count)
	if before == batchSplit {
		if v.state == stateSettled || v.state == stateMined {
			f.log.ErrorContext(ctx, "a batch whose messages were freed is live on chain", "batch", batch, "data", dataHash, "state", v.state)
		}
		return nil
	}
	if n := waitingIn(v.state) - waitingIn(before); n != 0 {
		done.waiting[project] += int64(n * count)
	}
	if v.state == stateRefused && before != stateRefused {
		done.news = append(done.news, MessagesRefused{Project: project, Count: count, Reason: v.reason})
	}
	return execute(ctx, tx, `UPDATE batches SET state = ?, reason = ?, not_before = ? WHERE id = ?`, v.state, v.reason, v.notBefore, batch)
}

func scanFact(row func(...any) error) (f fact, err error) {
	var kind string
	err = row(&kind, hashArg{&f.task}, &f.height, &f.reason, &f.seen, &f.own)
	f.kind = EventKind(kind)
	return f, err
}

// saveTasks replaces a batch's tasks and returns those that are not as before.
func (f *follower) saveTasks(ctx context.Context, tx *sql.Tx, batch int64, tasks []taskState) (changed []taskState, err error) {
	type row struct {
		id    wire.Hash
		state string
	}
	old, err := collect(ctx, tx, func(scan func(...any) error) (r row, err error) {
		return r, scan(hashArg{&r.id}, &r.state)
	}, `SELECT id, state FROM tasks WHERE batch = ?`, batch)
	if err != nil {
		return nil, err
	}
	if err := execute(ctx, tx, `DELETE FROM tasks WHERE batch = ?`, batch); err != nil {
		return nil, err
	}
	for _, t := range tasks {
		if err := execute(ctx, tx, `INSERT INTO tasks (id, batch, height, state, reason) VALUES (?, ?, ?, ?, ?)`,
			t.id[:], batch, int64(t.height), t.state, t.reason); err != nil {
			return nil, err
		}
		if !slices.Contains(old, row{t.id, t.state}) {
			changed = append(changed, t)
		}
	}
	return changed, nil
}
