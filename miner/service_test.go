package miner

import (
	"context"
	"errors"
	"math/big"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gristmill-zk/gristmill/wire"
)

// board is a Source that a test sets by hand.
type board struct {
	mu     sync.Mutex
	job    Job
	moved  chan struct{}
	answer func(Solution) error
	got    chan Solution
	fails  int
	asked  func(have string) // if set, told of each request for work
}

func newBoard() *board {
	return &board{moved: make(chan struct{}), got: make(chan Solution, 100)}
}

func (b *board) set(j Job) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.job = j
	close(b.moved)
	b.moved = make(chan struct{})
}

func (b *board) Work(ctx context.Context, have string) (Job, error) {
	if b.asked != nil {
		b.asked(have)
	}
	for {
		b.mu.Lock()
		job, moved := b.job, b.moved
		if b.fails > 0 {
			b.fails--
			b.mu.Unlock()
			return Job{}, errors.New("out of order")
		}
		b.mu.Unlock()
		if job.ID != have {
			return job, nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return Job{}, ctx.Err()
		}
	}
}

func (b *board) Submit(_ context.Context, s Solution) error {
	b.got <- s
	if b.answer != nil {
		return b.answer(s)
	}
	return nil
}

func start(t *testing.T, cfg Config) *Service {
	t.Helper()
	s, err := New(cfg)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	ready := make(chan struct{})
	go func() { ended <- s.Run(ctx, func() { close(ready) }) }()
	<-ready
	t.Cleanup(func() { cancel(); require.ErrorIs(t, <-ended, context.Canceled) })
	return s
}

func job(id string, target *big.Int) Job {
	h := wire.Header{Version: 0x20000000}
	copy(h.Prev[:], id)
	return Job{ID: id, Header: h, Target: target}
}

func TestServiceSolvesJobAfterJob(t *testing.T) {
	t.Parallel()
	b := newBoard()
	b.fails = 2
	start(t, Config{Source: b, Workers: 2})
	for _, id := range []string{"a", "b", "c"} {
		b.set(job(id, easy(10)))
		require.Equal(t, id, (<-b.got).JobID)
	}
}

// TestServiceSwitches puts a job that is solved at once in place of one that
// never is; how soon the old search ends is TestSearchStopsSoon's.
func TestServiceSwitches(t *testing.T) {
	t.Parallel()
	b := newBoard()
	s := start(t, Config{Source: b, Workers: 2})
	for range 5 {
		b.set(job("never", big.NewInt(1)))
		before := s.Hashes()
		require.Eventually(t, func() bool { return s.Hashes() > before }, time.Minute, time.Millisecond)
		b.set(job("now", easy(1)))
		require.Equal(t, "now", (<-b.got).JobID)
	}
}

func TestServiceStopsWhenThereIsNothingToMine(t *testing.T) {
	t.Parallel()
	b := newBoard()
	asked := make(chan string, 10)
	b.asked = func(have string) { asked <- have }
	rates := make(chan float64)
	start(t, Config{Source: b, Workers: 1, ReportEvery: 5 * time.Millisecond, OnRate: func(r float64) {
		select {
		case rates <- r:
		case <-t.Context().Done():
		}
	}})
	require.Empty(t, <-asked)
	b.set(job("never", big.NewInt(1)))
	for <-rates == 0 {
	}
	require.Equal(t, "never", <-asked)
	b.set(Job{})
	for idle := false; !idle; {
		select {
		case have := <-asked:
			require.Empty(t, have)
			idle = true
		case <-rates:
		}
	}
	<-rates // of the last moments of the search
	require.Zero(t, <-rates)
}

func TestServiceRepeatsAnUndeliveredSolution(t *testing.T) {
	t.Parallel()
	b := newBoard()
	failures := 2
	b.answer = func(Solution) error {
		if failures--; failures >= 0 {
			return errors.New("connection refused")
		}
		return nil
	}
	start(t, Config{Source: b, Workers: 1})
	b.set(job("a", easy(4)))
	first := <-b.got
	require.Equal(t, first, <-b.got)
	require.Equal(t, first, <-b.got)
}

func TestServiceDropsStaleAndRefused(t *testing.T) {
	t.Parallel()
	b := newBoard()
	b.answer = func(s Solution) error {
		if s.JobID == "stale" {
			return ErrStale
		}
		return ErrRefused
	}
	start(t, Config{Source: b, Workers: 1})
	for _, id := range []string{"stale", "refused", "stale"} {
		b.set(job(id, easy(4)))
		require.Equal(t, id, (<-b.got).JobID)
	}
	require.Empty(t, b.got)
}

func TestServiceReportsItsRate(t *testing.T) {
	t.Parallel()
	b := newBoard()
	rates := make(chan float64, 1000)
	start(t, Config{Source: b, Workers: 1, ReportEvery: 20 * time.Millisecond, OnRate: func(r float64) { rates <- r }})
	b.set(job("never", big.NewInt(1)))
	require.Eventually(t, func() bool { return <-rates > 1000 }, time.Minute, time.Millisecond)
}

func TestConfigNamesWhatIsWrong(t *testing.T) {
	t.Parallel()
	for field, cfg := range map[string]Config{
		"Source":      {},
		"Workers":     {Source: newBoard(), Workers: -1},
		"ReportEvery": {Source: newBoard(), ReportEvery: -1},
	} {
		_, err := New(cfg)
		require.ErrorContains(t, err, field)
	}
}
