package host

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/gristmill-zk/gristmill/internal/subprocess"
	"github.com/gristmill-zk/gristmill/plugins/bundle"
	"github.com/gristmill-zk/gristmill/plugins/internal/solution"
)

// Circuit solves tasks with one bundle's plugin. It is safe for concurrent use.
type Circuit struct {
	host   *Host
	bundle *bundle.Bundle
	binary *os.File // sealed memory file
	part   bundle.Part
	check  *checker
	spare  sync.Pool // of *solution.Vectors that hold nothing

	mu     sync.Mutex
	closed bool
	empty  chan struct{} // closed when closed is set and no solve is under way
	cancel map[*solve]struct{}
}

// solve is one call of Solve, so that Close can end it.
type solve struct{ end context.CancelCauseFunc }

var errClosing = errors.New("the circuit is closing")

func openCircuit(h *Host, b *bundle.Bundle) (*Circuit, error) {
	fail := func(err error) (*Circuit, error) {
		return nil, &Error{Code: CodeStart, Plugin: b.Manifest.Name, Err: err}
	}
	part, err := b.Part(bundle.PartPlugin)
	if err != nil {
		return fail(err)
	}
	rows, err := b.Rows()
	if err != nil {
		return fail(err)
	}
	check, err := newChecker(rows)
	if err != nil {
		return fail(err)
	}
	// The reader fails at the end unless every byte it gave was the manifest's.
	plugin, err := b.OpenPart(bundle.PartPlugin)
	if err != nil {
		return fail(err)
	}
	binary, err := subprocess.ExecutableFile(b.Manifest.Name, plugin)
	if err := errors.Join(err, plugin.Close()); err != nil {
		return fail(err)
	}
	if err := h.checkStatic(binary); err != nil {
		return fail(errors.Join(err, binary.Close()))
	}
	return &Circuit{
		host: h, bundle: b, binary: binary, part: part, check: check,
		cancel: map[*solve]struct{}{}, empty: make(chan struct{}),
	}, nil
}

// Bundle is what the circuit was opened from.
func (c *Circuit) Bundle() *bundle.Bundle { return c.bundle }

// header is what every solution's header must say, but for task and ticket.
func (c *Circuit) header() solution.Header {
	info := &c.bundle.Manifest.Circuit
	return solution.Header{Wires: info.Wires, Constraints: info.Constraints, Public: info.PublicWires}
}

// vectors is room for a solution, which whoever took it gives back to spare.
func (c *Circuit) vectors() *solution.Vectors {
	if v, ok := c.spare.Get().(*solution.Vectors); ok {
		return v
	}
	return solution.NewVectors(c.header())
}

// Solve runs the plugin on a task and returns the checked solution. It waits
// for a free slot. When ctx ends the process is killed and gone before Solve
// returns. Errors are an [*Error].
func (c *Circuit) Solve(ctx context.Context, t Task) (*Solution, error) {
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	s := &solve{end: end}
	if err := c.enter(s); err != nil {
		return nil, c.fail(CodeClosed, t, err)
	}
	defer c.leave(s)

	select {
	case c.host.slots <- struct{}{}:
		defer func() { <-c.host.slots }()
	case <-ctx.Done():
		return nil, c.fail(endCode(ctx), t, context.Cause(ctx))
	}
	// Waiting for a slot is not the plugin's doing and takes none of its time.
	ctx, stop := context.WithTimeout(ctx, c.host.cfg.SolveTimeout)
	defer stop()
	started := time.Now()
	p, err := c.take(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return nil, c.fail(endCode(ctx), t, calledOff(ctx, started))
		}
		return nil, c.fail(CodeStart, t, err)
	}
	result, code, err := p.solve(ctx, t)
	if code.calledOff() {
		err = calledOff(ctx, started)
	}
	c.giveBack(p, code)
	if err != nil {
		c.host.cfg.Logger.WarnContext(ctx, "plugin did not solve", slog.String("plugin", c.bundle.Manifest.Name),
			slog.String("task", t.ID.String()), slog.String("code", string(code)), slog.Any("error", err))
		return nil, c.fail(code, t, err)
	}
	return result, nil
}

func (c *Circuit) fail(code Code, t Task, err error) *Error {
	return &Error{Code: code, Plugin: c.bundle.Manifest.Name, Task: t.ID, Err: err}
}

// endCode says why a context ended.
func endCode(ctx context.Context) Code {
	switch {
	case errors.Is(context.Cause(ctx), errClosing):
		return CodeClosed
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return CodeTimeout
	default:
		return CodeCanceled
	}
}

// calledOff says whether the work was ended from outside, and not by what became
// of it.
func (c Code) calledOff() bool {
	return c == CodeTimeout || c == CodeCanceled || c == CodeClosed
}

func (c *Circuit) enter(s *solve) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return errClosing
	}
	c.cancel[s] = struct{}{}
	return nil
}

func (c *Circuit) leave(s *solve) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.cancel, s)
	if c.closed && len(c.cancel) == 0 {
		close(c.empty)
	}
}

// take returns a live process, an idle one if there is any.
func (c *Circuit) take(ctx context.Context) (*process, error) {
	for {
		p := c.host.pool.take(c)
		if p == nil {
			break
		}
		if p.alive() {
			return p, nil
		}
		p.stop()
	}
	return startProcess(ctx, c)
}

// giveBack keeps a process that did its duty and ends any other. A refused task
// is the plugin's duty too. One that was called off is told before.
func (c *Circuit) giveBack(p *process, code Code) {
	var over []*process
	keep := code == "" || code == CodeBadTask || code == CodeUnsatisfied
	c.mu.Lock()
	if keep = keep && !c.closed; keep {
		over = c.host.pool.keep(p)
	}
	c.mu.Unlock()
	endAll(over)
	switch {
	case keep:
	case code.calledOff():
		endAll([]*process{p})
	default:
		p.stop()
	}
}

// Close ends the circuit's processes and waits until they are gone. Solves
// under way end with CodeClosed. A second Close does nothing.
func (c *Circuit) Close() error {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		<-c.empty
		return nil
	}
	c.closed = true
	for s := range c.cancel {
		s.end(errClosing)
	}
	if len(c.cancel) == 0 {
		close(c.empty)
	}
	c.mu.Unlock()

	c.host.forget(c.bundle.Digest)
	endAll(c.host.pool.takeAll(c))
	<-c.empty
	if err := c.binary.Close(); err != nil {
		return fmt.Errorf("plugin %s: %w", c.bundle.Manifest.Name, err)
	}
	return nil
}
