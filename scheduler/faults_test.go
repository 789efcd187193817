package scheduler_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gristmill-zk/gristmill/scheduler"
	"github.com/gristmill-zk/gristmill/wire"
)

func attempts(t *testing.T, s *scheduler.Scheduler, id wire.Hash) []scheduler.AttemptState {
	t.Helper()
	list, err := s.Store().Attempts(context.Background(), id)
	require.NoError(t, err)
	var out []scheduler.AttemptState
	for i, a := range list {
		require.EqualValues(t, i+1, a.Number)
		out = append(out, a.State)
	}
	return out
}

func TestLostWorkerIsReplaced(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	e.cfg.LostAfter = soon
	s, _ := e.start(t)
	id := e.mine(t, me)
	first := e.take(t)
	e.queue.Report(solvedResult(first)) // and falls silent
	e.queue.Beat(e.jobID(id, 2), patience)
	second := e.take(t)
	require.EqualValues(t, 2, second.Attempt)
	require.Equal(t, scheduler.AttemptLost, attempts(t, s, id)[0])
	require.Eventually(t, func() bool { return e.queue.Stopped(e.jobID(id, 1)) }, patience, tick)
	require.Eventually(t, func() bool { return chainStatus(t, s, e, id) == scheduler.ChainAccepted }, patience, tick,
		"that the circuit solves is known from the lost attempt")
	e.queue.Report(e.provedResult(t, second))
	detail := await(t, s, id, scheduler.Settled)
	require.Contains(t, states(detail.History), scheduler.Fetched)
	require.Equal(t, 1, e.chain.Settlements(id))
}

func TestProofOfALostAttemptCounts(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	e.cfg.LostAfter = soon
	s, _ := e.start(t)
	id := e.mine(t, me)
	first := e.take(t)
	e.queue.Beat(e.jobID(id, 2), patience)
	second := e.take(t)
	e.queue.Report(e.provedResult(t, first))
	await(t, s, id, scheduler.Settled)
	require.Eventually(t, func() bool { return e.queue.Stopped(e.jobID(id, 2)) }, patience, tick, "the second attempt is not needed")
	e.queue.Report(e.provedResult(t, second))
	e.queue.Report(failedResult(second, true))
	require.Equal(t, scheduler.AttemptProved, attempts(t, s, id)[0])
	require.Equal(t, 1, e.chain.Settlements(id))
}

func TestBeatingWorkerIsLeftAlone(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	e.cfg.LostAfter = soon
	e.start(t)
	id := e.mine(t, me)
	e.queue.Beat(e.jobID(id, 1), patience)
	e.take(t)
	require.Never(t, func() bool { return e.queue.Take() != nil }, 3*e.cfg.LostAfter, tick)
}

func TestWaitingJobIsLeftAlone(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	e.cfg.LostAfter = soon
	s, _ := e.start(t)
	id := e.mine(t, me)
	await(t, s, id, scheduler.Dispatched)
	require.Never(t, func() bool { return len(attempts(t, s, id)) != 1 }, 3*e.cfg.LostAfter, tick)
}

func TestSilenceOfTheQueueIsNotTheWorkers(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	e.cfg.LostAfter = soon
	s, _ := e.start(t)
	id := e.mine(t, me)
	e.queue.Beat(e.jobID(id, 1), patience)
	job := e.take(t)
	e.queue.SetDown(errOffline)
	require.Never(t, func() bool { return len(attempts(t, s, id)) != 1 }, 3*e.cfg.LostAfter, tick)
	e.queue.SetDown(nil)
	e.queue.Report(e.provedResult(t, job))
	await(t, s, id, scheduler.Settled)
}

func TestWipedQueueIsFilledFromTheStore(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	e.cfg.LostAfter = soon
	s, _ := e.start(t)
	var all []wire.Hash
	for range 3 {
		all = append(all, e.mine(t, me))
	}
	for _, id := range all {
		await(t, s, id, scheduler.Dispatched)
	}
	e.queue.Wipe()
	e.workers(t)
	for _, id := range all {
		await(t, s, id, scheduler.Settled)
		require.Equal(t, 1, e.chain.Settlements(id))
	}
}

func TestResultsInAnyOrderAndNumber(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	s, _ := e.start(t)
	id := e.mine(t, me)
	job := e.take(t)
	proof := e.provedResult(t, job)
	e.queue.Report(proof)
	e.queue.Report(solvedResult(job))
	e.queue.Report(proof)
	e.queue.Report(failedResult(job, false))
	await(t, s, id, scheduler.Settled)
	e.queue.Report(e.provedResult(t, job))
	e.queue.Report(solvedResult(job))
	other := e.mine(t, me) // results are handled in order: once this one is through, so are the others
	next := e.take(t)
	e.queue.Report(e.provedResult(t, next))
	await(t, s, other, scheduler.Settled)
	require.Equal(t, scheduler.Settled, await(t, s, id, scheduler.Settled).State)
	require.Equal(t, []scheduler.AttemptState{scheduler.AttemptProved}, attempts(t, s, id))
	require.Equal(t, 1, e.chain.Settlements(id))
	e.chain.Set(func(c *fakeChain) { require.Equal(t, 2, c.attempts[scheduler.CallSettle]) })
}

func TestResultsOfAttemptsNeverMadeAreDropped(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	s, _ := e.start(t)
	id := e.mine(t, me)
	job := e.take(t)
	e.queue.Beat(e.jobID(id, 1), patience)
	future, stranger := job, job
	future.Attempt, stranger.TaskID = 9, wire.Hash{0x99}
	e.queue.Report(e.provedResult(t, future))
	e.queue.Report(e.provedResult(t, stranger))
	e.queue.Report(solvedResult(job))
	await(t, s, id, scheduler.Solved)
	require.Len(t, attempts(t, s, id), 1)
}

func TestWrongProofsAreRefusedAndMadeAgain(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*env, *wire.ProofEnvelope, wire.Job){
		"other outputs": func(_ *env, p *wire.ProofEnvelope, _ wire.Job) { p.Outputs[0][31]++ },
		"more outputs":  func(_ *env, p *wire.ProofEnvelope, _ wire.Job) { p.Outputs = append(p.Outputs, wire.Hash{}) },
		"other prover":  func(_ *env, p *wire.ProofEnvelope, _ wire.Job) { p.Prover = other },
		"other key":     func(_ *env, p *wire.ProofEnvelope, _ wire.Job) { p.VKID[0] ^= 1 },
		"other bundle":  func(_ *env, p *wire.ProofEnvelope, _ wire.Job) { p.BundleDigest[0] ^= 1 },
		"swapped points": func(_ *env, p *wire.ProofEnvelope, _ wire.Job) {
			p.Proof[0], p.Proof[1], p.Proof[6], p.Proof[7] = p.Proof[6], p.Proof[7], p.Proof[0], p.Proof[1]
		},
		"other task's": func(e *env, p *wire.ProofEnvelope, job wire.Job) {
			job.TaskID[5] ^= 1
			p.Proof = e.provedResult(fataler{}, job).ProofEnvelope.Proof
		},
		"other data's": func(e *env, p *wire.ProofEnvelope, job wire.Job) {
			job.DataCommitment[31] ^= 1
			p.Proof = e.provedResult(fataler{}, job).ProofEnvelope.Proof
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newEnv(t)
			s, _ := e.start(t)
			id := e.mine(t, me)
			job := e.take(t)
			e.queue.Beat(e.jobID(id, 1), patience)
			bad := e.provedResult(t, job)
			spoil(e, bad.ProofEnvelope, job)
			e.queue.Report(bad)
			again := e.take(t)
			require.EqualValues(t, 2, again.Attempt)
			list, err := s.Store().Attempts(t.Context(), id)
			require.NoError(t, err)
			require.Equal(t, scheduler.AttemptFailed, list[0].State)
			require.Contains(t, list[0].Reason, "proof refused")
			e.chain.Set(func(c *fakeChain) { require.Zero(t, c.attempts[scheduler.CallSettle], "no gas for a wrong proof") })
			e.queue.Report(e.provedResult(t, again))
			await(t, s, id, scheduler.Settled)
		})
	}
}

// fataler is a testingT for helpers that cannot fail in a test that works.
type fataler struct{}

func (fataler) Helper()                   {}
func (fataler) Errorf(f string, a ...any) { fataler{}.Fatalf(f, a...) }
func (fataler) FailNow()                  { panic("failed") }
func (fataler) Fatalf(f string, a ...any) { panic(f) }

func TestFailedAttemptIsRepeated(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	s, _ := e.start(t)
	id := e.mine(t, me)
	e.queue.Report(failedResult(e.take(t), true))
	job := e.take(t)
	require.EqualValues(t, 2, job.Attempt)
	e.queue.Report(e.provedResult(t, job))
	await(t, s, id, scheduler.Settled)
}

func TestOfferThatCannotBeSolvedIsDeclined(t *testing.T) {
	t.Parallel()
	for name, final := range map[string]bool{"at once": true, "after some attempts": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newEnv(t)
			s, _ := e.start(t)
			id := e.mine(t, me)
			tries := 1
			if !final {
				tries = e.cfg.Attempts
			}
			for range tries {
				e.queue.Report(failedResult(e.take(t), !final))
			}
			require.Contains(t, await(t, s, id, scheduler.Declined).Reason, "constraint 3 does not hold")
			require.Eventually(t, func() bool { return chainStatus(t, s, e, id) == scheduler.ChainWaiting }, patience, tick)
			e.chain.Set(func(c *fakeChain) {
				require.Equal(t, 1, c.attempts[scheduler.CallDecline])
				require.Zero(t, c.attempts[scheduler.CallAccept])
			})
			e.chain.Offer(id, me) // a new offer is looked at anew
			job := e.take(t)
			require.EqualValues(t, tries+1, job.Attempt)
		})
	}
}

func TestAcceptedTaskIsNeverDeclined(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	s, _ := e.start(t)
	id := e.mine(t, me)
	job := e.take(t)
	e.queue.Beat(e.jobID(id, 1), patience)
	e.queue.Report(solvedResult(job))
	require.Eventually(t, func() bool { return chainStatus(t, s, e, id) == scheduler.ChainAccepted }, patience, tick)
	for range 2 * e.cfg.Attempts {
		e.queue.Report(failedResult(job, false))
		job = e.take(t)
	}
	e.queue.Report(e.provedResult(t, job))
	await(t, s, id, scheduler.Settled)
}

func TestTaskGivenToAnotherIsLost(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	s, _ := e.start(t)
	id := e.mine(t, me)
	job := e.take(t)
	e.chain.Offer(id, other)
	require.Contains(t, await(t, s, id, scheduler.Lost).Reason, other.String())
	require.Eventually(t, func() bool { return e.queue.Stopped(e.jobID(id, 1)) }, patience, tick)
	e.queue.Report(e.provedResult(t, job)) // kept, should it come back
	require.Eventually(t, func() bool { _, err := s.Store().Proof(t.Context(), id); return err == nil }, patience, tick)
	e.chain.Offer(id, me)
	await(t, s, id, scheduler.Settled)
	require.Len(t, attempts(t, s, id), 1, "the kept proof is used")
}

func TestDeadAndRecalledTasksEnd(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	s, _ := e.start(t)
	dead, recalled := e.mine(t, me), e.mine(t, me)
	await(t, s, dead, scheduler.Dispatched)
	await(t, s, recalled, scheduler.Dispatched)
	e.chain.Kill(dead, scheduler.EventDead, scheduler.ChainDead)
	e.chain.Kill(recalled, scheduler.EventRecalled, scheduler.ChainRecalled)
	require.Contains(t, await(t, s, dead, scheduler.Dead).Reason, "no takers")
	require.Contains(t, await(t, s, recalled, scheduler.Dead).Reason, "recalled")
}

func TestRefusedSettlementIsSentAgain(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	refusals := 2
	e.chain.refuse = func(call scheduler.Call) bool {
		if call.Kind == scheduler.CallSettle && refusals > 0 {
			refusals--
			return true
		}
		return false
	}
	s, _ := e.start(t)
	e.workers(t)
	id := e.mine(t, me)
	detail := await(t, s, id, scheduler.Settled)
	proved := 0
	for _, step := range detail.History {
		if step.State == scheduler.Proved {
			proved++
		}
	}
	require.Equal(t, 3, proved, "back to proved after each refusal")
	require.Equal(t, 1, e.chain.Settlements(id))
}

func TestRefusedSettlementOfATaskGivenAwayEndsIt(t *testing.T) {
	t.Parallel()
	for want, end := range map[scheduler.State]func(c *fakeChain, id wire.Hash){
		scheduler.Lost: func(c *fakeChain, id wire.Hash) {
			c.offer(id, other, scheduler.ChainEvent{Kind: scheduler.EventReassigned})
		},
		scheduler.Dead: func(c *fakeChain, id wire.Hash) {
			c.change(id, scheduler.Record{Status: scheduler.ChainRecalled}, scheduler.ChainEvent{Kind: scheduler.EventRecalled})
		},
	} {
		e := newEnv(t)
		e.chain.refuse = func(call scheduler.Call) bool {
			if call.Kind == scheduler.CallSettle { // another's transaction came first in the block
				end(e.chain, call.Tasks[0])
				return true
			}
			return false
		}
		s, _ := e.start(t)
		e.workers(t)
		id := e.mine(t, me)
		await(t, s, id, want)
		require.Zero(t, e.chain.Settlements(id))
	}
}

func TestSpoiltBatchOfAnswersIsSplit(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	e.chain.refuse = func(call scheduler.Call) bool { return call.Kind == scheduler.CallAccept && len(call.Tasks) > 1 }
	s, _ := e.start(t)
	var all []wire.Hash
	e.queue.SetDown(errOffline) // so that results come together
	for range 5 {
		all = append(all, e.mine(t, me))
	}
	e.queue.SetDown(nil)
	e.workers(t)
	for _, id := range all {
		await(t, s, id, scheduler.Settled)
	}
}

func TestStoredProofThatRotsIsMadeAgain(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	e.chain.refuse = func(call scheduler.Call) bool { return call.Kind == scheduler.CallAccept }
	s, _ := e.start(t)
	id := e.mine(t, me)
	e.queue.Report(e.provedResult(t, e.take(t)))
	await(t, s, id, scheduler.Proved)
	require.NoError(t, s.Store().Exec(t.Context(), rotEnvelopes))
	e.chain.Set(func(c *fakeChain) { c.refuse = nil })
	again := e.take(t)
	require.EqualValues(t, 2, again.Attempt)
	e.queue.Report(e.provedResult(t, again))
	await(t, s, id, scheduler.Settled)
}

const rotEnvelopes = `UPDATE tasks SET envelope = substr(envelope, 1, 100) || x'ff' || substr(envelope, 102)`

func TestProofThatRotsBeforeItsSettlementIsSentIsMadeAgain(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	e.chain.unsent = true
	s, _ := e.start(t)
	id := e.mine(t, me)
	e.queue.Report(e.provedResult(t, e.take(t)))
	await(t, s, id, scheduler.Submitted)
	require.NoError(t, s.Store().Exec(t.Context(), rotEnvelopes))
	again := e.take(t)
	require.EqualValues(t, 2, again.Attempt)
	e.chain.Set(func(c *fakeChain) { c.unsent = false })
	e.queue.Report(e.provedResult(t, again))
	await(t, s, id, scheduler.Settled)
	require.Equal(t, 1, e.chain.Settlements(id))
}

func TestProofThatRotsAfterItsSettlementWasSentIsNotMadeAgain(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	e.chain.refuse = func(call scheduler.Call) bool { // from the settlement on, nothing is heard of it
		if call.Kind == scheduler.CallSettle {
			e.chain.dropped, e.chain.frozen = true, true
		}
		return false
	}
	s, _ := e.start(t)
	id := e.mine(t, me)
	e.queue.Report(e.provedResult(t, e.take(t)))
	require.Eventually(t, func() bool { return e.chain.Settlements(id) == 1 }, patience, tick)
	require.NoError(t, s.Store().Exec(t.Context(), rotEnvelopes))
	e.chain.Set(func(c *fakeChain) { c.dropped = false })
	require.Eventually(t, func() bool {
		task, err := s.Store().Task(t.Context(), id)
		return err == nil && task.State == scheduler.Submitted && task.Gas == 4242
	}, patience, tick)
	e.chain.Set(func(c *fakeChain) { c.frozen = false })
	await(t, s, id, scheduler.Settled)
	require.Len(t, attempts(t, s, id), 1)
	require.Equal(t, 1, e.chain.Settlements(id))
}

func TestAbsentChainStopsNothingForGood(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	s, _ := e.start(t)
	id := e.mine(t, me)
	job := e.take(t)
	e.chain.Set(func(c *fakeChain) { c.down = errOffline })
	e.queue.Beat(e.jobID(id, 1), patience)
	e.queue.Report(e.provedResult(t, job)) // cannot be verified as long as the key cannot be read
	require.Never(t, func() bool {
		task, err := s.Store().Task(t.Context(), id)
		return err != nil || task.State != scheduler.Dispatched
	}, 100*time.Millisecond, tick)
	e.chain.Set(func(c *fakeChain) { c.down = nil })
	await(t, s, id, scheduler.Settled)
}

func TestDutiesAreOptional(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	e.cfg.SkipClaim, e.cfg.SkipAdvance = true, true
	s, _ := e.start(t)
	e.workers(t)
	waiting, passed := e.mine(t, zero), e.mine(t, other)
	e.chain.Set(func(c *fakeChain) { c.now += 10 * window })
	ours := e.mine(t, me)
	await(t, s, ours, scheduler.Settled)
	require.Never(t, func() bool { return e.chain.Settlements(waiting)+e.chain.Settlements(passed) > 0 }, 10*e.cfg.DutyPoll, tick)
}

func TestLateTasksOfOthersAreTaken(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	id := e.mine(t, other)
	e.chain.Set(func(c *fakeChain) {
		r := c.tip().tasks[id]
		r.Status, r.Deadline = scheduler.ChainAccepted, c.now+1
		c.change(id, r, scheduler.ChainEvent{Kind: scheduler.EventAccepted, Prover: other, Deadline: r.Deadline})
		c.now += 10
	})
	s, _ := e.start(t)
	e.workers(t)
	await(t, s, id, scheduler.Settled)
	e.chain.Set(func(c *fakeChain) { require.Equal(t, 1, c.attempts[scheduler.CallReassign]) })
}

// Two provers: the one that accepted never returns, and the other takes its
// task over and settles it.
func TestTaskOfAProverThatNeverReturnsIsTakenOver(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	s, stop := e.start(t)
	id := e.mine(t, me)
	job := e.take(t)
	e.queue.Report(solvedResult(job))
	require.Eventually(t, func() bool { return chainStatus(t, s, e, id) == scheduler.ChainAccepted }, patience, tick)
	stop()

	second := e.another(t, other)
	theirs, _ := second.start(t)
	second.workers(t)
	require.Eventually(t, func() bool {
		task, err := theirs.Store().Task(t.Context(), id)
		return err == nil && task.Status == scheduler.ChainAccepted
	}, patience, tick)
	require.Never(t, func() bool {
		task, err := theirs.Store().Task(t.Context(), id)
		return err != nil || task.State != scheduler.None
	}, 5*e.cfg.DutyPoll, tick, "it is the first one's until its deadline")
	e.chain.Set(func(c *fakeChain) {
		require.Zero(t, c.attempts[scheduler.CallReassign])
		c.now += window + 1
	})
	await(t, theirs, id, scheduler.Settled)
	record, err := e.chain.Record(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, other, record.Prover)
	require.Equal(t, 1, e.chain.Settlements(id))

	s, _ = e.start(t) // after all
	require.Contains(t, await(t, s, id, scheduler.Lost).Reason, other.String())
}

func TestWaitingTaskThatFailsTooOftenIsLeftToOthers(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	s, _ := e.start(t)
	id := e.mine(t, zero)
	for range e.cfg.Attempts {
		e.queue.Report(failedResult(e.take(t), true))
	}
	await(t, s, id, scheduler.Declined)
	require.Never(t, func() bool { return e.queue.Take() != nil }, 5*e.cfg.DutyPoll, tick, "it is not taken up again")
	e.chain.Set(func(c *fakeChain) { require.Zero(t, c.attempts[scheduler.CallClaim]) })
	e.chain.Offer(id, me) // but an offer of it is looked at anew
	e.queue.Report(e.provedResult(t, e.take(t)))
	await(t, s, id, scheduler.Settled)
}

// Work that a bond depends on goes into the queue first, the most urgent of it
// before the rest, and what is anybody's waits until it is under way.
func TestAcceptedWorkIsDispatchedFirst(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	s, err := scheduler.New(t.Context(), e.cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	d := scheduler.Drive(s)
	step := func() { require.NoError(t, d.Step(t.Context())) }
	take := func() (list []wire.Job) {
		for job := e.queue.Take(); job != nil; job = e.queue.Take() {
			list = append(list, *job)
		}
		return list
	}

	late, soon := e.mine(t, me), e.mine(t, me)
	step()
	for _, job := range take() {
		require.NoError(t, d.Take(t.Context(), solvedResult(job)))
	}
	step() // accepts
	waiting := e.mine(t, zero)
	step() // takes the waiting one up
	offered := e.mine(t, me)
	for id, deadline := range map[wire.Hash]int{late: 300, soon: 200} {
		require.Equal(t, scheduler.ChainAccepted, chainStatus(t, s, e, id))
		require.NoError(t, s.Store().Exec(t.Context(), `UPDATE tasks SET state = 'fetched', deadline = ? WHERE id = ?`, deadline, id[:]))
	}
	step()
	jobs := take()
	require.Len(t, jobs, 3)
	for i, id := range ids(soon, late, offered) {
		require.Equal(t, id, jobs[i].TaskID, "place %d", i)
		require.NoError(t, d.Take(t.Context(), solvedResult(jobs[i])))
	}
	step()
	jobs = take()
	require.Len(t, jobs, 1)
	require.Equal(t, waiting, jobs[0].TaskID, "its turn is when the others solve")
}

func TestPausedProverDoesNothingUnasked(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	e.chain.self = scheduler.Self{Joined: true, Paused: true, Idle: true, Free: 5}
	e.start(t)
	e.mine(t, zero)
	require.Never(t, func() bool {
		var n int
		e.chain.Set(func(c *fakeChain) { n = len(c.attempts) })
		return n > 0
	}, 10*e.cfg.DutyPoll, tick)
}
