// Package dispatchertest is what every scheduler.Dispatcher must do, as tests,
// and a dispatcher in memory that passes them.
package dispatchertest

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gristmill-zk/gristmill/internal/service"
	"github.com/gristmill-zk/gristmill/scheduler"
	"github.com/gristmill-zk/gristmill/wire"
)

// patience is how long anything may take on a busy machine.
const patience = 2 * time.Minute

// Bench is a dispatcher under test and the worker's end of it.
type Bench struct {
	scheduler.Dispatcher
	// Take takes a waiting job as a worker does; nil when none waits. done
	// acknowledges it.
	Take func(t testing.TB) (job *wire.Job, done func())
	// Beat shows life for a job for d, with a word on the progress.
	Beat func(t testing.TB, id string, d time.Duration, progress string)
	// Report sends a result.
	Report func(t testing.TB, r wire.Result)
	// Wanted says whether a worker that is on a job would go on.
	Wanted func(t testing.TB, id string) bool
	// Wipe makes the queue forget everything.
	Wipe func(t testing.TB)
}

// Run runs the suite; open makes a new, empty bench for each test.
func Run(t *testing.T, prover wire.Address, open func(t *testing.T) *Bench) {
	for name, test := range map[string]func(*testing.T, *Bench, wire.Address){
		"JobReachesAWorkerOnce":   jobReachesAWorkerOnce,
		"BeatKeepsAJobAlive":      beatKeepsAJobAlive,
		"StopRemovesAWaitingJob":  stopRemovesAWaitingJob,
		"ProversDoNotMeet":        proversDoNotMeet,
		"OldStopsAreForgotten":    oldStopsAreForgotten,
		"WipeForgetsAndGoesOn":    wipeForgetsAndGoesOn,
		"ResultsComeUntilHandled": resultsComeUntilHandled,
		"ResultsReturnWhenIdle":   resultsReturnWhenIdle,
		"BadJobsAreRefused":       badJobsAreRefused,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bench := open(t)
			require.NoError(t, bench.Check(t.Context()))
			test(t, bench, prover)
		})
	}
}

// Deployment is that of the suite's jobs.
var Deployment = wire.Deployment{ChainID: 1337, Registry: wire.Address{1}}

// Job is a valid job for task number n.
func Job(prover wire.Address, n byte, attempt uint32) wire.Job {
	job := *wire.NewJob()
	job.Deployment = Deployment
	job.TaskID, job.Attempt, job.Prover = wire.Hash{0xaa, n}, attempt, prover
	job.Project, job.Version, job.BatchSize, job.PayloadLimit, job.Count = 1, 1, 4, 31, 2
	job.VKID, job.Outputs = wire.Hash{4}, 1
	job.DataHash, job.DataURLs = wire.Hash{3}, []string{"http://127.0.0.1:1"}
	job.ReplyQueue = wire.ResultQueue(Deployment, prover)
	return job
}

// Result is a valid result that reports job as solved.
func Result(job wire.Job) wire.Result {
	r := *wire.NewResult()
	r.TaskID, r.Attempt, r.Worker, r.Kind, r.At = job.TaskID, job.Attempt, "bench", wire.ResultSolved, 1
	return r
}

func status(t *testing.T, b *Bench, job wire.Job) scheduler.JobStatus {
	t.Helper()
	s, err := b.Status(t.Context(), job.ID())
	require.NoError(t, err)
	return s
}

func jobReachesAWorkerOnce(t *testing.T, b *Bench, prover wire.Address) {
	job := Job(prover, 1, 1)
	require.False(t, status(t, b, job).Alive(), "nothing is known of a job never queued")
	require.NoError(t, b.Dispatch(t.Context(), job))
	require.NoError(t, b.Dispatch(t.Context(), job), "the same attempt again is a success")
	require.True(t, status(t, b, job).Pending)

	got, done := b.Take(t)
	require.NotNil(t, got)
	require.Equal(t, job, *got)
	require.False(t, status(t, b, job).Alive(), "taken and silent is not alive")
	again, _ := b.Take(t)
	require.Nil(t, again, "the second dispatch made no second job")
	done()
	require.False(t, status(t, b, job).Alive())

	next := Job(prover, 1, 2)
	require.NoError(t, b.Dispatch(t.Context(), next), "the next attempt at the same task is another job")
	require.True(t, status(t, b, next).Pending)
}

func beatKeepsAJobAlive(t *testing.T, b *Bench, prover wire.Address) {
	job := Job(prover, 2, 1)
	require.NoError(t, b.Dispatch(t.Context(), job))
	_, done := b.Take(t)
	defer done()
	b.Beat(t, job.ID(), patience, "solve")
	require.True(t, status(t, b, job).Beating)
	require.Equal(t, "solve", status(t, b, job).Progress)
	other := Job(prover, 2, 2)
	require.False(t, status(t, b, other).Alive(), "a beat is one attempt's")
	b.Beat(t, job.ID(), 50*time.Millisecond, "")
	require.Eventually(t, func() bool { return !status(t, b, job).Alive() }, patience, 20*time.Millisecond)
	require.Empty(t, status(t, b, job).Progress)
}

func stopRemovesAWaitingJob(t *testing.T, b *Bench, prover wire.Address) {
	job, keep := Job(prover, 3, 1), Job(prover, 3, 2)
	require.NoError(t, b.Stop(t.Context(), job.ID()), "stopping what is not there is fine")
	require.NoError(t, b.Dispatch(t.Context(), keep))
	require.NoError(t, b.Dispatch(t.Context(), job))
	require.NoError(t, b.Stop(t.Context(), job.ID()))
	require.False(t, status(t, b, job).Alive())
	got, done := b.Take(t)
	require.NotNil(t, got)
	defer done()
	require.EqualValues(t, 2, got.Attempt)
	require.NoError(t, b.Stop(t.Context(), keep.ID()), "stopping a running job is fine")
	none, _ := b.Take(t)
	require.Nil(t, none)
}

// proversDoNotMeet: a task that one prover loses is the next one's, under the
// same task id, and its first attempt has the same number.
func proversDoNotMeet(t *testing.T, b *Bench, prover wire.Address) {
	elsewhere := Job(prover, 9, 1)
	elsewhere.Deployment.ChainID++
	other := prover
	other[0]++
	jobs := []wire.Job{Job(prover, 9, 1), Job(other, 9, 1), elsewhere}
	for _, job := range jobs {
		require.NoError(t, b.Dispatch(t.Context(), job))
		require.True(t, status(t, b, job).Pending)
	}
	require.NoError(t, b.Stop(t.Context(), jobs[0].ID()))
	require.False(t, b.Wanted(t, jobs[0].ID()))
	require.False(t, status(t, b, jobs[0]).Alive())
	for _, job := range jobs[1:] {
		require.True(t, b.Wanted(t, job.ID()), "stopping one prover's attempt leaves the others'")
		got, done := b.Take(t)
		require.NotNil(t, got)
		require.Equal(t, job, *got)
		done()
	}
	b.Beat(t, jobs[1].ID(), patience, "")
	require.True(t, status(t, b, jobs[1]).Beating)
	require.False(t, status(t, b, jobs[0]).Beating, "a beat is one prover's")
	require.False(t, status(t, b, jobs[2]).Beating, "and of one deployment")
}

// oldStopsAreForgotten: a store that was made anew counts attempts from 1, and
// what its predecessor stopped must not end them.
func oldStopsAreForgotten(t *testing.T, b *Bench, prover wire.Address) {
	job := Job(prover, 10, 1)
	require.NoError(t, b.Dispatch(t.Context(), job))
	require.NoError(t, b.Stop(t.Context(), job.ID()))
	require.False(t, b.Wanted(t, job.ID()))
	require.NoError(t, b.Dispatch(t.Context(), job))
	require.True(t, b.Wanted(t, job.ID()))
	require.True(t, status(t, b, job).Pending)
	got, done := b.Take(t)
	require.NotNil(t, got)
	done()
}

func wipeForgetsAndGoesOn(t *testing.T, b *Bench, prover wire.Address) {
	before, after := Job(prover, 4, 1), Job(prover, 4, 2)
	require.NoError(t, b.Dispatch(t.Context(), before))
	b.Wipe(t)
	require.False(t, status(t, b, before).Alive())
	require.NoError(t, b.Dispatch(t.Context(), after))
	require.True(t, status(t, b, after).Pending, "a wiped queue is found again")
	require.NoError(t, b.Dispatch(t.Context(), before), "and takes what it forgot")
	require.True(t, status(t, b, before).Pending)
}

func resultsComeUntilHandled(t *testing.T, b *Bench, prover wire.Address) {
	var mu sync.Mutex
	calls := map[wire.Hash]int{}
	handled := map[wire.Hash]wire.Result{}
	unit := service.New("results", func(ctx context.Context, ready func()) error {
		return b.Results(ctx, ready, func(_ context.Context, r wire.Result) error {
			mu.Lock()
			defer mu.Unlock()
			calls[r.TaskID]++
			if r.TaskID[1] == 6 && calls[r.TaskID] < 3 {
				return errors.New("the store is busy")
			}
			handled[r.TaskID] = r
			return nil
		})
	})
	early := Result(Job(prover, 5, 1))
	b.Report(t, early) // before anybody listens
	require.NoError(t, unit.Start(t.Context()))
	defer unit.Stop()
	stubborn := Result(Job(prover, 6, 1))
	b.Report(t, stubborn)
	require.Eventually(t, func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(handled) == 2
	}, patience, 10*time.Millisecond)
	mu.Lock()
	defer mu.Unlock()
	require.Equal(t, early, handled[early.TaskID])
	require.Equal(t, stubborn, handled[stubborn.TaskID])
	require.Equal(t, 3, calls[stubborn.TaskID])
}

func resultsReturnWhenIdle(t *testing.T, b *Bench, prover wire.Address) {
	running := make(chan struct{})
	var once sync.Once
	var finished atomic.Bool
	unit := service.New("results", func(ctx context.Context, ready func()) error {
		return b.Results(ctx, ready, func(ctx context.Context, _ wire.Result) error {
			once.Do(func() { close(running) })
			<-ctx.Done() // the end of Results' context reaches the handler
			<-time.After(50 * time.Millisecond)
			finished.Store(true)
			return ctx.Err()
		})
	})
	require.NoError(t, unit.Start(t.Context()))
	b.Report(t, Result(Job(prover, 7, 1)))
	<-running
	unit.Stop()
	require.True(t, finished.Load(), "no handler outlives Results")
}

func badJobsAreRefused(t *testing.T, b *Bench, prover wire.Address) {
	job := Job(prover, 8, 0)
	var reject *wire.Reject
	require.ErrorAs(t, b.Dispatch(t.Context(), job), &reject)
	require.Equal(t, "attempt", reject.Field)
	got, _ := b.Take(t)
	require.Nil(t, got)
}
