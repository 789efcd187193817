package pool

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/gristmill-zk/gristmill/gpu"
)

// ErrBlocked is a solution of which no engine makes a proof that verifies, the
// fallback included: proving and verifying key do not belong together, or the
// solution is not the circuit's.
var ErrBlocked = errors.New("no engine makes a proof of it that verifies")

// ErrWrongProof is a proof that verify refused.
var ErrWrongProof = errors.New("the engine made a proof that does not verify")

// Result is a verified proof and where it came from.
type Result struct {
	Proof *gpu.Proof
	// Engine is the kind of engine that made it, Device its ID.
	Engine, Device string
	// Prove and Verify are how long the try that succeeded took, without waiting.
	Prove, Verify time.Duration
	// Tries is how many proofs were begun, the successful one included.
	Tries int
}

// Task is a proof to be made.
type Task struct {
	gpu.Request
	// Due is when something is lost if the proof is not there. Among waiting
	// proofs the earliest goes first, those without (zero) last; it ends nothing.
	Due time.Time
	// Verify judges a proof; nothing leaves the pool that it did not accept.
	Verify func(*gpu.Proof) error
	// CommittedBy is the device that made the solution's commitments, if any.
	CommittedBy string
	// Failed is told of each try that failed, and on which device; nil is fine.
	Failed func(device string, err error)
}

// Pool proves on its devices. All methods are safe for concurrent use.
type Pool struct {
	cfg      Config
	devices  []*device
	fallback *device // its engine decides itself how many proofs it makes at once

	ctx  context.Context
	stop context.CancelFunc
	work sync.WaitGroup // calls and revivals

	mu      sync.Mutex
	closed  bool
	waiting []*waiter
	seq     uint64
}

// New makes a pool. It does not own the engines: close them after the pool.
func New(cfg Config) (*Pool, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	p := &Pool{cfg: cfg}
	p.ctx, p.stop = context.WithCancel(context.Background())
	for _, e := range cfg.Devices {
		p.devices = append(p.devices, newDevice(e))
	}
	if cfg.Fallback != nil {
		p.fallback = newDevice(cfg.Fallback)
	}
	if cfg.Unfit != nil {
		p.work.Go(p.watch)
	}
	return p, nil
}

// Close refuses new calls, ends the waiting ones and those in flight, and
// returns when nothing of the pool runs any more. A second Close does nothing.
func (p *Pool) Close() error {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.stop()
	p.work.Wait()
	return nil
}

// Parallel is how many proofs the devices make at once.
func (p *Pool) Parallel() int {
	n := 0
	for _, d := range p.devices {
		n += d.info.Parallel
	}
	return n
}

// Load makes a key resident on the device that its next proof would go to. It
// fails as gpu.Engine's Load does; when only the device is at fault, or has no
// room, the key is the next proof's matter and Load succeeds.
func (p *Pool) Load(ctx context.Context, key gpu.Key) error {
	ctx, end, err := p.begin(ctx)
	if err != nil {
		return err
	}
	defer end()
	d := p.prefer(key.ID)
	if d == nil {
		d = p.fallback
	}
	if d == nil {
		return nil
	}
	err = d.engine.Load(ctx, key)
	switch {
	case err == nil:
		p.mu.Lock()
		d.touch(key.ID)
		p.mu.Unlock()
	case errors.Is(err, gpu.ErrDevice) || errors.Is(err, gpu.ErrBudget):
		p.cfg.Logger.WarnContext(ctx, "a proving key could not be loaded ahead of its proof", "device", d.info.ID, "key", key.ID, "error", err)
		return nil
	}
	return err
}

// Prove makes a proof that the task's Verify accepts. It fails with the cause of ctx, with
// ErrBlocked, with gpu.ErrClosed, or with the last engine's error when there is
// nobody left to ask.
func (p *Pool) Prove(ctx context.Context, task Task) (*Result, error) {
	ctx, end, err := p.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
	c := &course{pool: p, task: task}
	return c.run(ctx)
}

func (p *Pool) begin(ctx context.Context) (context.Context, func(), error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, nil, gpu.ErrClosed
	}
	p.work.Add(1)
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(p.ctx, func() { cancel(gpu.ErrClosed) })
	return ctx, func() {
		stop()
		cancel(nil)
		p.work.Done()
	}, nil
}

// course is the way of one proof through the policy.
type course struct {
	pool *Pool
	task Task

	tries  int
	failed []failure
}

type failure struct {
	device *device
	err    error
}

// run asks a device, the same one once more, another one, and the fallback.
func (c *course) run(ctx context.Context) (*Result, error) {
	var first *device
	anyone := func(*device) bool { return true }
	same := func(d *device) bool { return d == first && len(c.failed) > 0 && faulty(c.failed[0].err) }
	other := func(d *device) bool { return d != first }
	for _, may := range []func(*device) bool{anyone, same, other} {
		d, err := c.pool.acquire(ctx, &c.task, may)
		if err != nil {
			return nil, err
		}
		if d == nil {
			continue
		}
		if first == nil {
			first = d
		}
		result, err := c.try(ctx, d, func() { c.pool.release(d) })
		switch {
		case err == nil:
			return c.done(ctx, d, result)
		case ctx.Err() != nil:
			return nil, context.Cause(ctx)
		}
	}
	return c.last(ctx)
}

// last asks the fallback, and gives up.
func (c *course) last(ctx context.Context) (*Result, error) {
	if c.pool.fallback == nil {
		if len(c.failed) == 0 {
			return nil, fmt.Errorf("%w: every device is in quarantine or unfit for work, and there is no other engine", gpu.ErrDevice)
		}
		return nil, c.failed[len(c.failed)-1].err
	}
	why := error(nil)
	if len(c.failed) > 0 {
		why = c.failed[len(c.failed)-1].err
	}
	c.pool.cfg.Logger.ErrorContext(ctx, "a proof goes to the fallback", "engine", c.pool.fallback.info.Name, "error", why)
	c.pool.cfg.Observe(Event{Kind: EventFallback, Device: c.pool.fallback.info.ID, Err: why})
	result, err := c.try(ctx, c.pool.fallback, func() {})
	switch {
	case err == nil:
		return c.done(ctx, c.pool.fallback, result)
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case errors.Is(err, ErrWrongProof):
		if wrong := c.wrongCommitment(ctx); wrong != nil {
			return nil, wrong
		}
		return nil, fmt.Errorf("%w (%d tries): proving and verifying key may not belong together: %w", ErrBlocked, c.tries, err)
	}
	return nil, err
}

// try makes one proof, lets go of the device, and judges the proof.
func (c *course) try(ctx context.Context, d *device, release func()) (*Result, error) {
	c.tries++
	started := time.Now()
	proof, err := d.engine.Prove(ctx, c.task.Request)
	proved := time.Now()
	release()
	if err == nil {
		if err = c.task.Verify(proof); err != nil {
			err = fmt.Errorf("%w: %w", ErrWrongProof, err)
		}
	}
	if err != nil {
		if ctx.Err() == nil {
			c.failed = append(c.failed, failure{d, err})
			if c.task.Failed != nil {
				c.task.Failed(d.info.ID, err)
			}
			c.pool.cfg.Logger.ErrorContext(ctx, "a device failed a proof", "device", d.info.ID, "engine", d.info.Name, "key", c.task.Key.ID, "error", err)
		}
		return nil, err
	}
	return &Result{
		Proof: proof, Engine: d.info.Name, Device: d.info.ID, Tries: c.tries,
		Prove: proved.Sub(started), Verify: time.Since(proved),
	}, nil
}

// faulty says whether an error may be a device's fault rather than the work's.
func faulty(err error) bool {
	return errors.Is(err, gpu.ErrDevice) || errors.Is(err, ErrWrongProof)
}

// done holds the failures on the way against their devices: now it is known
// that the work was right.
func (c *course) done(ctx context.Context, by *device, result *Result) (*Result, error) {
	blamed := map[*device]bool{}
	for _, f := range c.failed {
		if f.device != by && faulty(f.err) && !blamed[f.device] {
			blamed[f.device] = true
			c.pool.fault(ctx, f.device, f.err)
		}
	}
	c.pool.proved(by, c.task.Key.ID)
	return result, nil
}
