package dispatchertest

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/gristmill-zk/gristmill/scheduler"
	"github.com/gristmill-zk/gristmill/wire"
)

// Memory is a queue in memory, for tests of the scheduler.
type Memory struct {
	mu      sync.Mutex
	jobs    map[string]wire.Job // waiting
	order   []string
	known   map[string]bool // waiting or taken
	beats   map[string]beat
	stopped map[string]bool
	results []wire.Result
	changed chan struct{}
	down    error
}

// beat is a worker's last sign of life on a job.
type beat struct {
	until    time.Time
	progress string
}

var _ scheduler.Dispatcher = (*Memory)(nil)

// NewMemory makes an empty queue.
func NewMemory() *Memory {
	m := &Memory{changed: make(chan struct{}, 1)}
	m.reset()
	return m
}

func (m *Memory) reset() {
	m.jobs, m.order, m.known = map[string]wire.Job{}, nil, map[string]bool{}
	m.beats, m.stopped, m.results = map[string]beat{}, map[string]bool{}, nil
}

// Wipe forgets everything.
func (m *Memory) Wipe() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.reset()
}

// SetDown makes every call fail with err; nil ends that.
func (m *Memory) SetDown(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.down = err
}

// Check implements scheduler.Dispatcher.
func (m *Memory) Check(context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.down
}

// Dispatch implements scheduler.Dispatcher.
func (m *Memory) Dispatch(_ context.Context, job wire.Job) error {
	if err := job.Validate(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	id := job.ID()
	if m.down != nil {
		return m.down
	}
	delete(m.stopped, id)
	if m.known[id] {
		return nil
	}
	m.jobs[id], m.known[id], m.order = job, true, append(m.order, id)
	return nil
}

// Status implements scheduler.Dispatcher.
func (m *Memory) Status(_ context.Context, id string) (scheduler.JobStatus, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, waits := m.jobs[id]
	status := scheduler.JobStatus{Pending: waits, Beating: time.Now().Before(m.beats[id].until)}
	if status.Beating {
		status.Progress = m.beats[id].progress
	}
	return status, m.down
}

// Stop implements scheduler.Dispatcher.
func (m *Memory) Stop(_ context.Context, id string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, waits := m.jobs[id]; waits {
		delete(m.jobs, id)
		delete(m.known, id)
	}
	m.stopped[id] = true
	return m.down
}

// Stopped says whether a job was stopped.
func (m *Memory) Stopped(id string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.stopped[id]
}

// Take takes the oldest waiting job, or nil.
func (m *Memory) Take() *wire.Job {
	m.mu.Lock()
	defer m.mu.Unlock()
	for len(m.order) > 0 {
		id := m.order[0]
		m.order = m.order[1:]
		if job, ok := m.jobs[id]; ok {
			delete(m.jobs, id)
			return &job
		}
	}
	return nil
}

// Beat shows life for a job for d.
func (m *Memory) Beat(id string, d time.Duration) { m.BeatWith(id, d, "") }

// BeatWith is Beat with a word on the progress.
func (m *Memory) BeatWith(id string, d time.Duration, progress string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.beats[id] = beat{time.Now().Add(d), progress}
}

// Report sends a result.
func (m *Memory) Report(r wire.Result) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.results = append(m.results, r)
	m.signal()
}

func (m *Memory) signal() {
	select {
	case m.changed <- struct{}{}:
	default:
	}
}

// Results implements scheduler.Dispatcher, one result at a time.
func (m *Memory) Results(ctx context.Context, ready func(), handle func(context.Context, wire.Result) error) error {
	ready()
	for {
		m.mu.Lock()
		var next *wire.Result
		if len(m.results) > 0 && m.down == nil {
			r := m.results[0]
			next, m.results = &r, m.results[1:]
		}
		m.mu.Unlock()
		if next == nil {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-m.changed:
			case <-time.After(20 * time.Millisecond):
			}
			continue
		}
		if handle(ctx, *next) != nil {
			m.Report(*next)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// Bench makes the queue a bench for the suite.
func (m *Memory) Bench() *Bench {
	return &Bench{
		Dispatcher: m,
		Take:       func(testing.TB) (*wire.Job, func()) { return m.Take(), func() {} },
		Beat:       func(_ testing.TB, id string, d time.Duration, progress string) { m.BeatWith(id, d, progress) },
		Report:     func(_ testing.TB, r wire.Result) { m.Report(r) },
		Wanted:     func(_ testing.TB, id string) bool { return !m.Stopped(id) },
		Wipe:       func(testing.TB) { m.Wipe() },
	}
}
