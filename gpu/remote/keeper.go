package remote

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"github.com/gristmill-zk/gristmill/gpu"
	"github.com/gristmill-zk/gristmill/gpu/proto"
	"github.com/gristmill-zk/gristmill/internal/subprocess"
)

// holdPatience is the longest hold-off that a call waits for. Through a longer
// one the work had better go elsewhere.
const holdPatience = time.Second

// State says how an engine's process does.
type State struct {
	Running bool
	PID     int // 0 when it does not run
	// Restarts is how often it was started after the first time.
	Restarts int
	// Failures is how often in a row it ended, or did not start, with no work done
	// in between.
	Failures int
	// LastFailure is why it last ended or did not start; nil if it never failed.
	LastFailure error
	// RetryAt is when it may be started again, if it is held off.
	RetryAt time.Time
}

// keeper keeps one process running, as long as there is use for it.
type keeper struct {
	cfg     Config
	spawner *subprocess.Spawner
	runDir  *subprocess.RunDir
	info    gpu.Info

	closing context.Context
	shut    context.CancelCauseFunc
	starts  sync.WaitGroup

	mu       sync.Mutex
	closed   bool
	current  *child // nil, or gone, or running
	starting *starting
	st       State
	ended    gpu.Stats    // what ended processes did with keys
	keys     *proto.Stats // what the current one says
}

// starting is a start under way.
type starting struct {
	done chan struct{}
	err  error
}

// newKeeper starts the first process.
func newKeeper(cfg Config) (*keeper, gpu.Info, error) {
	dir, err := subprocess.NewRunDir(cfg.RunDir)
	if err != nil {
		return nil, gpu.Info{}, err
	}
	k := &keeper{cfg: cfg, spawner: subprocess.NewSpawner(), runDir: dir}
	k.closing, k.shut = context.WithCancelCause(context.Background())
	c, info, err := startChild(k.closing, cfg, k.spawner, dir.Path())
	if err != nil {
		return nil, info, errors.Join(err, k.close())
	}
	k.current, k.info = c, info
	return k, info, nil
}

// running returns a process that takes work, starting one when there is none.
func (k *keeper) running(ctx context.Context) (*child, error) {
	for {
		wait, err := k.look()
		if err != nil {
			return nil, err
		}
		if wait.child != nil {
			return wait.child, nil
		}
		var held <-chan time.Time
		var gone, doomed <-chan struct{}
		if wait.going != nil {
			gone, doomed = wait.going.gone, wait.going.doomed
		}
		if wait.until > 0 {
			timer := time.NewTimer(wait.until)
			defer timer.Stop()
			held = timer.C
		}
		select {
		case <-gone:
		case <-doomed:
			// It was killed. One that a driver holds on to does not end.
			if err := wait.going.ended(ctx); err != nil {
				return nil, err
			}
		case <-held:
		case <-wait.start:
			if wait.op.err != nil {
				return nil, wait.op.err
			}
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// waiting is what there is, or what is to be waited for.
type waiting struct {
	child *child
	going *child          // a process that is about to be gone
	until time.Duration   // a hold-off
	start <-chan struct{} // a start under way
	op    *starting
}

func (k *keeper) look() (waiting, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed {
		return waiting{}, gpu.ErrClosed
	}
	if c := k.current; c != nil {
		if !c.over() {
			return waiting{child: c}, nil
		}
		if !k.bury() {
			return waiting{going: c}, nil
		}
	}
	if k.starting == nil {
		if held := time.Until(k.st.RetryAt); held > holdPatience {
			return waiting{}, fmt.Errorf("%w: the engine's process is held off for %v after %d failures in a row, the last: %w",
				gpu.ErrDevice, held.Round(time.Millisecond), k.st.Failures, k.st.LastFailure)
		} else if held > 0 {
			return waiting{until: held}, nil
		}
		k.starting = &starting{done: make(chan struct{})}
		k.starts.Go(k.start)
	}
	return waiting{start: k.starting.done, op: k.starting}, nil
}

// start starts a process in place of one that is gone.
func (k *keeper) start() {
	c, info, err := startChild(k.closing, k.cfg, k.spawner, k.runDir.Path())
	if err == nil && (info.Name != k.info.Name || info.ID != k.info.ID) {
		err = fmt.Errorf("%w: the engine was %s on %s and came back as %s on %s", gpu.ErrDevice, k.info.Name, k.info.ID, info.Name, info.ID)
		err = errors.Join(err, c.shutdown())
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.st.Restarts++
	if err != nil {
		k.fail(err)
		k.cfg.Logger.ErrorContext(k.closing, "engine process does not start", slog.Any("error", err))
	} else {
		k.current = c
		k.cfg.Logger.WarnContext(k.closing, "engine process was started again", slog.Int("restarts", k.st.Restarts), slog.String("pid", c.process.ID()))
	}
	k.starting.err = err
	close(k.starting.done)
	k.starting = nil
}

// bury takes a process that is gone into account, and says whether it is gone.
func (k *keeper) bury() bool {
	select {
	case <-k.current.gone:
	default:
		return false
	}
	k.fail(k.current.reason)
	k.ended.Loads += k.keys.GetLoads()
	k.ended.Evictions += k.keys.GetEvictions()
	k.current, k.keys = nil, nil
	return true
}

func (k *keeper) fail(reason error) {
	k.st.Failures++
	k.st.LastFailure = reason
	if k.st.Failures > 1 {
		delay := k.cfg.RestartLimit
		if shift := k.st.Failures - 2; shift < 20 {
			delay = min(delay, k.cfg.RestartDelay<<shift)
		}
		k.st.RetryAt = time.Now().Add(delay)
	}
}

// answered takes note of what a process says of its keys, and that it works, if
// it does.
func (k *keeper) answered(c *child, keys *proto.Stats, works bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if c != k.current {
		return
	}
	if works {
		k.st.Failures, k.st.RetryAt = 0, time.Time{}
	}
	if keys.GetSequence() > k.keys.GetSequence() {
		k.keys = keys
	}
}

// alive is the process, if one runs.
func (k *keeper) alive() *child {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.current == nil || k.current.over() {
		return nil
	}
	return k.current
}

func (k *keeper) keyStats(s *gpu.Stats) {
	k.mu.Lock()
	defer k.mu.Unlock()
	s.Loads = k.ended.Loads + k.keys.GetLoads()
	s.Evictions = k.ended.Evictions + k.keys.GetEvictions()
	if k.current != nil && !k.current.over() {
		s.Keys, s.KeyBytes = int(k.keys.GetKeys()), k.keys.GetKeyBytes()
	}
}

func (k *keeper) state() State {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.current != nil && k.current.over() {
		k.bury()
	}
	s := k.st
	if k.current != nil && !k.current.over() {
		s.Running = true
		s.PID, _ = strconv.Atoi(k.current.process.ID())
	}
	return s
}

// close ends the process. No call is under way.
func (k *keeper) close() error {
	k.mu.Lock()
	k.closed = true
	k.mu.Unlock()
	k.shut(gpu.ErrClosed)
	k.starts.Wait()
	k.mu.Lock()
	c := k.current
	k.mu.Unlock()
	if c != nil {
		if err := c.shutdown(); err != nil {
			return err // and the thread stays: it must outlive the process
		}
	}
	k.spawner.Stop()
	return k.runDir.Remove()
}
