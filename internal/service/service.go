// Package service is the life cycle every long-running part of gristmill has.
//
// A part is written as one blocking function that calls ready once it serves
// and returns when its context ends. [New] wraps it as a [Unit] with the
// contract the rest relies on: Start returns after ready (or with the error
// that prevented it); Stop returns when the function has returned; Stop before
// Start and a second Stop are harmless. A process is a [Group] of units,
// started in order and stopped in reverse.
package service

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// RunFunc does the work of a unit until ctx ends. It calls ready exactly when
// others may rely on it. Returning nil before ctx ends counts as a failure of
// the unit; after ctx ends context.Canceled is not an error.
type RunFunc func(ctx context.Context, ready func()) error

// Unit is one running part.
type Unit struct {
	name string
	run  RunFunc

	mu      sync.Mutex
	cancel  context.CancelFunc
	stopped bool
	done    chan struct{}
	err     error
}

// New names a part.
func New(name string, run RunFunc) *Unit {
	return &Unit{name: name, run: run, done: make(chan struct{})}
}

// Name says which part this is.
func (u *Unit) Name() string { return u.name }

// Start runs the part and returns when it is ready, or with the error that
// ended it before. The unit outlives ctx's values only: cancelling ctx stops it.
func (u *Unit) Start(ctx context.Context) error {
	u.mu.Lock()
	if u.stopped {
		u.mu.Unlock()
		return fmt.Errorf("%s: started after it was stopped", u.name)
	}
	if u.cancel != nil {
		u.mu.Unlock()
		return fmt.Errorf("%s: started twice", u.name)
	}
	ctx, u.cancel = context.WithCancel(ctx)
	u.mu.Unlock()

	ready := make(chan struct{})
	var once sync.Once
	go func() {
		err := u.run(ctx, func() { once.Do(func() { close(ready) }) })
		switch {
		case err == nil && ctx.Err() == nil:
			err = errors.New("ended by itself")
		case ctx.Err() != nil && errors.Is(err, context.Canceled):
			err = nil
		}
		if err != nil {
			u.err = fmt.Errorf("%s: %w", u.name, err)
		}
		u.cancel()
		close(u.done)
	}()
	select {
	case <-ready:
		return nil
	case <-u.done:
		if u.err == nil {
			return ctx.Err()
		}
		return u.err
	}
}

// Stop ends the part and returns when it is gone.
func (u *Unit) Stop() {
	u.mu.Lock()
	started := u.cancel != nil
	if started {
		u.cancel()
	} else if !u.stopped {
		close(u.done)
	}
	u.stopped = true
	u.mu.Unlock()
	<-u.done
}

// Done is closed when the part has ended, for whatever reason.
func (u *Unit) Done() <-chan struct{} { return u.done }

// Err is what ended the part; nil while it runs or when it was stopped.
func (u *Unit) Err() error {
	select {
	case <-u.done:
		return u.err
	default:
		return nil
	}
}

// Group is the ordered list of parts that make a process.
type Group struct {
	units []*Unit
}

// Start starts a unit and appends it to the group.
func (g *Group) Start(ctx context.Context, u *Unit) error {
	if err := u.Start(ctx); err != nil {
		return err
	}
	g.units = append(g.units, u)
	return nil
}

// Wait returns when ctx ends (nil) or a unit fails (its error).
func (g *Group) Wait(ctx context.Context) error {
	failed := make(chan error, len(g.units))
	stop := make(chan struct{})
	defer close(stop)
	for _, u := range g.units {
		go func() {
			select {
			case <-u.Done():
				failed <- u.Err()
			case <-stop:
			}
		}()
	}
	select {
	case <-ctx.Done():
		return nil
	case err := <-failed:
		return err
	}
}

// Stop ends all units, the last started first, and returns the first failure.
func (g *Group) Stop() error {
	var first error
	for i := len(g.units) - 1; i >= 0; i-- {
		g.units[i].Stop()
		if err := g.units[i].Err(); err != nil {
			first = err
		}
	}
	return first
}
