package scheduler

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gristmill-zk/gristmill/internal/failpoint"
	"github.com/gristmill-zk/gristmill/wire"
)

// results takes what workers report. A result is acknowledged to the queue
// only after its effect is durable; duplicates, late ones and those of old
// attempts have no effect, except that a verified proof always counts.
func (s *Scheduler) results(ctx context.Context, ready func()) error {
	return s.queue.Results(ctx, ready, func(ctx context.Context, r wire.Result) error {
		_ = s.queueSeen.tried(nil) // it brought a result
		failpoint.Hit("scheduler.result.before")
		err := s.takeResult(ctx, r)
		failpoint.Hit("scheduler.result.after")
		if err != nil && ctx.Err() == nil {
			s.logger.WarnContext(ctx, "result not taken, will come again",
				"task", r.TaskID, "attempt", r.Attempt, "kind", r.Kind, "error", err)
		}
		return err
	})
}

func (s *Scheduler) takeResult(ctx context.Context, r wire.Result) error {
	t, err := s.store.Task(ctx, r.TaskID)
	if isNotFound(err) || (err == nil && (r.Attempt == 0 || r.Attempt > t.Attempt)) {
		s.logger.WarnContext(ctx, "result of an attempt that was never made is dropped",
			"task", r.TaskID, "attempt", r.Attempt, "worker", r.Worker)
		return nil
	}
	if err != nil {
		return err
	}
	var bad *badProof
	if r.Kind == wire.ResultProved {
		if err := s.verify(ctx, t, r.ProofEnvelope); err != nil && !errors.As(err, &bad) {
			return err
		}
	}
	var now uint64
	waits := r.Kind == wire.ResultFailed && r.Error.RetryAfter > 0
	if waits {
		if now, err = s.chain.Time(ctx); err != nil {
			return fmt.Errorf("chain time: %w", err)
		}
	}
	return s.store.update(ctx, func(tx *txn) error {
		task, err := tx.task(r.TaskID)
		if err != nil {
			return err
		}
		if r.Progress != "" {
			if err := tx.setProgress(r.TaskID, r.Attempt, r.Progress); err != nil {
				return err
			}
		}
		switch {
		case r.Kind == wire.ResultSolved:
			return tx.solved(task, r)
		case bad != nil:
			return s.failed(tx, task, r, wire.WorkError{Code: "bad_proof", Message: bad.Error(), Retry: true})
		case r.Kind == wire.ResultProved:
			return tx.proved(task, r)
		case waits:
			return s.waits(tx, task, r, now)
		}
		return s.failed(tx, task, r, *r.Error)
	})
}

// solved notes that the circuit solves, of whatever attempt.
func (t *txn) solved(task *Task, r wire.Result) error {
	a, err := t.attempt(task.ID, r.Attempt)
	if err != nil || a.State == AttemptProved || a.State == AttemptFailed {
		return err
	}
	if a.State.Running() {
		if err := t.setAttempt(task.ID, r.Attempt, AttemptSolved, r.Worker, ""); err != nil {
			return err
		}
	}
	task.Solves = true
	if r.Attempt == task.Attempt && task.State == Dispatched {
		return t.move(task, Solved, fmt.Sprintf("solved by worker %s", r.Worker))
	}
	return t.save(task)
}

// proved keeps a verified proof. It counts whatever became of its attempt.
func (t *txn) proved(task *Task, r wire.Result) error {
	if len(task.envelope) > 0 {
		return nil // a proof is here already
	}
	envelope, err := r.ProofEnvelope.MarshalBinary()
	if err != nil {
		return err
	}
	if err := t.setAttempt(task.ID, r.Attempt, AttemptProved, r.Worker, ""); err != nil {
		return err
	}
	task.setProof(envelope)
	task.Solves, task.failures, task.nextAt = true, 0, t.now
	if task.State == Fetched || task.State.Working() {
		return t.move(task, Proved, fmt.Sprintf("proof of attempt %d by worker %s verifies", r.Attempt, r.Worker))
	}
	return t.save(task)
}

// failed ends an attempt; the current one leads to another, or to declining an
// offer, or a task that waits for any prover, that nobody relies on yet.
func (s *Scheduler) failed(t *txn, task *Task, r wire.Result, why wire.WorkError) error {
	current, reason, err := t.endAttempt(task, r, why)
	if err != nil || !current {
		return err
	}
	task.failures++
	task.nextAt = t.now.Add(s.backoff(task.failures))
	free := (task.Status == ChainOffered || task.Status == ChainWaiting) && task.answer == unanswered
	if free && (!why.Retry || int(task.failures) >= s.cfg.Attempts) {
		task.failures = 0
		return t.move(task, Declined, reason)
	}
	return t.move(task, Fetched, reason)
}

// endAttempt notes that an attempt failed, and says whether the task waited for it.
func (t *txn) endAttempt(task *Task, r wire.Result, why wire.WorkError) (current bool, reason string, err error) {
	a, err := t.attempt(task.ID, r.Attempt)
	if err != nil || !a.State.Running() {
		return false, "", err
	}
	if err := t.setAttempt(task.ID, r.Attempt, AttemptFailed, r.Worker, why.Error()); err != nil {
		return false, "", err
	}
	reason = fmt.Sprintf("attempt %d failed on worker %s: %s", r.Attempt, r.Worker, why.Error())
	return r.Attempt == task.Attempt && task.State.Working(), reason, nil
}

// declineAhead is how long before an offer passes it is declined whose task still
// waits for something: what the transaction may take. Silence would make the
// prover idle for every project.
const declineAhead = 10 * time.Second

// waits ends an attempt whose worker only lacks what is on its way. That is no
// failure of the task's: it is given again, is not given up for it, and holds up
// no others. Until it is about to pass an offer is kept: the chain draws a task
// for a few provers only before it is dead. now is the chain's time in unix
// seconds.
func (s *Scheduler) waits(t *txn, task *Task, r wire.Result, now uint64) error {
	current, reason, err := t.endAttempt(task, r, *r.Error)
	if err != nil || !current {
		return err
	}
	after := time.Duration(r.Error.RetryAfter) * time.Second
	switch {
	case task.Status == ChainOffered && task.answer == unanswered:
		left := time.Duration(int64(task.AcceptBy)-int64(now))*time.Second - declineAhead
		if left <= 0 {
			return t.move(task, Declined, reason)
		}
		// More often as the end comes near.
		after = min(after, max(left/2, time.Second))
	case task.Status == ChainAccepted:
		// As after too many failures: tasks that wait for any prover go on.
		task.failures = max(task.failures, uint32(s.cfg.Attempts))
	}
	task.nextAt = t.now.Add(after)
	return t.move(task, Fetched, reason)
}
