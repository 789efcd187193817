package scheduler

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/gristmill-zk/gristmill/internal/failpoint"
	"github.com/gristmill-zk/gristmill/wire"
)

// maxJobURLs is how many sources of data a job names.
const maxJobURLs = 8

// dispatch starts attempts: numbered in the store first, then queued. A crash
// between leaves a new attempt that is queued again under the same number.
func (s *Scheduler) dispatch(ctx context.Context, ready func()) error {
	wake, leave := s.bell.listen()
	defer leave()
	ready()
	return s.loop(ctx, "dispatch", wake, s.cfg.Poll, s.startAttempts)
}

func (s *Scheduler) startAttempts(ctx context.Context) error {
	if err := s.numberAttempts(ctx); err != nil {
		return err
	}
	return s.queueAttempts(ctx)
}

// byUrgency orders tasks by what is lost if they come late: a bond, an offer,
// nothing.
const byUrgency = `CASE status WHEN 'accepted' THEN 0 WHEN 'offered' THEN 1 ELSE 2 END,
 CASE status WHEN 'accepted' THEN deadline ELSE accept_by END, created_at`

func (s *Scheduler) numberAttempts(ctx context.Context) error {
	due, err := listTasks(ctx, s.store.db.Read(), `state = ? AND next_at <= ? ORDER BY `+byUrgency+` LIMIT 200`, Fetched, millis(time.Now()))
	if err != nil || len(due) == 0 {
		return err
	}
	pressed, err := s.pressed(ctx)
	if err != nil {
		return err
	}
	for _, t := range due {
		if pressed && t.Status == ChainWaiting {
			continue
		}
		failpoint.Hit("scheduler.attempt.before")
		err := s.store.update(ctx, func(tx *txn) error { return tx.numberAttempt(t.ID) })
		failpoint.Hit("scheduler.attempt.after")
		if err != nil {
			return err
		}
	}
	return nil
}

// pressed says whether an accepted task waits for a worker's first word. The
// queue is first come, first served, so what costs a bond goes in before work
// that is anybody's. A task that failed too often holds nothing up.
func (s *Scheduler) pressed(ctx context.Context) (bool, error) {
	me := s.cfg.Prover
	tasks, err := listTasks(ctx, s.store.db.Read(), `status = ? AND prover = ? AND state IN (?, ?) AND failures < ? LIMIT 1`,
		ChainAccepted, me[:], Fetched, Dispatched, s.cfg.Attempts)
	return len(tasks) > 0, err
}

func (t *txn) numberAttempt(id wire.Hash) error {
	task, err := t.task(id)
	if err != nil || task.State != Fetched {
		return err
	}
	if len(task.envelope) > 0 {
		return t.move(task, Proved, "a verified proof is here already")
	}
	task.Attempt++
	if err := t.newAttempt(id, task.Attempt); err != nil {
		return err
	}
	return t.move(task, Dispatched, fmt.Sprintf("attempt %d", task.Attempt))
}

// queueAttempts queues what is numbered and not known to be in the queue.
func (s *Scheduler) queueAttempts(ctx context.Context) error {
	tasks, err := listTasks(ctx, s.store.db.Read(), `state = ? AND EXISTS (SELECT 1 FROM attempts a
 WHERE a.task = tasks.id AND a.attempt = tasks.attempt AND a.state = ?) ORDER BY `+byUrgency+` LIMIT 200`, Dispatched, AttemptNew)
	if err != nil {
		return err
	}
	for _, t := range tasks {
		if err := s.queueAttempt(ctx, t); err != nil {
			return err
		}
	}
	return nil
}

func (s *Scheduler) queueAttempt(ctx context.Context, t *Task) error {
	job, err := s.job(ctx, t)
	if err != nil {
		return err
	}
	if _, err := job.Encode(); err != nil {
		return s.takeResult(ctx, unqueueable(t, err))
	}
	failpoint.Hit("scheduler.dispatch.before")
	err = s.queue.Dispatch(ctx, job)
	failpoint.Hit("scheduler.dispatch.after")
	if s.queueSeen.tried(err) != nil {
		return fmt.Errorf("dispatch %s: %w", job.ID(), err)
	}
	var stopped bool
	err = s.store.update(ctx, func(tx *txn) error {
		a, err := tx.attempt(t.ID, t.Attempt)
		stopped = a.State == AttemptStopped
		if err != nil || a.State != AttemptNew { // a quick worker was first
			return err
		}
		return tx.setAttempt(t.ID, t.Attempt, AttemptSent, "", "")
	})
	failpoint.Hit("scheduler.sent.after")
	if err == nil && stopped { // before it was in the queue, so the queue forgot it
		err = s.queue.Stop(ctx, job.ID())
	}
	return err
}

// unqueueable is the result of an attempt whose job fits no envelope. What is
// too big in it comes from the project or the block's sequencer; trying again
// cannot help, and other tasks wait behind this one.
func unqueueable(t *Task, why error) wire.Result {
	r := *wire.NewResult()
	r.TaskID, r.Attempt, r.Worker, r.Kind = t.ID, t.Attempt, "none", wire.ResultFailed
	r.Error = &wire.WorkError{Code: "unqueueable", Message: why.Error()}
	return r
}

// jobID is the queue's name for an attempt of this prover's.
func (s *Scheduler) jobID(task wire.Hash, attempt uint32) string {
	return wire.JobID(s.chain.Deployment(), s.cfg.Prover, task, attempt)
}

func (s *Scheduler) job(ctx context.Context, t *Task) (wire.Job, error) {
	version, err := s.version(ctx, t)
	if err != nil {
		return wire.Job{}, err
	}
	urls, err := s.chain.URLs(ctx, t.Operator)
	if err != nil {
		return wire.Job{}, fmt.Errorf("endpoints of sequencer %s: %w", t.Operator, err)
	}
	sources := []string{dataURL(s.URL(), t.DataHash)}
	for _, base := range append(urls, s.cfg.DataURLs...) {
		u := dataURL(base, t.DataHash)
		if isHTTP(base) && len(sources) < maxJobURLs && !slices.Contains(sources, u) {
			sources = append(sources, u)
		}
	}
	job := *wire.NewJob()
	job.Deployment, job.TaskID, job.Attempt, job.Prover = s.chain.Deployment(), t.ID, t.Attempt, s.cfg.Prover
	job.Project, job.Version = t.Project, t.Version
	job.BundleDigest, job.BundleURI = version.BundleDigest, version.BundleURI
	job.VKID, job.Outputs = version.VKID, version.Outputs
	job.DataHash, job.DataURLs = t.DataHash, sources
	job.BatchSize, job.PayloadLimit, job.Count = version.BatchSize, version.PayloadLimit, t.Count
	job.DataCommitment, job.Due = t.DataCommitment, t.due()
	job.ReplyQueue = wire.ResultQueue(job.Deployment, s.cfg.Prover)
	return job, nil
}
