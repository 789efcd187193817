//go:build icicle

package icicle

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"time"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"

	"github.com/gristmill-zk/gristmill/gpu"
	"github.com/gristmill-zk/gristmill/gpu/internal/resident"
	"github.com/gristmill-zk/gristmill/gpu/provingkey"
)

// Name is the engine's name in proof envelopes.
const Name = "icicle"

// Version is that of the ICICLE libraries that the engine is written against.
const Version = "3.2.2"

const (
	defaultParallel = 2
	cpuMemory       = 4 << 30
)

// Config says which device to open and what the engine may use of it.
type Config struct {
	// Kind is CUDA or CPU, Index the device's number among its kind.
	Kind  string
	Index int
	// Memory is the budget for resident keys in bytes. 0 means 60 % of what a
	// card has free when the engine is opened, and 4 GiB on the CPU device.
	// Proofs in flight take about 200 bytes for each constraint on top, and
	// ICICLE its scratch memory.
	Memory int64
	// Parallel is how many proofs are on the device at once; 0 means 2, so that
	// one computes where the other uploads.
	Parallel int
	// Precompute is how many multiples of each point of a key are kept; 0 is 4 up
	// to a domain of 2^18, 2 up to 2^20, else 1, and 1 on the CPU device.
	Precompute int
	// Log gets what no caller can be told; nil means slog's default.
	Log *slog.Logger
}

func (c *Config) validate() error {
	switch {
	case c.Parallel < 0 || c.Parallel > 16:
		return fmt.Errorf("icicle engine: parallel is %d, allowed are 0 to 16", c.Parallel)
	case c.Memory < 0:
		return fmt.Errorf("icicle engine: memory is %d, negative", c.Memory)
	case c.Precompute < 0 || c.Precompute > 16:
		return fmt.Errorf("icicle engine: precompute is %d, allowed are 0 to 16", c.Precompute)
	}
	if c.Parallel == 0 {
		c.Parallel = defaultParallel
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	return nil
}

// Engine is the gpu.Engine on one of ICICLE's devices.
type Engine struct {
	cfg   Config
	dev   *device
	keys  *resident.Cache[residentKey]
	loads stream

	slots  chan *slot         // free ones
	staged chan *[]fr.Element // buffers of proofs that prepare or are on the device

	closing context.Context
	close   context.CancelCauseFunc
	calls   sync.WaitGroup

	mu     sync.Mutex
	closed bool
	stats  gpu.Stats
}

var _ gpu.Engine = (*Engine)(nil)

// Open makes an engine on a device that is there and works; it tries it out. The
// error is gpu.ErrDevice or gpu.ErrBudget and says what is missing and what to
// do.
func Open(cfg Config) (*Engine, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	dev, err := openDevice(cfg.Kind, cfg.Index)
	if err != nil {
		return nil, err
	}
	e := &Engine{cfg: cfg, dev: dev, slots: make(chan *slot, cfg.Parallel), staged: make(chan *[]fr.Element, cfg.Parallel+1)}
	e.closing, e.close = context.WithCancelCause(context.Background())
	for range cap(e.staged) {
		e.staged <- new([]fr.Element)
	}
	if err := dev.on(e.setUp); err != nil {
		return nil, errors.Join(err, dev.on(e.tearDown))
	}
	measure := func(key gpu.Key) (int64, error) { return footprint(dev.kind, e.cfg.Precompute, key) }
	e.keys = resident.New(e.cfg.Memory, measure, e.loadKey, e.freeKey)
	return e, nil
}

// setUp makes streams and settles the budget, on the device's thread.
func (e *Engine) setUp() error {
	total, free, err := availableMemory()
	switch {
	case errors.Is(err, gpu.ErrUnsupported):
		total, free = 0, cpuMemory*10/6
	case err != nil:
		return err
	case e.cfg.Memory > total:
		return fmt.Errorf("%w: %d bytes were asked for, %s has %d", gpu.ErrBudget, e.cfg.Memory, e.dev.Name, total)
	}
	if e.cfg.Memory == 0 {
		e.cfg.Memory = free / 10 * 6
	}
	if e.loads, err = newStream(); err != nil {
		return err
	}
	for range e.cfg.Parallel {
		s, err := newSlot()
		e.slots <- s
		if err != nil {
			return err
		}
	}
	return nil
}

func (e *Engine) tearDown() error {
	failures := []error{e.loads.destroy()}
	for len(e.slots) > 0 {
		failures = append(failures, (<-e.slots).close())
	}
	return errors.Join(failures...)
}

func (e *Engine) loadKey(key gpu.Key) (k *residentKey, err error) {
	read, err := provingkey.Read(key, runtime.GOMAXPROCS(0))
	if err != nil {
		return nil, err
	}
	err = e.dev.on(func() (err error) {
		k, err = loader{dev: e.dev, precompute: e.cfg.Precompute, stream: e.loads}.load(read)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("load proving key %s: %w", key.ID, err)
	}
	return k, nil
}

func (e *Engine) freeKey(k *residentKey) {
	if err := e.dev.on(k.free); err != nil {
		e.cfg.Log.Error("a proving key's device memory was not freed", "device", e.dev.Name, "error", err)
	}
}

// Info implements gpu.Engine.
func (e *Engine) Info() gpu.Info {
	return gpu.Info{Name: Name, Device: e.dev.Name, ID: e.dev.ID, Runtime: e.dev.Runtime, Parallel: e.cfg.Parallel, Memory: e.cfg.Memory}
}

// Load implements gpu.Engine.
func (e *Engine) Load(ctx context.Context, key gpu.Key) error {
	ctx, end, err := e.begin(ctx)
	if err != nil {
		return err
	}
	defer end()
	if _, err := e.keys.Acquire(ctx, key); err != nil {
		return err
	}
	e.keys.Release(key.ID)
	return nil
}

// Prove implements gpu.Engine.
func (e *Engine) Prove(ctx context.Context, req gpu.Request) (*gpu.Proof, error) {
	ctx, end, err := e.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
	e.count(func(s *gpu.Stats) { s.InFlight++ })
	started := time.Now()
	proof, err := e.prove(ctx, &req)
	e.count(func(s *gpu.Stats) {
		s.InFlight--
		switch {
		case err == nil:
			s.Proofs++
			s.ProveTime += time.Since(started)
		case ctx.Err() != nil && errors.Is(err, context.Cause(ctx)):
			s.Canceled++
		default:
			s.Failures++
		}
	})
	return proof, err
}

func (e *Engine) prove(ctx context.Context, req *gpu.Request) (*gpu.Proof, error) {
	var staged *[]fr.Element
	select {
	case staged = <-e.staged:
		defer func() { e.staged <- staged }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	key, err := e.keys.Acquire(ctx, req.Key)
	if err != nil {
		return nil, err
	}
	defer e.keys.Release(req.Key.ID)
	if err := key.Check(req); err != nil {
		return nil, err
	}
	*staged = key.gather(&req.Solution, *staged)
	defer clear(*staged)
	slot, err := e.takeSlot(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { e.slots <- slot }()
	req.Reached("prepared")
	p := prover{dev: e.dev, key: key, slot: slot, req: req, scalars: *staged}
	return p.run(ctx)
}

func (e *Engine) takeSlot(ctx context.Context) (*slot, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	select {
	case s := <-e.slots:
		return s, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// Evict implements gpu.Engine.
func (e *Engine) Evict(id gpu.KeyID) error {
	_, end, err := e.begin(context.Background())
	if err != nil {
		return err
	}
	defer end()
	return e.keys.Evict(id)
}

// Stats implements gpu.Engine.
func (e *Engine) Stats() gpu.Stats {
	e.mu.Lock()
	s := e.stats
	e.mu.Unlock()
	e.keys.Stats(&s)
	return s
}

// Close implements gpu.Engine.
func (e *Engine) Close() error {
	e.mu.Lock()
	again := e.closed
	e.closed = true
	e.mu.Unlock()
	e.close(gpu.ErrClosed)
	e.calls.Wait()
	if again {
		return nil
	}
	e.keys.Clear()
	return e.dev.on(e.tearDown)
}

// begin counts a call that Close waits for. The context it returns ends with
// the caller's and with the engine.
func (e *Engine) begin(ctx context.Context) (context.Context, func(), error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return nil, nil, gpu.ErrClosed
	}
	e.calls.Add(1)
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(e.closing, func() { cancel(gpu.ErrClosed) })
	return ctx, func() {
		stop()
		cancel(nil)
		e.calls.Done()
	}, nil
}

func (e *Engine) count(change func(*gpu.Stats)) {
	e.mu.Lock()
	defer e.mu.Unlock()
	change(&e.stats)
}
