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

// staleAnswer is how long a receipt may be without its event before the head
// is asked whether the offer stands after all.
const staleAnswer = time.Minute

// duties are what a prover does about the chain as a whole: return to work
// after it was idle, claim waiting tasks, move on offers and tasks that others
// let lie. Each is optional for the network, so a refusal is only noted.
func (r *reconciler) duties(ctx context.Context) error {
	if time.Now().Before(r.nextDuty) {
		return nil
	}
	r.nextDuty = time.Now().Add(r.cfg.DutyPoll)
	self, err := r.chain.Self(ctx)
	if err != nil {
		return fmt.Errorf("own registration: %w", err)
	}
	if !self.Joined || self.Paused {
		return nil
	}
	return errors.Join(r.resume(ctx, self), r.claim(ctx, self), r.pushOthers(ctx), r.recheckAnswers(ctx))
}

// resume puts this prover back among those that tasks are drawn to, after the
// chain found it idle.
func (r *reconciler) resume(ctx context.Context, self Self) error {
	if !self.Idle {
		return nil
	}
	// The key is kept until its transaction is mined: a restart repeats it.
	key, err := r.key(ctx, "resume")
	if err != nil {
		return err
	}
	err = r.do(ctx, key, Call{Kind: CallResume})
	if err != nil && !errors.Is(err, chain.ErrReverted) {
		return err
	}
	if err == nil {
		r.logger.InfoContext(ctx, "the chain had this prover idle: it takes tasks again")
	}
	return r.dropKey(ctx, "resume")
}

// key is a durable key for a call that recurs, the same until dropKey.
func (r *reconciler) key(ctx context.Context, name string) (string, error) {
	var key string
	failpoint.Hit("scheduler.key.before")
	err := r.store.update(ctx, func(tx *txn) error {
		keys, err := collect(ctx, tx.tx, func(row scanner) (string, error) {
			var k string
			return k, row.Scan(&k)
		}, `SELECT CAST(value AS TEXT) FROM meta WHERE key = ?`, "key/"+name)
		if err != nil || len(keys) > 0 {
			key = append(keys, "")[0]
			return err
		}
		n, err := tx.count(name)
		if err != nil {
			return err
		}
		key = fmt.Sprintf("%s/%d/%d", name, n, tx.now.UnixMilli())
		return tx.exec(`INSERT INTO meta (key, value) VALUES (?, ?)`, "key/"+name, key)
	})
	failpoint.Hit("scheduler.key.after")
	return key, err
}

func (r *reconciler) dropKey(ctx context.Context, name string) error {
	failpoint.Hit("scheduler.drop_key.before")
	err := r.store.update(ctx, func(tx *txn) error {
		return tx.exec(`DELETE FROM meta WHERE key = ?`, "key/"+name)
	})
	failpoint.Hit("scheduler.drop_key.after")
	return err
}

func (r *reconciler) do(ctx context.Context, key string, call Call) error {
	failpoint.Hit("scheduler.duty.before")
	receipt, err := r.chain.Send(ctx, key, call)
	failpoint.Hit("scheduler.duty.after")
	if err != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	r.logger.InfoContext(ctx, "did a duty on chain", "call", call.Kind, "tx", receipt.Tx, "gas", receipt.Gas)
	return nil
}

// claim begins work on tasks that wait for any prover, of the projects that
// this one opted in to and as many as it has room for. Claiming accepts a task
// at once, so it is sent only when the data is checked and the circuit solves.
func (r *reconciler) claim(ctx context.Context, self Self) error {
	if r.cfg.SkipClaim || self.Idle {
		return nil
	}
	waiting, err := listTasks(ctx, r.store.db.Read(), `status = ? AND state NOT IN (?, ?) AND next_at <= ? ORDER BY height LIMIT 200`,
		ChainWaiting, Declined, Settled, millis(time.Now()))
	if err != nil {
		return err
	}
	room := int64(self.Free)
	for _, t := range waiting {
		if t.State != None && !t.State.End() {
			room--
		}
	}
	opted := map[uint64]bool{}
	for _, t := range waiting {
		if t.State != None && t.State != Lost {
			continue
		}
		if room <= 0 {
			return nil
		}
		in, asked := opted[t.Project]
		if !asked {
			if in, err = r.chain.OptedIn(ctx, t.Project); err != nil {
				return fmt.Errorf("opt-in of project %d: %w", t.Project, err)
			}
			opted[t.Project] = in
		}
		if !in {
			continue
		}
		room--
		if err := r.takeUp(ctx, t.ID); err != nil {
			return err
		}
	}
	return nil
}

func (r *reconciler) takeUp(ctx context.Context, id wire.Hash) error {
	failpoint.Hit("scheduler.take_up.before")
	err := r.store.update(ctx, func(tx *txn) error {
		t, err := tx.task(id)
		if err != nil || t.Status != ChainWaiting || (t.State != None && t.State != Lost) {
			return err
		}
		haveBody, err := tx.haveBody(t.DataHash)
		if err != nil {
			return err
		}
		to := Discovered
		if t.State == Lost {
			to = t.reached(haveBody)
		}
		t.failures, t.nextAt, t.answer = 0, tx.now, unanswered
		return tx.move(t, to, "waits on chain for any prover: worth claiming")
	})
	failpoint.Hit("scheduler.take_up.after")
	return err
}

// pushOthers moves on offers that others let pass and, if so configured, takes
// late tasks from them.
func (r *reconciler) pushOthers(ctx context.Context) error {
	now, err := r.chain.Time(ctx)
	if err != nil {
		return fmt.Errorf("chain time: %w", err)
	}
	me := r.cfg.Prover
	if !r.cfg.SkipAdvance {
		late, err := listTasks(ctx, r.store.db.Read(), `status = ? AND prover != ? AND accept_by < ? ORDER BY accept_by LIMIT 20`,
			ChainOffered, me[:], int64(now))
		if err != nil {
			return err
		}
		for _, t := range late {
			if err := r.atHead(ctx, t, CallAdvance, fmt.Sprintf("advance/%s/%d", t.ID, t.Offer)); err != nil {
				return err
			}
		}
	}
	if !r.cfg.Reassign {
		return nil
	}
	late, err := listTasks(ctx, r.store.db.Read(), `status = ? AND prover != ? AND deadline < ? ORDER BY deadline LIMIT 20`,
		ChainAccepted, me[:], int64(now))
	if err != nil {
		return err
	}
	for _, t := range late {
		if err := r.atHead(ctx, t, CallReassign, fmt.Sprintf("reassign/%s/%d", t.ID, t.Offer)); err != nil {
			return err
		}
	}
	return nil
}

// atHead makes a call about a task if the head still has it as the events
// say. That another prover was quicker is no error.
func (r *reconciler) atHead(ctx context.Context, t *Task, kind CallKind, key string) error {
	record, err := r.chain.Record(ctx, t.ID)
	if err != nil {
		return fmt.Errorf("task %s at the head: %w", t.ID, err)
	}
	if record.Status != t.Status || record.Prover != t.Prover {
		return nil
	}
	err = r.do(ctx, key, Call{Kind: kind, Tasks: []wire.Hash{t.ID}})
	if errors.Is(err, chain.ErrReverted) {
		r.logger.DebugContext(ctx, "the chain refused a duty", "call", kind, "task", t.ID, "error", err)
		return nil
	}
	return err
}

// recheckAnswers looks at answers whose event never came: if the head knows
// nothing of them either, they are given anew.
func (r *reconciler) recheckAnswers(ctx context.Context) error {
	stale, err := listTasks(ctx, r.store.db.Read(), `status IN (?, ?) AND answer = ? AND updated_at < ? LIMIT 20`,
		ChainOffered, ChainWaiting, answered, millis(time.Now().Add(-staleAnswer)))
	if err != nil {
		return err
	}
	for _, t := range stale {
		record, err := r.chain.Record(ctx, t.ID)
		if err != nil {
			return fmt.Errorf("task %s at the head: %w", t.ID, err)
		}
		if record.Status != t.Status || record.Prover != t.Prover {
			continue
		}
		err = r.store.update(ctx, func(tx *txn) error {
			return tx.setTask(t.ID, func(t *Task) { t.answer = unanswered })
		})
		failpoint.Hit("scheduler.reanswer.after")
		if err != nil {
			return err
		}
	}
	return nil
}
