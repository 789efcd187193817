package scheduler_test

import (
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gristmill-zk/gristmill/scheduler"
	"github.com/gristmill-zk/gristmill/wire"
)

func TestTaskGoesFromOfferToSettlement(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	s, _ := e.start(t)
	id := e.mine(t, me)
	job := e.take(t)
	require.Equal(t, id, job.TaskID)
	require.EqualValues(t, 1, job.Attempt)
	require.Equal(t, wire.ResultQueue(e.chain.d, me), job.ReplyQueue)
	require.Contains(t, job.DataURLs, s.URL()+"/v1/data/"+job.DataHash.String())
	offered := await(t, s, id, scheduler.Dispatched)
	require.Equal(t, scheduler.ChainOffered, offered.Status, "nothing is accepted before it solves")
	require.NotZero(t, job.Due)
	require.Equal(t, offered.AcceptBy, job.Due, "an offer is lost when nobody accepts it")

	e.queue.Beat(e.jobID(id, 1), patience)
	e.queue.Report(solvedResult(job))
	await(t, s, id, scheduler.Solved)
	require.Eventually(t, func() bool {
		task, err := s.Store().Task(t.Context(), id)
		return err == nil && task.Status == scheduler.ChainAccepted
	}, patience, tick, "accepted while it is being proved")
	require.Equal(t, scheduler.Solved, await(t, s, id, scheduler.Solved).State)

	e.queue.Report(e.provedResult(t, job))
	detail := await(t, s, id, scheduler.Settled)
	require.Equal(t, 1, e.chain.Settlements(id))
	require.Equal(t, []scheduler.State{
		scheduler.Discovered, scheduler.Fetched, scheduler.Dispatched, scheduler.Solved,
		scheduler.Proved, scheduler.Submitted, scheduler.Settled,
	}, states(detail.History))
	for _, step := range detail.History {
		require.NotEmpty(t, step.Reason)
		require.False(t, step.At.IsZero())
	}
	require.Equal(t, scheduler.AttemptProved, detail.Attempts[0].State)
	require.Eventually(t, func() bool {
		task, err := s.Store().Task(t.Context(), id)
		return err == nil && task.Gas == 4242 && task.Tx == task.SettleTx
	}, patience, tick)
	proof, err := s.Store().Proof(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, "test", proof.Engine)
}

func TestObserversSeeEveryStage(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	s, stop := e.start(t)
	e.workers(t)
	id := e.mine(t, me)
	await(t, s, id, scheduler.Settled)
	require.Eventually(t, func() bool {
		e.mu.Lock()
		defer e.mu.Unlock()
		for _, event := range e.events {
			if event.Kind == scheduler.ReceiptSeen {
				return true
			}
		}
		return false
	}, patience, tick)
	stop()
	e.mu.Lock()
	defer e.mu.Unlock()
	var stages []scheduler.State
	seen := map[scheduler.EventKind]int{}
	for _, event := range e.events {
		seen[event.Kind]++
		if event.Kind == scheduler.StateChanged {
			stages = append(stages, event.Task.State)
		}
	}
	require.Equal(t, scheduler.States[:7], stages)
	require.Equal(t, 1, seen[scheduler.OfferAccepted])
	require.Equal(t, 1, seen[scheduler.ReceiptSeen])
}

func TestManyTasksSettleOnceEachAndAreAcceptedInBatches(t *testing.T) {
	t.Parallel()
	const tasks = 10
	e := newEnv(t)
	s, _ := e.start(t)
	var ids []wire.Hash
	for range tasks {
		ids = append(ids, e.mine(t, me))
	}
	var jobs []wire.Job
	for range tasks {
		jobs = append(jobs, e.take(t))
	}
	var reports sync.WaitGroup
	for _, job := range jobs {
		e.queue.Beat(job.ID(), patience)
		reports.Go(func() {
			e.queue.Report(solvedResult(job))
			e.queue.Report(e.provedResult(t, job))
		})
	}
	reports.Wait()
	for _, id := range ids {
		await(t, s, id, scheduler.Settled)
		require.Equal(t, 1, e.chain.Settlements(id))
	}
	e.chain.Set(func(c *fakeChain) {
		require.Less(t, c.accepts, tasks, "offers are accepted together")
		require.Equal(t, tasks, c.attempts[scheduler.CallSettle])
	})
}

func TestOffersOfOthersAreNotOurs(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	s, _ := e.start(t)
	e.workers(t)
	theirs, ours := e.mine(t, other), e.mine(t, me)
	await(t, s, ours, scheduler.Settled)
	task, err := s.Store().Task(t.Context(), theirs)
	require.NoError(t, err)
	require.Equal(t, scheduler.None, task.State)
	listed, err := s.Store().Tasks(t.Context(), scheduler.None, 10)
	require.NoError(t, err)
	require.Len(t, listed, 1)
}
