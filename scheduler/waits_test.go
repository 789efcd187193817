package scheduler_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gristmill-zk/gristmill/scheduler"
	"github.com/gristmill-zk/gristmill/wire"
)

// waitsResult is what a worker reports that has the circuit fetched.
func waitsResult(job wire.Job) wire.Result {
	r := failedResult(job, true)
	r.Error = &wire.WorkError{Code: "bundle_fetching", Message: "1.0 of 2.0 MB", Retry: true, RetryAfter: 1}
	return r
}

// A task whose worker fetches the circuit is not given up for it.
func TestTaskWaitsForItsCircuit(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	e.cfg.Attempts = 2
	s, _ := e.start(t)
	id := e.mine(t, me)
	for range e.cfg.Attempts + 1 {
		e.queue.Report(waitsResult(e.take(t)))
	}
	job := e.take(t)
	require.EqualValues(t, e.cfg.Attempts+2, job.Attempt)
	e.queue.Report(solvedResult(job))
	e.queue.Report(e.provedResult(t, job))
	detail := await(t, s, id, scheduler.Settled)
	var told bool
	for _, step := range detail.History {
		told = told || step.Reason == "attempt 1 failed on worker "+waitsResult(job).Worker+": bundle_fetching: 1.0 of 2.0 MB"
	}
	require.True(t, told, "%v", detail.History)
}

// Before its offer passes the task is declined: silence would make the prover
// idle for every project.
func TestOfferIsDeclinedBeforeItPasses(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	s, _ := e.start(t)
	id := e.mine(t, me)
	job := e.take(t)
	e.queue.Beat(job.ID(), patience)
	e.chain.Set(func(c *fakeChain) { c.now += window - 5 })
	e.queue.Report(waitsResult(job))
	require.Contains(t, await(t, s, id, scheduler.Declined).Reason, "bundle_fetching")
}

// A task that waits for any prover goes on waiting, and what was accepted and
// waits for its circuit holds up no other.
func TestWhoWaitsForACircuitHoldsUpNobody(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	s, _ := e.start(t)
	accepted := e.mine(t, me)
	job := e.take(t)
	e.queue.Beat(job.ID(), patience)
	e.queue.Report(solvedResult(job))
	require.Eventually(t, func() bool { return chainStatus(t, s, e, accepted) == scheduler.ChainAccepted }, patience, tick)
	later := waitsResult(job)
	later.Error.RetryAfter = wire.MaxRetryAfter
	e.queue.Report(later)
	await(t, s, accepted, scheduler.Fetched)

	waiting := e.mine(t, zero)
	for range e.cfg.Attempts + 1 {
		job := e.take(t)
		require.Equal(t, waiting, job.TaskID)
		e.queue.Report(waitsResult(job))
	}
	job = e.take(t)
	e.queue.Report(solvedResult(job))
	e.queue.Report(e.provedResult(t, job))
	await(t, s, waiting, scheduler.Settled)
}
