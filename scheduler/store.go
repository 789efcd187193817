package scheduler

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/gristmill-zk/gristmill/internal/store"
	"github.com/gristmill-zk/gristmill/wire"
)

//go:embed migrations/*.sql
var migrationFiles embed.FS

// ErrNotFound is a task, body or proof that the store does not have.
var ErrNotFound = errors.New("not found")

// Store is what this prover durably knows. Every change is one transaction.
type Store struct {
	db *store.DB
	// committed is called with what a transaction did, once it is durable.
	committed func([]Event)
}

// OpenStore opens or makes the database at path.
func OpenStore(ctx context.Context, path string) (*Store, error) {
	migrations, err := fs.Sub(migrationFiles, "migrations")
	if err != nil {
		return nil, err
	}
	db, err := store.Open(ctx, path, migrations)
	if err != nil {
		return nil, err
	}
	return &Store{db: db, committed: func([]Event) {}}, nil
}

// Close closes the database.
func (s *Store) Close() error { return s.db.Close() }

// update runs fn in a transaction and reports what it did after the commit.
func (s *Store) update(ctx context.Context, fn func(*txn) error) error {
	t := &txn{ctx: ctx, now: time.Now()}
	err := s.db.Update(ctx, func(tx *sql.Tx) error {
		t.tx = tx
		return fn(t)
	})
	if err == nil && t.wrote {
		s.committed(t.events)
	}
	return err
}

const taskColumns = `id, status, project, version, count, commitment, data_hash, size, height, operator,
 prover, offer, draw, accept_by, deadline, settle_tx, why,
 state, attempt, solves, reason, answer, opened, failures, next_at, envelope, envelope_sum, tx, gas, created_at, updated_at`

type scanner interface{ Scan(...any) error }

func scanTask(row scanner) (*Task, error) {
	var t Task
	var next, created, updated int64
	err := row.Scan(blob(t.ID[:]), &t.Status, &t.Project, &t.Version, &t.Count, blob(t.DataCommitment[:]), blob(t.DataHash[:]),
		&t.Size, &t.Height, blob(t.Operator[:]),
		blob(t.Prover[:]), &t.Offer, &t.Draw, &t.AcceptBy, &t.Deadline, blob(t.SettleTx[:]), &t.Why,
		&t.State, &t.Attempt, &t.Solves, &t.Reason, &t.answer, &t.opened, &t.failures, &next, &t.envelope, &t.envelopeSum,
		blob(t.Tx[:]), &t.Gas, &created, &updated)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("scheduler store: read task: %w", err)
	}
	t.nextAt, t.CreatedAt, t.UpdatedAt = fromMillis(next), fromMillis(created), fromMillis(updated)
	return &t, nil
}

type query interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

func getTask(ctx context.Context, q query, id wire.Hash) (*Task, error) {
	return scanTask(q.QueryRowContext(ctx, `SELECT `+taskColumns+` FROM tasks WHERE id = ?`, id[:]))
}

func listTasks(ctx context.Context, q query, where string, args ...any) ([]*Task, error) {
	return collect(ctx, q, scanTask, `SELECT `+taskColumns+` FROM tasks WHERE `+where, args...)
}

// collect runs a query and scans every row.
func collect[T any](ctx context.Context, q query, scan func(scanner) (T, error), text string, args ...any) ([]T, error) {
	rows, err := q.QueryContext(ctx, text, args...)
	if err != nil {
		return nil, fmt.Errorf("scheduler store: %w", err)
	}
	defer func() { _ = rows.Close() }()
	var out []T
	for rows.Next() {
		item, err := scan(rows)
		if err != nil {
			return nil, err
		}
		out = append(out, item)
	}
	return out, rows.Err()
}

// Task reads one task.
func (s *Store) Task(ctx context.Context, id wire.Hash) (*Task, error) {
	return getTask(ctx, s.db.Read(), id)
}

// Tasks lists this prover's tasks, the newest first; all of them for None.
func (s *Store) Tasks(ctx context.Context, state State, limit int) ([]*Task, error) {
	if state == None {
		return listTasks(ctx, s.db.Read(), `state != '' ORDER BY created_at DESC, height DESC LIMIT ?`, limit)
	}
	return listTasks(ctx, s.db.Read(), `state = ? ORDER BY created_at DESC, height DESC LIMIT ?`, state, limit)
}

// History is what happened to a task, the oldest first.
func (s *Store) History(ctx context.Context, id wire.Hash) ([]Step, error) {
	return collect(ctx, s.db.Read(), func(row scanner) (Step, error) {
		var step Step
		var at int64
		err := row.Scan(&at, &step.State, &step.Attempt, &step.Reason)
		step.At = fromMillis(at)
		return step, err
	}, `SELECT at, state, attempt, reason FROM history WHERE task = ? ORDER BY seq`, id[:])
}

// Attempts are a task's attempts, the oldest first.
func (s *Store) Attempts(ctx context.Context, id wire.Hash) ([]Attempt, error) {
	return collect(ctx, s.db.Read(), scanAttempt,
		`SELECT `+attemptColumns+` FROM attempts WHERE task = ? ORDER BY attempt`, id[:])
}

const attemptColumns = `attempt, state, worker, reason, progress, started_at, ended_at`

func scanAttempt(row scanner) (Attempt, error) {
	var a Attempt
	var started, ended int64
	err := row.Scan(&a.Number, &a.State, &a.Worker, &a.Reason, &a.Progress, &started, &ended)
	if errors.Is(err, sql.ErrNoRows) {
		err = ErrNotFound
	}
	a.StartedAt, a.EndedAt = fromMillis(started), fromMillis(ended)
	return a, err
}

// running counts the attempts that have not ended.
func (s *Store) running(ctx context.Context) (n int, err error) {
	err = s.db.Read().QueryRowContext(ctx, `SELECT COUNT(*) FROM attempts WHERE state IN (?, ?, ?)`,
		AttemptNew, AttemptSent, AttemptSolved).Scan(&n)
	return n, err
}

// Body reads a body by its hash.
func (s *Store) Body(ctx context.Context, hash wire.Hash) ([]byte, error) {
	var body []byte
	err := s.db.Read().QueryRowContext(ctx, `SELECT body FROM bodies WHERE hash = ?`, hash[:]).Scan(&body)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, fmt.Errorf("body %s: %w", hash, ErrNotFound)
	}
	return body, err
}

// Proof reads a task's verified proof.
func (s *Store) Proof(ctx context.Context, id wire.Hash) (*wire.ProofEnvelope, error) {
	t, err := s.Task(ctx, id)
	if err != nil {
		return nil, err
	}
	return t.proof()
}

func (t *Task) proof() (*wire.ProofEnvelope, error) {
	if len(t.envelope) == 0 {
		return nil, fmt.Errorf("proof of task %s: %w", t.ID, ErrNotFound)
	}
	if sum := sha256.Sum256(t.envelope); len(t.envelopeSum) > 0 && !bytes.Equal(sum[:], t.envelopeSum) {
		return nil, fmt.Errorf("%w of task %s: its bytes are not those that were stored", errDamaged, t.ID)
	}
	e := new(wire.ProofEnvelope)
	if err := e.UnmarshalBinary(t.envelope); err != nil {
		return nil, fmt.Errorf("%w of task %s: %w", errDamaged, t.ID, err)
	}
	return e, nil
}

// errDamaged says that a stored proof cannot be read any more. Nobody's bytes
// but our own are at fault.
var errDamaged = errors.New("damaged proof in the store")

// setProof keeps a verified envelope, and what its bytes are.
func (t *Task) setProof(envelope []byte) {
	sum := sha256.Sum256(envelope)
	t.envelope, t.envelopeSum = envelope, sum[:]
}

// position is where the chain was read up to; nil at the start.
func (s *Store) position(ctx context.Context) ([]byte, error) {
	var value []byte
	err := s.db.Read().QueryRowContext(ctx, `SELECT value FROM meta WHERE key = 'position'`).Scan(&value)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	return value, err
}

// fixedBlob scans a blob of known size, an empty one meaning zero.
type fixedBlob []byte

func blob(to []byte) *fixedBlob { b := fixedBlob(to); return &b }

// Scan implements sql.Scanner.
func (b *fixedBlob) Scan(src any) error {
	raw, ok := src.([]byte)
	if !ok && src != nil {
		return fmt.Errorf("blob column holds a %T", src)
	}
	if len(raw) != 0 && len(raw) != len(*b) {
		return fmt.Errorf("blob column holds %d bytes, want %d", len(raw), len(*b))
	}
	copy(*b, raw)
	return nil
}

func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func fromMillis(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}
