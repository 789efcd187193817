package scheduler_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gristmill-zk/gristmill/scheduler"
)

// A proof may overtake the word that the circuit solves.
func TestProgressOfAnOvertakenResultIsKept(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	s, _ := e.start(t)
	id := e.mine(t, me)
	job := e.take(t)
	e.queue.Report(e.provedResult(t, job))
	await(t, s, id, scheduler.Settled)
	late := solvedResult(job)
	late.Progress = "solve"
	e.queue.Report(late)
	require.Eventually(t, func() bool {
		list, err := s.Store().Attempts(context.Background(), id)
		return err == nil && list[0].Progress == "solve"
	}, patience, tick)
}

// The word with the proof is the last, whatever was noted before it and comes
// after it.
func TestProgressOfAProofIsKept(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	s, _ := e.start(t)
	id := e.mine(t, me)
	job := e.take(t)
	early, last := solvedResult(job), e.provedResult(t, job)
	early.Progress, last.Progress = "fetch data", "fetch data; solve; prove"
	e.queue.Report(early)
	progress := func() string {
		list, err := s.Store().Attempts(context.Background(), id)
		require.NoError(t, err)
		return list[0].Progress
	}
	require.Eventually(t, func() bool { return progress() == early.Progress }, patience, tick)
	e.queue.Report(last)
	await(t, s, id, scheduler.Settled)
	require.Equal(t, last.Progress, progress())
}

// What a worker says of its work is kept with the attempt; the last word is what
// its result says.
func TestProgressIsKept(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	s, _ := e.start(t)
	id := e.mine(t, me)
	job := e.take(t)
	progress := func(attempt int) string {
		list, err := s.Store().Attempts(context.Background(), id)
		require.NoError(t, err)
		return list[attempt-1].Progress
	}
	for _, text := range []string{"solve", "solve; prove"} {
		e.queue.BeatWith(e.jobID(id, 1), patience, text)
		require.Eventually(t, func() bool { return progress(1) == text }, patience, tick)
	}
	failed := failedResult(job, true)
	failed.Progress = "solve; prove; the last word"
	e.queue.Report(failed)
	e.take(t) // the next attempt
	require.Equal(t, failed.Progress, progress(1))
	require.Empty(t, progress(2))
}
