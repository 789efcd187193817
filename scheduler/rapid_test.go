package scheduler_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/gristmill-zk/gristmill/scheduler"
	"github.com/gristmill-zk/gristmill/wire"
)

// world is a scheduler driven step by step through whatever may happen to it.
type world struct {
	*env
	s    *scheduler.Scheduler
	d    *scheduler.Driver
	ids  []wire.Hash
	jobs []wire.Job // taken by workers, any of which may still report
}

func (w *world) open(t *rapid.T) {
	s, err := scheduler.New(context.Background(), w.cfg)
	require.NoError(t, err)
	w.s, w.d = s, scheduler.Drive(s)
}

// step runs every service once. Being offline is allowed, anything else not:
// above all no transition that the table does not have.
func (w *world) step(t *rapid.T) {
	if err := w.d.Step(context.Background()); err != nil && !errors.Is(err, errOffline) {
		t.Fatalf("step: %v", err)
	}
}

func (w *world) report(t *rapid.T, r wire.Result) {
	if err := w.d.Take(context.Background(), r); err != nil && !errors.Is(err, errOffline) {
		t.Fatalf("result %s of attempt %d: %v", r.Kind, r.Attempt, err)
	}
}

func (w *world) anyTask(t *rapid.T) wire.Hash {
	if len(w.ids) == 0 {
		t.Skip("no task yet")
	}
	return rapid.SampledFrom(w.ids).Draw(t, "task")
}

func (w *world) anyJob(t *rapid.T) wire.Job {
	if len(w.jobs) == 0 {
		t.Skip("no job yet")
	}
	return rapid.SampledFrom(w.jobs).Draw(t, "job")
}

// standing says whether the chain has a task that is not at an end.
func (w *world) standing(id wire.Hash) bool {
	r, _ := w.chain.Record(context.Background(), id)
	switch r.Status {
	case scheduler.ChainWaiting, scheduler.ChainOffered, scheduler.ChainAccepted:
		return true
	}
	return false
}

func (w *world) check(t *rapid.T) {
	for _, id := range w.ids {
		require.LessOrEqual(t, w.chain.Settlements(id), 1, "settled once")
	}
	tasks, err := w.s.Store().Tasks(context.Background(), scheduler.None, 1000)
	require.NoError(t, err)
	for _, task := range tasks {
		attempts, err := w.s.Store().Attempts(context.Background(), task.ID)
		require.NoError(t, err)
		require.Len(t, attempts, int(task.Attempt), "every attempt has its number")
		if task.State == scheduler.Proved || task.State == scheduler.Submitted {
			_, err := w.s.Store().Proof(context.Background(), task.ID)
			require.NoError(t, err, "a proof is on disk before its task is proved")
		}
	}
}

func (w *world) actions() map[string]func(*rapid.T) {
	both := func(t *rapid.T) wire.Address { return rapid.SampledFrom([]wire.Address{me, other}).Draw(t, "prover") }
	return map[string]func(*rapid.T){
		"": w.check,
		"step": func(t *rapid.T) {
			for range rapid.IntRange(1, 3).Draw(t, "times") {
				w.step(t)
			}
		},
		"one service": func(t *rapid.T) {
			service := rapid.SampledFrom(w.d.Services()).Draw(t, "service")
			if err := service(context.Background()); err != nil && !errors.Is(err, errOffline) {
				t.Fatalf("service: %v", err)
			}
		},
		"mine": func(t *rapid.T) {
			if len(w.ids) >= 4 {
				t.Skip("enough")
			}
			to := rapid.SampledFrom([]wire.Address{me, me, other, {}}).Draw(t, "to")
			raw, m := w.body(t, 1)
			require.NoError(t, w.d.PutBody(context.Background(), raw))
			w.ids = append(w.ids, w.mineAs(m, to))
		},
		"offer elsewhere": func(t *rapid.T) {
			if id := w.anyTask(t); w.standing(id) {
				w.chain.Offer(id, both(t))
			}
		},
		"end": func(t *rapid.T) {
			if id := w.anyTask(t); rapid.IntRange(0, 4).Draw(t, "rarely") == 0 && w.standing(id) {
				w.chain.Kill(id, scheduler.EventDead, scheduler.ChainDead)
			}
		},
		"reorg": func(t *rapid.T) {
			w.chain.Reorg(rapid.IntRange(1, 6).Draw(t, "depth"), rapid.Bool().Draw(t, "resend"))
		},
		"manager sends again": func(*rapid.T) { w.chain.Resend() },
		"another accepts": func(t *rapid.T) {
			if id := w.anyTask(t); w.standing(id) {
				w.chain.Accept(id, other)
			}
		},
		"worker takes": func(t *rapid.T) {
			if job := w.queue.Take(); job != nil {
				w.jobs = append(w.jobs, *job)
			}
		},
		"worker solves": func(t *rapid.T) { w.report(t, solvedResult(w.anyJob(t))) },
		"worker proves": func(t *rapid.T) { w.report(t, w.provedResult(t, w.anyJob(t))) },
		"worker fails":  func(t *rapid.T) { w.report(t, failedResult(w.anyJob(t), true)) },
		"worker lies": func(t *rapid.T) {
			r := w.provedResult(t, w.anyJob(t))
			r.ProofEnvelope.Outputs[0][31] = 50
			w.report(t, r)
		},
		"queue wiped":   func(*rapid.T) { w.queue.Wipe() },
		"queue away":    func(*rapid.T) { w.queue.SetDown(errOffline) },
		"queue back":    func(*rapid.T) { w.queue.SetDown(nil) },
		"chain away":    func(*rapid.T) { w.chain.Set(func(c *fakeChain) { c.down = errOffline }) },
		"chain back":    func(*rapid.T) { w.chain.Set(func(c *fakeChain) { c.down, c.dropped = nil, false }) },
		"receipts lost": func(*rapid.T) { w.chain.Set(func(c *fakeChain) { c.dropped = true }) },
		"time passes":   func(*rapid.T) { w.chain.Set(func(c *fakeChain) { c.now += window / 2 }) },
		"idle":          func(*rapid.T) { w.chain.Set(func(c *fakeChain) { c.self.Idle = true }) },
		"restart": func(t *rapid.T) {
			require.NoError(t, w.s.Close())
			w.open(t)
		},
	}
}

// settleAll ends the trouble and lets an honest worker work.
func (w *world) settleAll(t *rapid.T) {
	w.queue.SetDown(nil)
	w.chain.Set(func(c *fakeChain) { c.down, c.dropped = nil, false })
	for range 400 {
		w.chain.Resend()
		w.step(t)
		require.NoError(t, w.s.Store().Exec(context.Background(), `UPDATE tasks SET updated_at = 1
 WHERE (answer = 'answered' AND status IN ('offered', 'waiting')) OR state = 'submitted'`))
		w.chain.Set(func(c *fakeChain) { c.now += window })
		for job := w.queue.Take(); job != nil; job = w.queue.Take() {
			w.report(t, solvedResult(*job))
			w.report(t, w.provedResult(t, *job))
		}
		if w.quiet() {
			return
		}
	}
	for _, id := range w.ids {
		detail, err := w.s.Store().Detail(context.Background(), id)
		record, _ := w.chain.Record(context.Background(), id)
		t.Logf("%s: chain %+v, store %+v %v", id, record, detail, err)
	}
	t.Fatalf("does not come to rest")
}

// quiet says whether every task that the chain still has came to an end, and
// the store agrees.
func (w *world) quiet() bool {
	for _, id := range w.ids {
		if w.standing(id) {
			return false
		}
		record, _ := w.chain.Record(context.Background(), id)
		task, err := w.s.Store().Task(context.Background(), id)
		if record.Status == scheduler.ChainSettled && (err != nil || task.State != scheduler.Settled || task.Gas == 0) {
			return false
		}
		if err == nil && task.State != scheduler.None && !task.State.End() {
			return false
		}
	}
	return true
}

// Whatever happens, nothing settles twice, no forbidden step is taken, and
// once the trouble ends every task that is still on the chain is settled.
func TestReconcilerBringsEverythingToAnEnd(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		dir, err := os.MkdirTemp("", "rapid")
		require.NoError(rt, err)
		defer func() { _ = os.RemoveAll(dir) }()
		w := &world{env: newWorld(rt, dir)}
		w.cfg.LostAfter, w.cfg.RetryMin, w.cfg.RetryMax = 1, 1, 1
		w.cfg.Poll, w.cfg.DutyPoll, w.cfg.Attempts, w.cfg.FetchTries = 1, 1, 1000, 1000
		var log strings.Builder
		w.cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
		w.open(rt)
		defer func() { _ = w.s.Close() }()
		rt.Repeat(w.actions())
		w.settleAll(rt)
		w.check(rt)
		require.NotContains(rt, log.String(), scheduler.ErrTransition.Error())
	})
}
