package scheduler

import (
	"context"
	"errors"
	"time"

	"github.com/gristmill-zk/gristmill/wire"
)

// Driver runs a scheduler's services step by step in the caller's goroutine.
type Driver struct {
	s *Scheduler
	r *reconciler
}

// Drive makes a driver.
func Drive(s *Scheduler) *Driver {
	url := "http://127.0.0.1:1"
	s.url.Store(&url)
	return &Driver{s: s, r: &reconciler{Scheduler: s, missing: map[attemptID]time.Time{}}}
}

// Services are the steps of all services in the order of a task's way.
func (d *Driver) Services() []func(context.Context) error {
	inPool := func(start func(context.Context, *pool[wire.Hash]) error) func(context.Context) error {
		return func(ctx context.Context) error {
			p := &pool[wire.Hash]{limit: 8}
			defer p.wait()
			return start(ctx, p)
		}
	}
	return []func(context.Context) error{
		d.s.follow, inPool(d.s.startFetches), d.s.startAttempts, d.answer,
		inPool(d.s.startSettles), d.s.fillGas, d.duties, d.r.step,
	}
}

func (d *Driver) answer(ctx context.Context) error {
	a := newAnswerer(d.s)
	defer a.wait()
	return a.step(ctx)
}

func (d *Driver) duties(ctx context.Context) error {
	duty := newDuty(d.s)
	defer duty.pushes.wait()
	return duty.step(ctx)
}

// Step runs every service once.
func (d *Driver) Step(ctx context.Context) error {
	var errs []error
	for _, step := range d.Services() {
		errs = append(errs, step(ctx))
	}
	return errors.Join(errs...)
}

// Take hands a result to the scheduler as the queue does.
func (d *Driver) Take(ctx context.Context, r wire.Result) error { return d.s.takeResult(ctx, r) }

// PutBody stores a body as if it had been fetched.
func (d *Driver) PutBody(ctx context.Context, body []byte) error {
	return d.s.store.update(ctx, func(t *txn) error { return t.putBody(wire.DataHash(body), body) })
}

// Exec runs SQL in the store, to damage it.
func (s *Store) Exec(ctx context.Context, text string, args ...any) error {
	return s.update(ctx, func(t *txn) error { return t.exec(text, args...) })
}

// Check and Fold are what the tables of states and events are tested with.
func (s State) Check(to State) error { return s.check(to) }
func Fold(events []ChainEvent) View  { return fold(events) }
func (c Config) Validated() error    { return c.withDefaults().validate() }
