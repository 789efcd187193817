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

// answer accepts the offers of tasks that solve, in batches, claims those that
// solve and wait for any prover, and declines those of declined tasks. What is sent is stored first, so that a restart
// sends the same transaction under the same key.
func (s *Scheduler) answer(ctx context.Context, ready func()) error {
	wake, leave := s.bell.listen()
	defer leave()
	ready()
	return s.loop(ctx, "answer", wake, s.cfg.Poll, s.answerOffers)
}

func (s *Scheduler) answerOffers(ctx context.Context) error {
	if err := s.prepareAnswers(ctx); err != nil {
		return err
	}
	return s.sendAnswers(ctx)
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

func (s *Scheduler) sendAnswers(ctx context.Context) error {
	rows, err := collect(ctx, s.store.db.Read(), func(row scanner) (answerRow, error) {
		var a answerRow
		var text string
		if err := row.Scan(&a.key, &a.kind, &text); err != nil {
			return a, err
		}
		return a, json.Unmarshal([]byte(text), &a.tasks)
	}, `SELECT key, kind, tasks FROM answers ORDER BY at, key`)
	if err != nil {
		return err
	}
	for _, row := range rows {
		if err := s.sendAnswer(ctx, row); err != nil {
			return err
		}
	}
	return nil
}

func (s *Scheduler) sendAnswer(ctx context.Context, row answerRow) error {
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
