package cpu

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/gristmill-zk/gristmill/gpu"
	"github.com/gristmill-zk/gristmill/gpu/internal/resident"
)

// Name is the engine's name in proof envelopes.
const Name = "cpu"

const (
	defaultMemory      = 4 << 30
	defaultParallel    = 2
	defaultTablesAfter = 16
)

// Config is what an engine may use.
type Config struct {
	// Cores is how many processor cores the engine keeps busy; 0 means all.
	Cores int
	// Parallel is how many proofs are made at once; 0 means 2, so that one
	// fills the cores where the other waits for its last pieces.
	Parallel int
	// Memory is the budget for resident keys and their tables in bytes; 0 means
	// 4 GiB. Proofs in flight take about 300 bytes per constraint on top.
	Memory int64
	// TablesAfter is the number of proofs under one key after which tables of
	// multiples of its points are made, beside further proofs, if the budget has
	// room: they take up to sixteen times the key's own memory and the time of
	// some twenty proofs, and make proofs faster by a third. 0 means 16,
	// negative means never.
	TablesAfter int
}

func (c *Config) validate() error {
	switch {
	case c.Cores < 0 || c.Cores > 1024:
		return fmt.Errorf("cpu engine: cores is %d, allowed are 0 to 1024", c.Cores)
	case c.Parallel < 0 || c.Parallel > 256:
		return fmt.Errorf("cpu engine: parallel is %d, allowed are 0 to 256", c.Parallel)
	case c.Memory < 0:
		return fmt.Errorf("cpu engine: memory is %d, negative", c.Memory)
	}
	if c.Cores == 0 {
		c.Cores = runtime.GOMAXPROCS(0)
	}
	if c.Parallel == 0 {
		c.Parallel = defaultParallel
	}
	if c.Memory == 0 {
		c.Memory = defaultMemory
	}
	if c.TablesAfter == 0 {
		c.TablesAfter = defaultTablesAfter
	}
	return nil
}

// Engine is the gpu.Engine on this machine's processor.
type Engine struct {
	cfg   Config
	keys  *resident.Cache[residentKey]
	slots chan struct{}       // one token for each proof being made
	cores *semaphore.Weighted // one for each core at work

	closing context.Context
	close   context.CancelCauseFunc
	calls   sync.WaitGroup

	mu     sync.Mutex
	closed bool
	stats  gpu.Stats
}

var _ gpu.Engine = (*Engine)(nil)

// New makes an engine. It holds no goroutine while no call is in progress.
func New(cfg Config) (*Engine, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	e := &Engine{cfg: cfg, slots: make(chan struct{}, cfg.Parallel), cores: semaphore.NewWeighted(int64(cfg.Cores))}
	e.keys = resident.New(cfg.Memory, footprint, func(key gpu.Key) (*residentKey, error) { return loadKey(key, cfg.Cores) }, (*residentKey).trim)
	e.keys.Trims((*residentKey).trim)
	e.closing, e.close = context.WithCancelCause(context.Background())
	return e, nil
}

// Info implements gpu.Engine.
func (e *Engine) Info() gpu.Info {
	return gpu.Info{
		Name:     Name,
		Device:   fmt.Sprintf("%d cores, %s", e.cfg.Cores, runtime.GOARCH),
		ID:       Name,
		Runtime:  "gnark-crypto",
		Parallel: e.cfg.Parallel,
		Memory:   e.cfg.Memory,
	}
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
	proof, err := e.prove(ctx, req)
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

func (e *Engine) prove(ctx context.Context, req gpu.Request) (*gpu.Proof, error) {
	select {
	case e.slots <- struct{}{}:
		defer func() { <-e.slots }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	key, err := e.keys.Acquire(ctx, req.Key)
	if err != nil {
		return nil, err
	}
	defer e.keys.Release(req.Key.ID)
	if err := key.Check(&req); err != nil {
		return nil, err
	}
	proof, err := newProver(e, key, &req).run(ctx)
	if err == nil {
		e.proved(req.Key.ID, key)
	}
	return proof, err
}

// job does work that keeps so many cores busy, when they are free.
func (e *Engine) job(ctx context.Context, cores int, work func() error) error {
	if err := e.cores.Acquire(ctx, int64(cores)); err != nil {
		return context.Cause(ctx)
	}
	defer e.cores.Release(int64(cores))
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return work()
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
	e.closed = true
	e.mu.Unlock()
	e.close(gpu.ErrClosed)
	e.calls.Wait()
	e.keys.Clear()
	return nil
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
