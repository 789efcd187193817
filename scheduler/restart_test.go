package scheduler_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gristmill-zk/gristmill/scheduler"
	"github.com/gristmill-zk/gristmill/wire"
)

// A process that ends right after it wrote a state goes on from there.
func TestRestartInEveryState(t *testing.T) {
	t.Parallel()
	for _, state := range scheduler.States[:6] {
		t.Run(string(state), func(t *testing.T) {
			t.Parallel()
			e := newEnv(t)
			e.cfg.LostAfter = soon
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			e.watch = func(event scheduler.Event) {
				if event.Kind == scheduler.StateChanged && event.Task.State == state {
					cancel()
				}
			}
			s, stop := e.startIn(ctx, t)
			stopWorkers := e.workers(t)
			id := e.mine(t, me)
			<-ctx.Done()
			stop()
			stopWorkers()
			_ = s

			e.mu.Lock()
			e.watch = nil
			e.mu.Unlock()
			e.queue.Wipe() // an embedded queue ends with the process
			s, _ = e.start(t)
			e.workers(t)
			detail := await(t, s, id, scheduler.Settled)
			require.Equal(t, 1, e.chain.Settlements(id))
			require.Contains(t, states(detail.History), state)
		})
	}
}

// A process that ends after a transaction took effect and before its receipt
// was seen sends nothing twice.
func TestRestartWithReceiptsLost(t *testing.T) {
	t.Parallel()
	for _, kind := range []scheduler.CallKind{scheduler.CallAccept, scheduler.CallSettle} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			e := newEnv(t)
			s, stop := e.start(t)
			id := e.mine(t, me)
			job := e.take(t)
			e.queue.Beat(e.jobID(id, 1), patience)
			if kind == scheduler.CallAccept {
				e.chain.Set(func(c *fakeChain) { c.dropped = true })
			}
			e.queue.Report(solvedResult(job))
			await(t, s, id, scheduler.Solved)
			if kind == scheduler.CallSettle {
				require.Eventually(t, func() bool { return chainStatus(t, s, e, id) == scheduler.ChainAccepted }, patience, tick)
				e.chain.Set(func(c *fakeChain) { c.dropped, c.frozen = true, true })
				e.queue.Report(e.provedResult(t, job))
			}
			require.Eventually(t, func() bool {
				var n int
				e.chain.Set(func(c *fakeChain) { n = c.attempts[kind] })
				return n == 1
			}, patience, tick)
			stop()
			e.chain.Set(func(c *fakeChain) { c.dropped = false })
			s, _ = e.start(t)
			if kind == scheduler.CallAccept {
				e.queue.Report(e.provedResult(t, job))
			} else {
				require.Eventually(t, func() bool {
					task, err := s.Store().Task(t.Context(), id)
					return err == nil && task.State == scheduler.Submitted && task.Gas == 4242
				}, patience, tick, "sent again, the receipt of the first came back")
				e.chain.Set(func(c *fakeChain) { c.frozen = false })
			}
			await(t, s, id, scheduler.Settled)
			require.Equal(t, 1, e.chain.Settlements(id))
			e.chain.Set(func(c *fakeChain) { require.Equal(t, 1, c.attempts[kind], "the key keeps it from being made twice") })
		})
	}
}

// A prover that was away past every window returns to work by itself.
func TestReturnAfterEveryDeadlinePassed(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	e.cfg.LostAfter = soon
	s, stop := e.start(t)
	offered, accepted := e.mine(t, me), e.mine(t, me)
	await(t, s, offered, scheduler.Dispatched)
	for job := e.queue.Take(); ; job = e.queue.Take() {
		if job != nil && job.TaskID == accepted {
			e.queue.Report(solvedResult(*job))
			break
		}
	}
	require.Eventually(t, func() bool { return chainStatus(t, s, e, accepted) == scheduler.ChainAccepted }, patience, tick)
	stop()
	e.queue.Wipe()
	e.chain.Set(func(c *fakeChain) { c.now += 1000 * window; c.self.Idle = true })
	late := e.mine(t, other) // whose prover lets the offer pass
	e.chain.Set(func(c *fakeChain) { c.now += 1000 * window })
	unclaimed := e.mine(t, zero)

	s, _ = e.start(t)
	e.workers(t)
	for _, id := range ids(offered, accepted, late, unclaimed) {
		await(t, s, id, scheduler.Settled)
		require.Equal(t, 1, e.chain.Settlements(id))
	}
	e.chain.Set(func(c *fakeChain) {
		require.False(t, c.self.Idle)
		require.Equal(t, 1, c.attempts[scheduler.CallResume])
		require.Equal(t, 1, c.attempts[scheduler.CallAdvance])
		require.Equal(t, 1, c.attempts[scheduler.CallClaim])
	})
}

// settledOnce waits until store and chain agree that a task is settled.
func settledOnce(t *testing.T, e *env, s *scheduler.Scheduler, id wire.Hash) {
	t.Helper()
	var task *scheduler.Task
	require.Eventually(t, func() bool {
		var err error
		task, err = s.Store().Task(t.Context(), id)
		return err == nil && task.State == scheduler.Settled && task.Gas != 0 && task.Tx == task.SettleTx &&
			e.chain.Settlements(id) == 1 && chainStatus(t, s, e, id) == scheduler.ChainSettled
	}, patience, tick, lazy(func() string { return fmt.Sprintf("is %+v", task) }))
}

// wentBack waits until the history says that a task left the end it was at.
func wentBack(t *testing.T, s *scheduler.Scheduler, id wire.Hash, why string) {
	t.Helper()
	require.Eventually(t, func() bool {
		history, err := s.Store().History(t.Context(), id)
		return err == nil && slices.ContainsFunc(history, func(step scheduler.Step) bool {
			return step.State == scheduler.Proved && strings.Contains(step.Reason, why)
		})
	}, patience, tick, "%s goes back to proved: %s", id, why)
}

// hurry makes what waits for an event wait no longer.
func hurry(t *testing.T, s *scheduler.Scheduler) {
	t.Helper()
	require.NoError(t, s.Store().Exec(t.Context(), `UPDATE tasks SET updated_at = 1
 WHERE updated_at > 1 AND ((answer = 'answered' AND status IN ('offered', 'waiting')) OR state = 'submitted')`))
}

func TestReorganisationTakesTheSettlementBack(t *testing.T) {
	t.Parallel()
	for name, again := range map[string]func(*env){
		"sent again at once": func(e *env) { e.chain.Reorg(1, true) },
		"sent again later":   func(e *env) { e.chain.Reorg(1, false) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newEnv(t)
			s, _ := e.start(t)
			e.workers(t)
			id := e.mine(t, me)
			settledOnce(t, e, s, id)
			again(e)
			wentBack(t, s, id, "back from settled")
			e.chain.Resend()
			settledOnce(t, e, s, id)
		})
	}
}

// The manager sends a settlement again that a reorganisation dropped, and the
// chain refuses it: nobody but the manager knows, and it must be asked.
func TestSettlementRefusedAfterAReorganisationIsMadeAnew(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		order func(*testing.T, *env, *scheduler.Scheduler, wire.Hash)
		// asks says that nothing new comes but from asking again after a while.
		asks bool
	}{
		"before it is asked": {func(_ *testing.T, e *env, _ *scheduler.Scheduler, _ wire.Hash) { e.chain.Reorg(1, true) }, false},
		"while it cannot be asked": {func(t *testing.T, e *env, s *scheduler.Scheduler, id wire.Hash) {
			e.chain.Set(func(c *fakeChain) { c.unsent = true })
			e.chain.Reorg(1, true)
			await(t, s, id, scheduler.Submitted)
			e.chain.Set(func(c *fakeChain) { c.unsent = false })
		}, false},
		"after it is asked": {func(t *testing.T, e *env, s *scheduler.Scheduler, id wire.Hash) {
			e.chain.Reorg(1, false)
			require.Eventually(t, func() bool {
				task, err := s.Store().Task(t.Context(), id)
				return err == nil && task.State == scheduler.Submitted && task.Gas != 0
			}, patience, tick, "the journal still has the old receipt")
			e.chain.Resend()
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newEnv(t)
			s, _ := e.start(t)
			e.workers(t)
			id := e.mine(t, me)
			settledOnce(t, e, s, id)
			e.chain.Set(func(chain *fakeChain) {
				refused := false
				chain.refuse = func(call scheduler.Call) bool {
					first := call.Kind == scheduler.CallSettle && !refused
					refused = refused || first
					return first
				}
			})
			c.order(t, e, s, id)
			wentBack(t, s, id, "back from settled")
			require.Eventually(t, func() bool {
				if c.asks {
					hurry(t, s)
				}
				return e.chain.Settlements(id) == 1
			}, patience, tick, "the settlement is sent anew")
			settledOnce(t, e, s, id)
		})
	}
}

// A reorganisation that takes the acceptance too leaves a settlement that is
// under way without its ground: the acceptance has to be sent again first.
func TestReorganisationTakesTheAcceptanceBack(t *testing.T) {
	t.Parallel()
	for _, kind := range []scheduler.CallKind{scheduler.CallAccept, scheduler.CallClaim} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			e := newEnv(t)
			e.chain.refuse = func(call scheduler.Call) bool { // the settlement is mined, its event is not seen
				if call.Kind == scheduler.CallSettle {
					e.chain.frozen = true
				}
				return false
			}
			s, _ := e.start(t)
			e.workers(t)
			to := me
			if kind == scheduler.CallClaim {
				to = zero
			}
			id := e.mine(t, to)
			require.Eventually(t, func() bool {
				task, err := s.Store().Task(t.Context(), id)
				return err == nil && task.State == scheduler.Submitted && task.Gas != 0
			}, patience, tick)
			e.chain.Set(func(c *fakeChain) { c.refuse = func(scheduler.Call) bool { return true } })
			e.chain.Reorg(2, true) // what the manager sends again is refused
			e.chain.Set(func(c *fakeChain) { c.frozen, c.refuse = false, nil })
			wentBack(t, s, id, "no longer accepted on chain")
			require.Eventually(t, func() bool {
				hurry(t, s)
				return e.chain.Settlements(id) == 1
			}, patience, tick, "accepted and settled again")
			settledOnce(t, e, s, id)
			e.chain.Set(func(c *fakeChain) { require.Equal(t, 3, c.attempts[kind], "sent, sent again and made anew") })
		})
	}
}

func TestReorganisationRemovesTheBlock(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	s, _ := e.start(t)
	raw, mined := e.body(t, 2)
	e.serve(raw)
	id := e.mineAs(mined, me)
	job := e.take(t)
	e.queue.Report(solvedResult(job))
	require.Eventually(t, func() bool { return chainStatus(t, s, e, id) == scheduler.ChainAccepted }, patience, tick)
	e.chain.Reorg(10, false)
	lost := await(t, s, id, scheduler.Lost)
	require.Equal(t, scheduler.ChainGone, lost.Status)
	require.Contains(t, lost.Reason, "reorganisation")
	require.Eventually(t, func() bool { return e.queue.Stopped(e.jobID(id, 1)) }, patience, tick, "its attempt is stopped")

	require.Equal(t, id, e.mineAs(mined, me), "mined again on the other branch")
	e.queue.Report(e.provedResult(t, job))
	await(t, s, id, scheduler.Settled)
	require.Equal(t, 1, e.chain.Settlements(id))
}
