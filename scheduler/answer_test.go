package scheduler_test

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gristmill-zk/gristmill/scheduler"
	"github.com/gristmill-zk/gristmill/wire"
)

// slowChain makes some calls wait for their confirmations until it is told.
type slowChain struct {
	*fakeChain
	slow func(scheduler.Call) bool
	over chan struct{}

	mu      sync.Mutex
	waiting int
}

func (c *slowChain) Send(ctx context.Context, key string, call scheduler.Call) (scheduler.Receipt, error) {
	receipt, err := c.fakeChain.Send(ctx, key, call)
	if err != nil || !c.slow(call) {
		return receipt, err
	}
	c.mu.Lock()
	c.waiting++
	c.mu.Unlock()
	select {
	case <-c.over:
		return receipt, nil
	case <-ctx.Done():
		return scheduler.Receipt{}, ctx.Err()
	}
}

func (c *slowChain) held() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.waiting
}

func (e *env) slowDown(slow func(scheduler.Call) bool) *slowChain {
	c := &slowChain{fakeChain: e.chain, slow: slow, over: make(chan struct{})}
	e.cfg.Chain = c
	return c
}

// An acceptance does not wait for the confirmations of other answers: its own
// window runs.
func TestAnswersDoNotWaitForOneAnother(t *testing.T) {
	t.Parallel()
	for _, kind := range []scheduler.CallKind{scheduler.CallAccept, scheduler.CallDecline} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			e := newEnv(t)
			slow := e.slowDown(func(call scheduler.Call) bool { return call.Kind == kind })
			defer close(slow.over)
			s, _ := e.start(t)
			many := 3
			if kind == scheduler.CallDecline {
				many = 20 // more than are sent at a time
			}
			for range many {
				before := slow.held()
				e.mine(t, me)
				if job := e.take(t); kind == scheduler.CallAccept {
					e.queue.Report(e.provedResult(t, job))
				} else {
					e.queue.Report(failedResult(job, false))
				}
				require.Eventually(t, func() bool { return slow.held() > before || before >= 16 }, patience, tick)
			}
			id := e.mine(t, me)
			e.queue.Report(e.provedResult(t, e.take(t)))
			require.Eventually(t, func() bool {
				return chainStatus(t, s, e, id) == scheduler.ChainAccepted || e.chain.Settlements(id) == 1
			},
				patience, tick, "accepted although nothing sent before it is confirmed")
		})
	}
}

// A duty waits for confirmations, and a silent worker is missed all the same.
func TestDutiesHoldNothingUp(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	e.chain.self.Idle = true
	e.cfg.LostAfter = soon
	slow := e.slowDown(func(call scheduler.Call) bool { return call.Kind == scheduler.CallResume })
	defer close(slow.over)
	e.start(t)
	require.Eventually(t, func() bool { return slow.held() == 1 }, patience, tick)
	e.mine(t, me)
	e.take(t)                                    // and falls silent
	require.EqualValues(t, 2, e.take(t).Attempt) // while the duty still waits
}

// lines is a log that may be read while it is written.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) count(what string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), what)
}

func TestWindowsShorterThanConfirmationsAreToldOnce(t *testing.T) {
	t.Parallel()
	for lag, told := range map[time.Duration]int{0: 0, 99 * time.Second: 0, 100 * time.Second: 1} {
		t.Run(lag.String(), func(t *testing.T) {
			t.Parallel()
			e := newEnv(t)
			e.chain.lag, e.chain.version.AcceptWindow = lag, 100*time.Second
			var log lines
			e.cfg.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn}))
			s, _ := e.start(t)
			e.workers(t)
			for _, id := range []wire.Hash{e.mine(t, me), e.mine(t, me)} {
				await(t, s, id, scheduler.Settled)
			}
			require.Equal(t, told, log.count("confirmations take longer"))
		})
	}
}
