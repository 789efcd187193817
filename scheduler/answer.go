package scheduler

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/gristmill-zk/gristmill/chain"
	"github.com/gristmill-zk/gristmill/internal/failpoint"
	"github.com/gristmill-zk/gristmill/wire"
)

// answerRow is an answer to offers that is, or is about to be, on its way.
type answerRow struct {
	key   string
	kind  CallKind
	tasks []wire.Hash
}

// maxAnswers is how many transactions of each kind of answer are in flight at
// a time.
const maxAnswers = 16

// answerer accepts the offers of tasks that solve, in batches, claims those
// that solve and wait for any prover, and declines those of declined tasks.
// What is sent is stored first, so that a restart sends the same transaction
// under the same key. Answers do not wait for the confirmations of those before
// them: the next offer's window runs meanwhile.
type answerer struct {
	*Scheduler
	// inFlight has a pool for each kind, so that no number of declines keeps
	// an acceptance waiting.
	inFlight map[CallKind]*pool[string]
	prepared time.Time
}

func newAnswerer(s *Scheduler) *answerer {
	a := &answerer{Scheduler: s, inFlight: map[CallKind]*pool[string]{}}
	for _, kind := range answerKinds {
		a.inFlight[kind] = &pool[string]{limit: maxAnswers}
	}
	return a
}

// answerKinds are the kinds of answers, the most urgent first.
var answerKinds = []CallKind{CallAccept, CallClaim, CallDecline}

func (s *Scheduler) answer(ctx context.Context, ready func()) error {
	wake, leave := s.bell.listen()
	defer leave()
	a := newAnswerer(s)
	defer a.wait()
	ready()
	return s.loop(ctx, "answer", wake, s.cfg.Poll, a.step)
}

func (a *answerer) wait() {
	for _, p := range a.inFlight {
		p.wait()
	}
}

// step prepares and sends. While acceptances are in flight new ones are
// gathered for a moment: one transaction for many costs less than many.
func (a *answerer) step(ctx context.Context) error {
	if now := time.Now(); a.inFlight[CallAccept].idle() || now.Sub(a.prepared) >= a.cfg.Poll {
		a.prepared = now
		if err := a.prepareAnswers(ctx); err != nil {
			return err
		}
	}
	return a.startAnswers(ctx)
}

func (s *Scheduler) prepareAnswers(ctx context.Context) error {
	due, err := s.unanswered(ctx, s.store.db.Read())
	if err != nil || due.empty() {
		return err
	}
	failpoint.Hit("scheduler.answer.before")
	err = s.store.update(ctx, func(tx *txn) error {
		due, err := s.unanswered(ctx, tx.tx)
		if err != nil {
			return err
		}
		if len(due.accept) > 0 {
			if err := tx.addAnswer(CallAccept, due.accept); err != nil {
				return err
			}
		}
		for kind, tasks := range map[CallKind][]*Task{CallClaim: due.claim, CallDecline: due.decline} {
			for _, t := range tasks {
				if err := tx.addAnswer(kind, []*Task{t}); err != nil {
					return err
				}
			}
		}
		return nil
	})
	failpoint.Hit("scheduler.answer.after")
	return err
}

// dueAnswers are the tasks that the chain is to hear about.
type dueAnswers struct{ accept, claim, decline []*Task }

func (d dueAnswers) empty() bool { return len(d.accept)+len(d.claim)+len(d.decline) == 0 }

func (s *Scheduler) unanswered(ctx context.Context, q query) (due dueAnswers, err error) {
	const open = `status = ? AND prover = ? AND answer = '' AND next_at <= ? `
	const solves = open + `AND solves AND state IN (?, ?, ?, ?) ORDER BY accept_by LIMIT ?`
	me, nobody, now := s.cfg.Prover, wire.Address{}, millis(time.Now())
	due.accept, err = listTasks(ctx, q, solves, ChainOffered, me[:], now, Fetched, Dispatched, Solved, Proved, s.cfg.AcceptBatch)
	if err != nil {
		return due, err
	}
	due.claim, err = listTasks(ctx, q, solves, ChainWaiting, nobody[:], now, Fetched, Dispatched, Solved, Proved, s.cfg.AcceptBatch)
	if err != nil {
		return due, err
	}
	due.decline, err = listTasks(ctx, q, open+`AND state = ? LIMIT 32`, ChainOffered, me[:], now, Declined)
	return due, err
}

func (t *txn) addAnswer(kind CallKind, tasks []*Task) error {
	ids := make([]wire.Hash, len(tasks))
	for i, task := range tasks {
		ids[i], task.answer = task.ID, answering
		if err := t.save(task); err != nil {
			return err
		}
	}
	return t.putAnswer(kind, ids)
}

func (t *txn) putAnswer(kind CallKind, ids []wire.Hash) error {
	slices.SortFunc(ids, func(a, b wire.Hash) int { return bytes.Compare(a[:], b[:]) })
	n, err := t.count("answers")
	if err != nil {
		return err
	}
	text, err := json.Marshal(ids)
	if err != nil {
		return err
	}
	// The digest keeps keys apart should the store start anew beside an old
	// journal of transactions.
	digest := wire.SHA256(text)
	return t.exec(`INSERT INTO answers (key, kind, tasks, at) VALUES (?, ?, ?, ?)`,
		fmt.Sprintf("%s/%d/%x", kind, n, digest[:8]), kind, string(text), millis(t.now))
}

func (a *answerer) startAnswers(ctx context.Context) error {
	rows, err := collect(ctx, a.store.db.Read(), func(row scanner) (answerRow, error) {
		var r answerRow
		var text string
		if err := row.Scan(&r.key, &r.kind, &text); err != nil {
			return r, err
		}
		return r, json.Unmarshal([]byte(text), &r.tasks)
	}, `SELECT key, kind, tasks FROM answers ORDER BY at, key`)
	if err != nil {
		return err
	}
	for _, kind := range answerKinds {
		for _, row := range rows {
			if row.kind == kind && !a.inFlight[kind].start(row.key, func() { a.sendOne(ctx, row) }) {
				break
			}
		}
	}
	return nil
}

// sendOne keeps its place for a moment after a failure, so that an endpoint
// that is away is not asked at every wake.
func (s *Scheduler) sendOne(ctx context.Context, row answerRow) {
	err := s.sendAnswer(ctx, row)
	if err == nil || ctx.Err() != nil {
		return
	}
	s.logger.WarnContext(ctx, "answer will be sent again", "key", row.key, "error", err)
	select {
	case <-ctx.Done():
	case <-time.After(s.cfg.RetryMin):
	}
}

func (s *Scheduler) sendAnswer(ctx context.Context, row answerRow) error {
	// The row may have been read just before its sending ended.
	if there, err := s.store.hasAnswer(ctx, row.key); err != nil || !there {
		return err
	}
	failpoint.Hit("scheduler.answer_send.before")
	receipt, err := s.chain.Send(ctx, row.key, Call{Kind: row.kind, Tasks: row.tasks})
	failpoint.Hit("scheduler.answer_send.after")
	if err != nil && !errors.Is(err, chain.ErrReverted) {
		return fmt.Errorf("%s: %w", row.key, err)
	}
	if err == nil {
		s.logger.InfoContext(ctx, "answered offers", "call", row.kind, "tasks", len(row.tasks), "tx", receipt.Tx, "gas", receipt.Gas)
	}
	reverted := err
	err = s.store.update(ctx, func(tx *txn) error {
		if err := tx.exec(`DELETE FROM answers WHERE key = ?`, row.key); err != nil {
			return err
		}
		switch {
		case reverted == nil:
			return tx.eachAnswering(row.tasks, func(t *Task) error { t.answer = answered; return tx.save(t) })
		case len(row.tasks) > 1:
			// One task may have spoilt the batch: each for itself.
			for _, id := range row.tasks {
				if err := tx.putAnswer(row.kind, []wire.Hash{id}); err != nil {
					return err
				}
			}
			return nil
		}
		return tx.eachAnswering(row.tasks, func(t *Task) error {
			t.answer, t.nextAt = unanswered, tx.now.Add(s.cfg.RetryMax)
			t.Reason = fmt.Sprintf("the chain refused to %s: %v", row.kind, reverted)
			if row.kind == CallClaim && !t.State.End() {
				return tx.move(t, Lost, t.Reason)
			}
			return tx.save(t)
		})
	})
	failpoint.Hit("scheduler.answer_seen.after")
	return err
}

func (s *Store) hasAnswer(ctx context.Context, key string) (bool, error) {
	var n int
	err := s.db.Read().QueryRowContext(ctx, `SELECT COUNT(*) FROM answers WHERE key = ?`, key).Scan(&n)
	return n > 0, err
}

// eachAnswering changes the tasks of an answer that still wait for it: the
// chain may have moved on since.
func (t *txn) eachAnswering(ids []wire.Hash, change func(*Task) error) error {
	for _, id := range ids {
		task, err := t.task(id)
		if isNotFound(err) {
			continue
		}
		if err != nil {
			return err
		}
		if task.answer != answering {
			continue
		}
		if err := change(task); err != nil {
			return err
		}
	}
	return nil
}
