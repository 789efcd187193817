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

// maxDuties is how many duties about others' tasks are in flight at a time.
const maxDuties = 8

// duty is what a prover does about the chain as a whole: return to work after
// it was idle, claim waiting tasks, move on offers and tasks that others let
// lie. Each is optional for the network, so a refusal is only noted. It is a
// service of its own, since its transactions wait for confirmations and nothing
// else of this prover's may wait with them.
type duty struct {
	*Scheduler
	pushes pool[string]
}

func newDuty(s *Scheduler) *duty {
	return &duty{Scheduler: s, pushes: pool[string]{limit: maxDuties}}
}

func (s *Scheduler) duties(ctx context.Context, ready func()) error {
	d := newDuty(s)
	defer d.pushes.wait()
	ready()
	return s.loop(ctx, "duties", nil, s.cfg.DutyPoll, d.step)
}

func (d *duty) step(ctx context.Context) error {
	self, err := d.chain.Self(ctx)
	if err != nil {
		return fmt.Errorf("own registration: %w", err)
	}
	if !self.Joined || self.Paused {
		return nil
	}
	return errors.Join(d.resume(ctx, self), d.claim(ctx, self), d.pushOthers(ctx))
}

// resume puts this prover back among those that tasks are drawn to, after the
// chain found it idle.
func (d *duty) resume(ctx context.Context, self Self) error {
	if !self.Idle {
		return nil
	}
	// The key is kept until its transaction is mined: a restart repeats it.
	key, err := d.key(ctx, "resume")
	if err != nil {
		return err
	}
	err = d.do(ctx, key, Call{Kind: CallResume})
	if err != nil && !errors.Is(err, chain.ErrReverted) {
		return err
	}
	if err == nil {
		d.logger.InfoContext(ctx, "the chain had this prover idle: it takes tasks again")
	}
	return d.dropKey(ctx, "resume")
}

// key is a durable key for a call that recurs, the same until dropKey.
func (d *duty) key(ctx context.Context, name string) (string, error) {
	var key string
	failpoint.Hit("scheduler.key.before")
	err := d.store.update(ctx, func(tx *txn) error {
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

func (d *duty) dropKey(ctx context.Context, name string) error {
	failpoint.Hit("scheduler.drop_key.before")
	err := d.store.update(ctx, func(tx *txn) error {
		return tx.exec(`DELETE FROM meta WHERE key = ?`, "key/"+name)
	})
	failpoint.Hit("scheduler.drop_key.after")
	return err
}

func (d *duty) do(ctx context.Context, key string, call Call) error {
	failpoint.Hit("scheduler.duty.before")
	receipt, err := d.chain.Send(ctx, key, call)
	failpoint.Hit("scheduler.duty.after")
	if err != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	d.logger.InfoContext(ctx, "did a duty on chain", "call", call.Kind, "tx", receipt.Tx, "gas", receipt.Gas)
	return nil
}

// claim begins work on tasks that wait for any prover, of the projects that
// this one opted in to and as many as it has room for. Claiming accepts a task
// at once, so it is sent only when the data is checked and the circuit solves.
func (d *duty) claim(ctx context.Context, self Self) error {
	if d.cfg.SkipClaim || self.Idle {
		return nil
	}
	waiting, err := listTasks(ctx, d.store.db.Read(), `status = ? AND state NOT IN (?, ?) AND next_at <= ? ORDER BY height LIMIT 200`,
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
			if in, err = d.chain.OptedIn(ctx, t.Project); err != nil {
				return fmt.Errorf("opt-in of project %d: %w", t.Project, err)
			}
			opted[t.Project] = in
		}
		if !in {
			continue
		}
		room--
		if err := d.takeUp(ctx, t.ID); err != nil {
			return err
		}
	}
	return nil
}

func (d *duty) takeUp(ctx context.Context, id wire.Hash) error {
	failpoint.Hit("scheduler.take_up.before")
	err := d.store.update(ctx, func(tx *txn) error {
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

// pushOthers moves on offers that others let pass, and takes late tasks from
// provers that may never return: without it their tasks would lie for ever.
func (d *duty) pushOthers(ctx context.Context) error {
	now, err := d.chain.Time(ctx)
	if err != nil {
		return fmt.Errorf("chain time: %w", err)
	}
	me := d.cfg.Prover
	if !d.cfg.SkipAdvance {
		late, err := listTasks(ctx, d.store.db.Read(), `status = ? AND prover != ? AND accept_by < ? ORDER BY accept_by LIMIT 20`,
			ChainOffered, me[:], int64(now))
		if err != nil {
			return err
		}
		d.push(ctx, late, CallAdvance)
	}
	if d.cfg.SkipReassign {
		return nil
	}
	late, err := listTasks(ctx, d.store.db.Read(), `status = ? AND prover != ? AND deadline < ? ORDER BY deadline LIMIT 20`,
		ChainAccepted, me[:], int64(now))
	if err != nil {
		return err
	}
	d.push(ctx, late, CallReassign)
	return nil
}

// push makes a call about each task, several at a time.
func (d *duty) push(ctx context.Context, late []*Task, kind CallKind) {
	for _, t := range late {
		key := fmt.Sprintf("%s/%s/%d", kind, t.ID, t.Offer)
		room := d.pushes.start(key, func() {
			if err := d.atHead(ctx, t, kind, key); err != nil && ctx.Err() == nil {
				d.logger.WarnContext(ctx, "a duty will be tried again", "call", kind, "task", t.ID, "error", err)
			}
		})
		if !room {
			return
		}
	}
}

// atHead makes a call about a task if the head still has it as the events
// say. That another prover was quicker is no error.
func (d *duty) atHead(ctx context.Context, t *Task, kind CallKind, key string) error {
	record, err := d.chain.Record(ctx, t.ID)
	if err != nil {
		return fmt.Errorf("task %s at the head: %w", t.ID, err)
	}
	if record.Status != t.Status || record.Prover != t.Prover {
		return nil
	}
	err = d.do(ctx, key, Call{Kind: kind, Tasks: []wire.Hash{t.ID}})
	if errors.Is(err, chain.ErrReverted) {
		d.logger.DebugContext(ctx, "the chain refused a duty", "call", kind, "task", t.ID, "error", err)
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
