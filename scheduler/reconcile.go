package scheduler

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gristmill-zk/gristmill/internal/failpoint"
	"github.com/gristmill-zk/gristmill/wire"
)

// attemptID names an attempt.
type attemptID struct {
	task   wire.Hash
	number uint32
}

// reconciler compares the store with the queue and the chain and mends what
// differs, whatever the reason: a worker that died, a queue that was wiped, a
// process that was away.
type reconciler struct {
	*Scheduler
	// missing is since when an attempt is seen neither waiting nor beating. It
	// starts anew with the process and while the queue cannot be asked, so
	// that silence of ours is not taken for a worker's.
	missing map[attemptID]time.Time
	// told is what the store has of the progress of attempts that run.
	told     map[attemptID]string
	nextTrim time.Time
}

// reconcile runs the reconciler.
func (s *Scheduler) reconcile(ctx context.Context, ready func()) error {
	r := &reconciler{Scheduler: s, missing: map[attemptID]time.Time{}}
	ready()
	return s.loop(ctx, "reconcile", nil, s.cfg.Poll, r.step)
}

func (r *reconciler) step(ctx context.Context) error {
	return errors.Join(r.checkAttempts(ctx), r.stopAttempts(ctx), r.recheckAnswers(ctx), r.trim(ctx))
}

// checkAttempts gives up attempts that nobody works on any more.
func (r *reconciler) checkAttempts(ctx context.Context) error {
	tasks, err := listTasks(ctx, r.store.db.Read(), `state IN (?, ?) AND EXISTS (SELECT 1 FROM attempts a
 WHERE a.task = tasks.id AND a.attempt = tasks.attempt AND a.state IN (?, ?))`, Dispatched, Solved, AttemptSent, AttemptSolved)
	if err != nil {
		return err
	}
	seen, progress := make(map[attemptID]time.Time, len(tasks)), make(map[attemptID]string, len(tasks))
	for _, t := range tasks {
		id := attemptID{t.ID, t.Attempt}
		status, err := r.queue.Status(ctx, r.jobID(id.task, id.number))
		if r.queueSeen.tried(err) != nil {
			r.missing = map[attemptID]time.Time{}
			return fmt.Errorf("ask the queue: %w", err)
		}
		if status.Alive() {
			if status.Progress != "" {
				progress[id] = status.Progress
			}
			continue
		}
		since, ok := r.missing[id]
		if !ok {
			since = time.Now()
		}
		if time.Since(since) < r.cfg.LostAfter {
			seen[id] = since
			continue
		}
		if err := r.giveUp(ctx, id); err != nil {
			return err
		}
	}
	r.missing = seen
	return r.keepProgress(ctx, progress)
}

// keepProgress stores what running attempts say that they did not say before.
func (r *reconciler) keepProgress(ctx context.Context, progress map[attemptID]string) error {
	news := false
	for id, text := range progress {
		news = news || r.told[id] != text
	}
	if news {
		err := r.store.update(ctx, func(tx *txn) error {
			for id, text := range progress {
				if r.told[id] == text {
					continue
				}
				if err := tx.setProgress(id.task, id.number, text); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	r.told = progress
	return nil
}

// giveUp ends an attempt as lost. A new one follows; should the old one still
// bring a proof, it counts.
func (r *reconciler) giveUp(ctx context.Context, id attemptID) error {
	failpoint.Hit("scheduler.lost.before")
	err := r.store.update(ctx, func(tx *txn) error {
		t, err := tx.task(id.task)
		if err != nil || t.Attempt != id.number || !t.State.Working() {
			return err
		}
		reason := fmt.Sprintf("attempt %d is neither queued nor shows life for %v", id.number, r.cfg.LostAfter)
		if err := tx.setAttempt(id.task, id.number, AttemptLost, "", reason); err != nil {
			return err
		}
		t.nextAt = tx.now
		return tx.move(t, Fetched, reason)
	})
	failpoint.Hit("scheduler.lost.after")
	return errors.Join(err, r.queue.Stop(ctx, r.jobID(id.task, id.number)))
}

// stopAttempts ends attempts whose task does not need them any more.
func (r *reconciler) stopAttempts(ctx context.Context) error {
	idle, err := collect(ctx, r.store.db.Read(), func(row scanner) (attemptID, error) {
		var id attemptID
		err := row.Scan(blob(id.task[:]), &id.number)
		return id, err
	}, `SELECT a.task, a.attempt FROM attempts a JOIN tasks t ON t.id = a.task
WHERE a.state IN (?, ?, ?) AND (t.state NOT IN (?, ?) OR a.attempt != t.attempt) LIMIT 100`,
		AttemptNew, AttemptSent, AttemptSolved, Dispatched, Solved)
	if err != nil {
		return err
	}
	for _, id := range idle {
		if err := r.queueSeen.tried(r.queue.Stop(ctx, r.jobID(id.task, id.number))); err != nil {
			return fmt.Errorf("stop %s: %w", r.jobID(id.task, id.number), err)
		}
		err := r.store.update(ctx, func(tx *txn) error {
			return tx.setAttempt(id.task, id.number, AttemptStopped, "", "not needed any more")
		})
		failpoint.Hit("scheduler.stopped.after")
		if err != nil {
			return err
		}
	}
	return nil
}

// trim forgets, once in a while, what nobody asks for any more.
func (r *reconciler) trim(ctx context.Context) error {
	now := time.Now()
	if now.Before(r.nextTrim) {
		return nil
	}
	r.nextTrim = now.Add(min(r.cfg.Retention/4, 10*time.Minute))
	before := millis(now.Add(-r.cfg.Retention))
	failpoint.Hit("scheduler.trim.before")
	err := r.store.update(ctx, func(tx *txn) error {
		err := tx.exec(`DELETE FROM bodies WHERE at < ? AND NOT EXISTS (SELECT 1 FROM tasks t
 WHERE t.data_hash = bodies.hash AND (t.updated_at >= ? OR t.state NOT IN (?, ?, ?, ?)))`,
			before, before, Settled, Declined, Lost, Dead)
		if err != nil {
			return err
		}
		if err := tx.exec(`DELETE FROM tasks WHERE state = '' AND updated_at < ? AND status IN (?, ?, ?, ?)`,
			before, ChainSkipped, ChainSettled, ChainRecalled, ChainDead); err != nil {
			return err
		}
		return tx.exec(`DELETE FROM chain_events WHERE task NOT IN (SELECT id FROM tasks)`)
	})
	failpoint.Hit("scheduler.trim.after")
	return err
}
