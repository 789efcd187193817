package scheduler

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/gristmill-zk/gristmill/wire"
)

// txn is one write transaction of the store, and what it did.
type txn struct {
	ctx    context.Context
	tx     *sql.Tx
	now    time.Time
	wrote  bool
	events []Event
}

func (t *txn) exec(text string, args ...any) error {
	t.wrote = true
	if _, err := t.tx.ExecContext(t.ctx, text, args...); err != nil {
		return fmt.Errorf("scheduler store: %w", err)
	}
	return nil
}

func (t *txn) task(id wire.Hash) (*Task, error) { return getTask(t.ctx, t.tx, id) }

// move takes the task to a state by the table, and writes it with a row of
// history. Fields of task that changed before are written along.
func (t *txn) move(task *Task, to State, reason string) error {
	if err := task.State.check(to); err != nil {
		return fmt.Errorf("task %s: %w", task.ID, err)
	}
	from := task.State
	task.State, task.Reason = to, reason
	if err := t.save(task); err != nil {
		return err
	}
	t.events = append(t.events, Event{At: t.now, Kind: StateChanged, From: from, Task: *task})
	return t.note(task, reason)
}

// note adds a row of history without a change of state.
func (t *txn) note(task *Task, reason string) error {
	return t.exec(`INSERT INTO history (task, at, state, attempt, reason) VALUES (?, ?, ?, ?, ?)`,
		task.ID[:], millis(t.now), task.State, task.Attempt, reason)
}

// save writes the whole task, which may be new.
func (t *txn) save(task *Task) error {
	if task.CreatedAt.IsZero() {
		task.CreatedAt = t.now
	}
	task.UpdatedAt = t.now
	if task.envelope == nil {
		task.envelope = []byte{}
	}
	if task.envelopeSum == nil {
		task.envelopeSum = []byte{}
	}
	return t.exec(`INSERT INTO tasks (`+taskColumns+`)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (id) DO UPDATE SET
 status = excluded.status, project = excluded.project, version = excluded.version, count = excluded.count,
 commitment = excluded.commitment, data_hash = excluded.data_hash, size = excluded.size, height = excluded.height,
 operator = excluded.operator, prover = excluded.prover, offer = excluded.offer, draw = excluded.draw,
 accept_by = excluded.accept_by, deadline = excluded.deadline, settle_tx = excluded.settle_tx, why = excluded.why,
 state = excluded.state, attempt = excluded.attempt, solves = excluded.solves, reason = excluded.reason,
 answer = excluded.answer, opened = excluded.opened, failures = excluded.failures, next_at = excluded.next_at,
 envelope = excluded.envelope, envelope_sum = excluded.envelope_sum, tx = excluded.tx, gas = excluded.gas, updated_at = excluded.updated_at`,
		task.ID[:], task.Status, int64(task.Project), task.Version, task.Count, task.DataCommitment[:], task.DataHash[:],
		task.Size, int64(task.Height), task.Operator[:],
		task.Prover[:], task.Offer, task.Draw, int64(task.AcceptBy), int64(task.Deadline), task.SettleTx[:], task.Why,
		task.State, task.Attempt, task.Solves, task.Reason, task.answer, task.opened, task.failures, millis(task.nextAt),
		task.envelope, task.envelopeSum, task.Tx[:], int64(task.Gas), millis(task.CreatedAt), millis(task.UpdatedAt))
}

// setTask changes a task without moving it.
func (t *txn) setTask(id wire.Hash, change func(*Task)) error {
	task, err := t.task(id)
	if err != nil {
		return err
	}
	change(task)
	return t.save(task)
}

func (t *txn) drop(id wire.Hash) error {
	return t.exec(`DELETE FROM tasks WHERE id = ?`, id[:])
}

func (t *txn) haveBody(hash wire.Hash) (bool, error) {
	var n int
	err := t.tx.QueryRowContext(t.ctx, `SELECT COUNT(*) FROM bodies WHERE hash = ?`, hash[:]).Scan(&n)
	return n > 0, err
}

func (t *txn) putBody(hash wire.Hash, body []byte) error {
	return t.exec(`INSERT INTO bodies (hash, body, at) VALUES (?, ?, ?) ON CONFLICT (hash) DO NOTHING`,
		hash[:], body, millis(t.now))
}

func (t *txn) attempt(id wire.Hash, number uint32) (Attempt, error) {
	return scanAttempt(t.tx.QueryRowContext(t.ctx,
		`SELECT `+attemptColumns+` FROM attempts WHERE task = ? AND attempt = ?`, id[:], number))
}

func (t *txn) newAttempt(id wire.Hash, number uint32) error {
	return t.exec(`INSERT INTO attempts (task, attempt, state, started_at) VALUES (?, ?, ?, ?)`,
		id[:], number, AttemptNew, millis(t.now))
}

func (t *txn) setAttempt(id wire.Hash, number uint32, state AttemptState, worker, reason string) error {
	var ended int64
	if !state.Running() {
		ended = millis(t.now)
	}
	return t.exec(`UPDATE attempts SET state = ?, worker = CASE WHEN ? = '' THEN worker ELSE ? END, reason = ?, ended_at = ?
WHERE task = ? AND attempt = ?`, state, worker, worker, reason, ended, id[:], number)
}

// setProgress notes what an attempt has come to. Results may overtake each other:
// of one that has ended, only what nothing was noted of yet is news.
func (t *txn) setProgress(id wire.Hash, number uint32, progress string) error {
	return t.exec(`UPDATE attempts SET progress = ? WHERE task = ? AND attempt = ? AND (progress = '' OR state IN (?, ?, ?))`,
		progress, id[:], number, AttemptNew, AttemptSent, AttemptSolved)
}

func (t *txn) setPosition(position []byte) error {
	return t.exec(`INSERT INTO meta (key, value) VALUES ('position', ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value`, position)
}

// count adds one to a durable counter and returns it.
func (t *txn) count(name string) (int64, error) {
	var n int64
	err := t.tx.QueryRowContext(t.ctx, `SELECT CAST(value AS INTEGER) FROM meta WHERE key = ?`, "count/"+name).Scan(&n)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return 0, fmt.Errorf("scheduler store: %w", err)
	}
	n++
	return n, t.exec(`INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value`,
		"count/"+name, fmt.Sprint(n))
}

// addEvent keeps an event; one that is there already stays as it is.
func (t *txn) addEvent(e ChainEvent) error {
	data, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("scheduler store: event: %w", err)
	}
	return t.exec(`INSERT INTO chain_events (block, idx, task, data) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING`,
		int64(e.Block), int64(e.Index), e.Task[:], string(data))
}

// taskEvents are the events of one task in chain order.
func (t *txn) taskEvents(id wire.Hash) ([]ChainEvent, error) {
	return collect(t.ctx, t.tx, func(row scanner) (ChainEvent, error) {
		e := ChainEvent{Task: id}
		var data string
		var block, index int64
		if err := row.Scan(&block, &index, &data); err != nil {
			return e, err
		}
		e.Block, e.Index = uint64(block), uint(index)
		return e, json.Unmarshal([]byte(data), &e)
	}, `SELECT block, idx, data FROM chain_events WHERE task = ? ORDER BY block, idx`, id[:])
}

// rollback forgets the events above a block and names their tasks.
func (t *txn) rollback(block uint64) ([]wire.Hash, error) {
	ids, err := collect(t.ctx, t.tx, scanHash, `SELECT DISTINCT task FROM chain_events WHERE block > ?`, int64(block))
	if err != nil {
		return nil, err
	}
	return ids, t.exec(`DELETE FROM chain_events WHERE block > ?`, int64(block))
}

func scanHash(row scanner) (wire.Hash, error) {
	var h wire.Hash
	err := row.Scan(blob(h[:]))
	return h, err
}
