package scheduler

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gristmill-zk/gristmill/chain"
	"github.com/gristmill-zk/gristmill/internal/failpoint"
	"github.com/gristmill-zk/gristmill/wire"
)

// settle sends the settlement of every proved task that the chain holds this
// prover to, once for each task: the key is the task's, and so is the
// contract's mark. A task is settled when the chain's event says so.
func (s *Scheduler) settle(ctx context.Context, ready func()) error {
	wake, leave := s.bell.listen()
	defer leave()
	settles := &pool[wire.Hash]{limit: s.cfg.Settles}
	defer settles.wait()
	ready()
	return s.loop(ctx, "settle", wake, s.cfg.Poll, func(ctx context.Context) error {
		return errors.Join(s.startSettles(ctx, settles), s.fillGas(ctx))
	})
}

func (s *Scheduler) startSettles(ctx context.Context, settles *pool[wire.Hash]) error {
	me, now := s.cfg.Prover, time.Now()
	// A submitted task without a receipt is one whose sending a crash
	// interrupted. One whose event does not follow its receipt may have been
	// refused after a reorganisation, which only its sender knows. The same key
	// makes sending them again harmless.
	tasks, err := listTasks(ctx, s.store.db.Read(), `status = ? AND prover = ? AND next_at <= ?
 AND (state = ? OR (state = ? AND (gas = 0 OR updated_at < ?))) ORDER BY deadline LIMIT 200`,
		ChainAccepted, me[:], millis(now), Proved, Submitted, millis(now.Add(-staleAnswer)))
	if err != nil {
		return err
	}
	for _, t := range tasks {
		if !settles.start(t.ID, func() { s.settleOne(ctx, t.ID) }) {
			break
		}
	}
	return nil
}

func (s *Scheduler) settleOne(ctx context.Context, id wire.Hash) {
	if err := s.trySettle(ctx, id); err != nil && ctx.Err() == nil {
		s.logger.WarnContext(ctx, "settlement will be tried again", "task", id, "error", err)
	}
}

func (s *Scheduler) trySettle(ctx context.Context, id wire.Hash) error {
	t, err := s.store.Task(ctx, id)
	if err != nil || (t.State != Proved && t.State != Submitted) {
		return err
	}
	envelope, err := s.provenEnvelope(ctx, t)
	var bad *rottenProof
	if errors.As(err, &bad) {
		return s.mend(ctx, t, bad)
	}
	if err != nil {
		return err
	}
	if err := s.submitted(ctx, id); err != nil {
		return err
	}
	failpoint.Hit("scheduler.settle.before")
	receipt, err := s.chain.Send(ctx, settleKey(id),
		Call{Kind: CallSettle, Tasks: []wire.Hash{id}, Proof: envelope.Proof, Outputs: envelope.Outputs})
	failpoint.Hit("scheduler.settle.after")
	return s.settleEnded(ctx, id, receipt, err)
}

func settleKey(id wire.Hash) string { return "settle/" + id.String() }

func (s *Scheduler) settleEnded(ctx context.Context, id wire.Hash, receipt Receipt, err error) error {
	switch {
	case err == nil:
		return s.gotReceipt(ctx, id, receipt)
	case errors.Is(err, chain.ErrReverted):
		return s.settleReverted(ctx, id, err)
	case ctx.Err() != nil:
		return err
	}
	return errors.Join(err, s.settleLater(ctx, id))
}

// settleLater puts a settlement off whose sending failed.
func (s *Scheduler) settleLater(ctx context.Context, id wire.Hash) error {
	failpoint.Hit("scheduler.settle_later.before")
	err := s.store.update(ctx, func(tx *txn) error {
		return tx.setTask(id, func(t *Task) { t.failures++; t.nextAt = tx.now.Add(s.backoff(t.failures)) })
	})
	failpoint.Hit("scheduler.settle_later.after")
	return err
}

// rottenProof is a stored proof that proves nothing any more.
type rottenProof struct{ err error }

func (e *rottenProof) Error() string {
	return "the stored proof does not verify any more: " + e.err.Error()
}
func (e *rottenProof) Unwrap() error { return e.err }

// provenEnvelope reads the stored proof and verifies it once more: gas is paid
// for what is on disk.
func (s *Scheduler) provenEnvelope(ctx context.Context, t *Task) (*wire.ProofEnvelope, error) {
	e, err := t.proof()
	if err == nil {
		err = s.verify(ctx, t, e)
	}
	var bad *badProof
	if errors.As(err, &bad) || errors.Is(err, errDamaged) {
		err = &rottenProof{err}
	}
	return e, err
}

// mend gets on without the stored proof. A settlement that was sent while the
// proof was sound still counts, and another proof under its key would be
// refused, so its end is awaited; without one the proof is made again.
func (s *Scheduler) mend(ctx context.Context, t *Task, why *rottenProof) error {
	receipt, err := s.chain.Await(ctx, settleKey(t.ID))
	if err == nil && receipt == (Receipt{}) {
		return s.dropProof(ctx, t.ID, why)
	}
	if err == nil {
		err = s.submitted(ctx, t.ID)
	}
	return s.settleEnded(ctx, t.ID, receipt, err)
}

func (s *Scheduler) dropProof(ctx context.Context, id wire.Hash, why *rottenProof) error {
	failpoint.Hit("scheduler.rotten.before")
	err := s.store.update(ctx, func(tx *txn) error {
		t, err := tx.task(id)
		if err != nil || (t.State != Proved && t.State != Submitted) {
			return err
		}
		t.envelope, t.envelopeSum, t.nextAt = nil, nil, tx.now
		return tx.move(t, Fetched, why.Error())
	})
	failpoint.Hit("scheduler.rotten.after")
	return err
}

func (s *Scheduler) submitted(ctx context.Context, id wire.Hash) error {
	failpoint.Hit("scheduler.submitted.before")
	err := s.store.update(ctx, func(tx *txn) error {
		t, err := tx.task(id)
		if err != nil || t.State == Submitted {
			return err
		}
		if t.State != Proved || t.Status != ChainAccepted || t.Prover != s.cfg.Prover {
			return fmt.Errorf("task %s is %s, on chain %s by now", id, t.State, t.Status)
		}
		return tx.move(t, Submitted, "sending the settlement")
	})
	failpoint.Hit("scheduler.submitted.after")
	return err
}

func (s *Scheduler) gotReceipt(ctx context.Context, id wire.Hash, r Receipt) error {
	err := s.store.update(ctx, func(tx *txn) error {
		return tx.receipt(id, r)
	})
	failpoint.Hit("scheduler.receipt.after")
	return err
}

func (t *txn) receipt(id wire.Hash, r Receipt) error {
	task, err := t.task(id)
	if err != nil || (task.Gas != 0 && task.State != Submitted) {
		return err
	}
	told := task.Gas != 0 && task.Tx == r.Tx
	task.Tx, task.Gas, task.failures = r.Tx, max(r.Gas, 1), 0
	if err := t.save(task); err != nil || told {
		return err
	}
	t.events = append(t.events, Event{At: t.now, Kind: ReceiptSeen, From: task.State, Task: *task})
	return t.note(task, fmt.Sprintf("settlement is in transaction %s, gas %d", r.Tx, r.Gas))
}

// settleReverted goes by the chain's head: a task that is still this prover's
// is proved and will be sent again, any other has reached its end, which the
// events will confirm.
func (s *Scheduler) settleReverted(ctx context.Context, id wire.Hash, reverted error) error {
	record, err := s.chain.Record(ctx, id)
	if err != nil {
		return errors.Join(reverted, err)
	}
	err = s.store.update(ctx, func(tx *txn) error {
		t, err := tx.task(id)
		if err != nil || t.State != Submitted {
			return err
		}
		t.failures++
		t.nextAt = tx.now.Add(s.backoff(t.failures))
		switch {
		case record.Status == ChainSettled && record.Prover == s.cfg.Prover:
			return tx.save(t) // its event is on the way
		case record.Status == ChainAccepted && record.Prover == s.cfg.Prover, record.Status == ChainGone:
			return tx.move(t, Proved, fmt.Sprintf("settlement refused: %v", reverted))
		case record.Status == ChainDead || record.Status == ChainRecalled:
			return tx.move(t, Dead, fmt.Sprintf("%s on chain", record.Status))
		}
		return tx.move(t, Lost, fmt.Sprintf("%s on chain, with prover %s", record.Status, record.Prover))
	})
	failpoint.Hit("scheduler.reverted.after")
	return err
}

// fillGas reads the receipts of settlements whose own a crash kept from the
// store.
func (s *Scheduler) fillGas(ctx context.Context) error {
	tasks, err := listTasks(ctx, s.store.db.Read(), `state = ? AND gas = 0 AND next_at <= ? LIMIT 50`, Settled, millis(time.Now().Add(-s.cfg.Poll)))
	if err != nil {
		return err
	}
	for _, t := range tasks {
		receipt, err := s.chain.Receipt(ctx, t.SettleTx)
		if err != nil {
			return fmt.Errorf("receipt of task %s: %w", t.ID, err)
		}
		if err := s.gotReceipt(ctx, t.ID, receipt); err != nil {
			return err
		}
	}
	return nil
}
