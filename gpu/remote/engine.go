package remote

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/consensys/gnark-crypto/ecc/bn254"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr"

	"github.com/gristmill-zk/gristmill/gpu"
	"github.com/gristmill-zk/gristmill/gpu/proto"
)

// Engine is a gpu.Engine whose work is done by a supervised process.
type Engine struct {
	info   gpu.Info
	slots  slots
	keeper *keeper

	closing context.Context
	close   context.CancelCauseFunc
	calls   sync.WaitGroup
	once    sync.Once

	mu     sync.Mutex
	closed bool
	stats  gpu.Stats // but for what is said of keys
}

var _ gpu.Engine = (*Engine)(nil)

// New starts the engine's process and learns what it is. It fails with what the
// engine says when it has no device, else with gpu.ErrDevice and the reason.
// Close must be called.
func New(cfg Config) (*Engine, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	keeper, info, err := newKeeper(cfg)
	if err != nil {
		return nil, fmt.Errorf("remote engine %s: %w", cfg.Command[0], err)
	}
	e := &Engine{info: info, keeper: keeper, slots: slots{keep: info.Parallel + 1}}
	e.closing, e.close = context.WithCancelCause(context.Background())
	cfg.Logger.InfoContext(e.closing, "engine process serves", slog.String("device", info.Device), slog.String("id", info.ID), slog.String("runtime", info.Runtime))
	return e, nil
}

// Info implements gpu.Engine.
func (e *Engine) Info() gpu.Info { return e.info }

// State says how the engine's process does.
func (e *Engine) State() State { return e.keeper.state() }

// task is one piece of work for the process.
type task struct {
	start    proto.Start
	progress func(stage string)

	// What the process can read in memory, if anything: its size, what writes
	// it, and where the number of the file belongs.
	size  int64
	write func(memory []byte)
	file  *uint64

	// read takes what was made; an error means that it is no answer.
	read func(*proto.Result) error
}

// Load implements gpu.Engine.
func (e *Engine) Load(ctx context.Context, key gpu.Key) error {
	ctx, end, err := e.begin(ctx)
	if err != nil {
		return err
	}
	defer end()
	return e.do(ctx, key, &task{start: proto.Start{Task: &proto.Start_Load{Load: &proto.Load{}}}})
}

// Commit implements gpu.Engine.
func (e *Engine) Commit(ctx context.Context, key gpu.Key, index int, values fr.Vector) (point bn254.G1Affine, err error) {
	ctx, end, err := e.begin(ctx)
	if err != nil {
		return point, err
	}
	defer end()
	commit := &proto.Commit{Index: int64(index), Values: uint64(len(values))}
	err = e.do(ctx, key, &task{
		start: proto.Start{Task: &proto.Start_Commit{Commit: commit}},
		size:  int64(len(values)) * fr.Bytes, file: &commit.File,
		write: func(memory []byte) { copyWide(memory, raw(values)) },
		read: func(r *proto.Result) error {
			point, err = decodeG1(r.GetPoint())
			return err
		},
	})
	return point, err
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

func (e *Engine) prove(ctx context.Context, req *gpu.Request) (proof *gpu.Proof, err error) {
	prove := describeProve(req)
	size, err := proveSize(prove)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", gpu.ErrBadSolution, err)
	}
	err = e.do(ctx, req.Key, &task{
		start: proto.Start{Task: &proto.Start_Prove{Prove: prove}}, progress: req.Progress,
		size: size, file: &prove.File,
		write: func(memory []byte) { writeProve(memory, req) },
		read: func(r *proto.Result) error {
			proof, err = decodeProof(r.GetProof())
			return err
		},
	})
	if err != nil {
		return nil, err
	}
	return proof, nil
}

// do has a running process do a task.
func (e *Engine) do(ctx context.Context, key gpu.Key, t *task) (err error) {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	c, err := e.keeper.running(ctx)
	if err != nil {
		return err
	}
	if t.write != nil {
		memory, err := e.slots.take(t.size)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, e.slots.give(memory, t.size)) }()
		t.write(memory.Bytes)
		if *t.file, err = c.files.Send(memory.File, e.keeper.cfg.StallTimeout); err != nil {
			return called(ctx, c.lost(err))
		}
	}
	t.start.KeyId, t.start.KeySize = key.ID[:], key.Size
	result, err := c.work(ctx, &t.start, key, t.progress)
	if err != nil {
		return called(ctx, err)
	}
	failure := decodeFailure(result.GetFailure())
	e.keeper.answered(c, result.GetStats(), !errors.Is(failure, gpu.ErrDevice))
	if errors.Is(failure, gpu.ErrDevice) {
		c.retire("said that its device failed: " + failure.Error())
		return called(ctx, failure)
	}
	if failure != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if failure != nil {
		return failure
	}
	if t.read == nil {
		return nil
	}
	if err := t.read(result); err != nil {
		return called(ctx, c.broke("what it made is unreadable: %v", err))
	}
	return nil
}

// called adds to a failure that the caller had called the work off.
func called(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil && !errors.Is(err, cause) {
		return fmt.Errorf("%w, and then: %w", cause, err)
	}
	return err
}

// Evict implements gpu.Engine. A process that does not run has no keys.
func (e *Engine) Evict(id gpu.KeyID) error {
	_, end, err := e.begin(context.Background())
	if err != nil {
		return err
	}
	defer end()
	c := e.keeper.alive()
	if c == nil {
		return fmt.Errorf("%w: %s", gpu.ErrNotLoaded, id)
	}
	ctx, stop := context.WithTimeout(context.Background(), e.keeper.cfg.CancelGrace)
	defer stop()
	answer, err := c.rpc.Evict(ctx, &proto.EvictRequest{KeyId: id[:]})
	if err != nil {
		if ctx.Err() != nil {
			c.kill(fmt.Sprintf("did not free a key within %v", e.keeper.cfg.CancelGrace))
		}
		return c.lost(err)
	}
	e.keeper.answered(c, answer.GetStats(), true)
	return decodeFailure(answer.GetFailure())
}

// Stats implements gpu.Engine. What it says of keys is as of the process's last
// answer.
func (e *Engine) Stats() gpu.Stats {
	e.mu.Lock()
	s := e.stats
	e.mu.Unlock()
	e.keeper.keyStats(&s)
	return s
}

// Close implements gpu.Engine. It fails when the process does not end although
// it was killed, which only a hanging driver can do.
func (e *Engine) Close() (err error) {
	e.once.Do(func() {
		e.mu.Lock()
		e.closed = true
		e.mu.Unlock()
		e.close(gpu.ErrClosed)
		e.calls.Wait()
		err = errors.Join(e.keeper.close(), e.slots.close())
	})
	return err
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
