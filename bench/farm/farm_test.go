package farm

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	gnarklog "github.com/consensys/gnark/logger"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/gristmill-zk/gristmill/node"
	"github.com/gristmill-zk/gristmill/plugins/sandbox"
	"github.com/gristmill-zk/gristmill/scheduler"
	"github.com/gristmill-zk/gristmill/sequencer"
	"github.com/gristmill-zk/gristmill/wire"
	"github.com/gristmill-zk/gristmill/worker"
)

func TestMain(m *testing.M) {
	sandbox.Main()
	gnarklog.Disable()
	// go-ethereum's sender cache lives as long as the process; goleveldb lets its
	// last goroutine end a while after Close.
	goleak.VerifyTestMain(m,
		goleak.IgnoreTopFunction("github.com/ethereum/go-ethereum/core.(*txSenderCacher).cache"),
		goleak.IgnoreTopFunction("github.com/syndtr/goleveldb/leveldb.(*DB).mpoolDrain"))
}

// TestStages feeds a trace the events of one task and reads its stages.
func TestStages(t *testing.T) {
	t.Parallel()
	tr, id, data := newTrace(), wire.Hash{1}, wire.Hash{2}
	now := time.Now()
	state := func(s scheduler.State, after time.Duration) {
		tr.onScheduler(scheduler.Event{At: now.Add(after), Kind: scheduler.StateChanged, Task: scheduler.Task{
			ID: id, View: scheduler.View{DataHash: data, Count: 4}, State: s,
		}})
	}
	tr.onSequencer(sequencer.BatchMade{DataHash: data, Waited: 30 * time.Millisecond})
	late := float64(time.Since(now).Microseconds())/1000 + 1
	_, _, changed := tr.progress()
	state(scheduler.Discovered, time.Second)
	state(scheduler.Fetched, 1010*time.Millisecond)
	tr.onWorker(worker.Event{Kind: worker.EventTaken, TaskID: id})
	tr.onWorker(worker.Event{Kind: worker.EventFetched, TaskID: id, Took: 5 * time.Millisecond})
	tr.onWorker(worker.Event{Kind: worker.EventSolved, TaskID: id, Took: 90 * time.Millisecond})
	state(scheduler.Solved, 1200*time.Millisecond)
	tr.onScheduler(scheduler.Event{At: now.Add(3200 * time.Millisecond), Kind: scheduler.OfferAccepted, Task: scheduler.Task{ID: id, View: scheduler.View{DataHash: data}}})
	state(scheduler.Proved, 2*time.Second)
	state(scheduler.Settled, 5*time.Second)
	<-changed
	settled, failure, _ := tr.progress()
	require.Equal(t, 4, settled)
	require.Empty(t, failure)
	got := map[string]Stage{}
	for _, s := range tr.stages(map[wire.Hash]*wire.ProofEnvelope{id: {ProveMS: 700, VerifyMS: 2}}) {
		require.NotEmpty(t, s.What)
		got[s.Name] = s
	}
	for name, want := range map[string]float64{"batch": 30, "fetch": 10, "prepare": 5, "solve": 90, "prove": 700, "verify": 2, "accept": 2000, "settle": 3000} {
		require.InDelta(t, want, got[name].P50, 1e-6, name)
		require.Equal(t, 1, got[name].N, name)
	}
	require.InDelta(t, 5030, got["total"].P50, late, "from the oldest message on")

	state(scheduler.Dead, 6*time.Second)
	_, failure, _ = tr.progress()
	require.Contains(t, failure, "dead")
}

func TestWaitEndsWithTheFailureOrTheCause(t *testing.T) {
	t.Parallel()
	tr := newTrace()
	tr.onSequencer(sequencer.MessagesRefused{Reason: "too old"})
	cfg := Config{Progress: func(string) {}}
	err := wait(t.Context(), cfg, tr, 1)
	require.ErrorIs(t, err, ErrNotSettled)
	require.ErrorContains(t, err, "too old")
	cause := errors.New("stopped")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	require.ErrorIs(t, wait(ctx, cfg, newTrace(), 1), cause)
	_, err = Run(t.Context(), Config{})
	require.ErrorIs(t, err, ErrConfig)
}

// TestRun sends two batches through the whole product.
func TestRun(t *testing.T) {
	if testing.Short() {
		t.Skip("runs a whole deployment")
	}
	t.Parallel()
	dir, err := node.OpenDataDir(t.TempDir())
	require.NoError(t, err)
	up := node.UpOptions{RoleOptions: node.RoleOptions{Dir: dir, Logger: slog.New(slog.DiscardHandler)}, LocalOptions: node.DemoLocal()}
	report, err := Run(t.Context(), Config{Up: up, Tasks: 2, Command: "gristmill bench farm"})
	require.NoError(t, err)
	require.Equal(t, 8, report.Messages)
	require.GreaterOrEqual(t, report.Tasks, 2)
	for _, s := range report.Stages {
		require.Equal(t, report.Tasks, s.N, s.Name)
		require.Positive(t, s.P50, s.Name)
		require.GreaterOrEqual(t, s.P99, s.P50, s.Name)
	}
	out := filepath.Join(t.TempDir(), "out")
	require.NoError(t, report.Write(out))
	encoded, err := os.ReadFile(filepath.Join(out, "farm.json"))
	require.NoError(t, err)
	var back Report
	require.NoError(t, json.Unmarshal(encoded, &back))
	require.Equal(t, report.Stages, back.Stages)
}
