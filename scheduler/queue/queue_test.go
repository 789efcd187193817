package queue_test

import (
	"context"
	"io"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/gristmill-zk/gristmill/internal/redistest"
	"github.com/gristmill-zk/gristmill/scheduler/dispatchertest"
	"github.com/gristmill-zk/gristmill/scheduler/queue"
	"github.com/gristmill-zk/gristmill/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var prover = wire.Address{7}

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

func TestConformanceOnRealRedis(t *testing.T) {
	t.Parallel()
	dispatchertest.Run(t, prover, func(t *testing.T) *dispatchertest.Bench {
		server := redistest.Start(t)
		return bench(t, server.Addr, false, server.FlushAll)
	})
}

func TestConformanceOnEmbeddedRedis(t *testing.T) {
	t.Parallel()
	dispatchertest.Run(t, prover, func(t *testing.T) *dispatchertest.Bench {
		server := redistest.Embedded(t)
		return bench(t, server.Addr(), true, server.Wipe)
	})
}

func open(t *testing.T, addr string, embedded bool) *queue.Queue {
	t.Helper()
	q, err := queue.New(queue.Config{
		Redis: asynq.RedisClientOpt{Addr: addr}, Embedded: embedded, Deployment: dispatchertest.Deployment, Prover: prover,
		Poll: 20 * time.Millisecond, RetryDelay: 50 * time.Millisecond, Logger: quiet(),
	})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, q.Close()) })
	return q
}

func bench(t *testing.T, addr string, embedded bool, wipe func()) *dispatchertest.Bench {
	opt := asynq.RedisClientOpt{Addr: addr}
	client := redis.NewClient(&redis.Options{Addr: addr})
	t.Cleanup(func() { assert.NoError(t, client.Close()) })
	return &dispatchertest.Bench{
		Dispatcher: open(t, addr, embedded),
		Take:       func(t testing.TB) (*wire.Job, func()) { return take(t, opt) },
		Beat: func(t testing.TB, id string, d time.Duration, progress string) {
			require.NoError(t, client.Set(context.Background(), wire.BeatKey(id), progress, d).Err())
		},
		Report: func(t testing.TB, r wire.Result) { report(t, opt, r) },
		Wanted: func(t testing.TB, id string) bool {
			n, err := client.Exists(context.Background(), wire.StopKey(id)).Result()
			require.NoError(t, err)
			return n == 0
		},
		Wipe: func(testing.TB) { wipe() },
	}
}

// take runs a worker's server until it has one job, or none waits. The server
// lives on until done.
func take(t testing.TB, opt asynq.RedisConnOpt) (*wire.Job, func()) {
	inspect := asynq.NewInspector(opt)
	defer func() { assert.NoError(t, inspect.Close()) }()
	_, others := counts(t, inspect)
	jobs, finish := make(chan *wire.Job, 1), make(chan struct{})
	server := asynq.NewServer(opt, asynq.Config{
		Concurrency: 1, Queues: map[string]int{wire.JobQueue: 1}, TaskCheckInterval: 10 * time.Millisecond, LogLevel: asynq.FatalLevel,
	})
	require.NoError(t, server.Start(asynq.HandlerFunc(func(_ context.Context, task *asynq.Task) error {
		job, err := wire.ParseJob(task.Payload())
		if err != nil || task.Type() != wire.JobType {
			return asynq.SkipRetry
		}
		jobs <- job
		<-finish
		return nil
	})))
	stopped := false
	stop := func() {
		if !stopped {
			stopped = true
			close(finish)
			server.Shutdown()
		}
	}
	t.Cleanup(stop)
	look := time.NewTicker(10 * time.Millisecond)
	defer look.Stop()
	for {
		select {
		case job := <-jobs:
			return job, stop
		case <-look.C:
		}
		if waiting, taken := counts(t, inspect); waiting == 0 && taken <= others {
			stop()
			return nil, func() {}
		}
	}
}

// counts are the jobs that wait and that workers have.
func counts(t testing.TB, inspect *asynq.Inspector) (waiting, taken int) {
	t.Helper()
	queues, err := inspect.Queues()
	require.NoError(t, err)
	if !slices.Contains(queues, wire.JobQueue) {
		return 0, 0
	}
	info, err := inspect.GetQueueInfo(wire.JobQueue)
	require.NoError(t, err)
	return info.Pending, info.Active
}

func report(t testing.TB, opt asynq.RedisConnOpt, r wire.Result) {
	t.Helper()
	payload, err := r.Encode()
	require.NoError(t, err)
	enqueue(t, opt, asynq.NewTask(wire.ResultType, payload))
}

func enqueue(t testing.TB, opt asynq.RedisConnOpt, task *asynq.Task) {
	t.Helper()
	client := asynq.NewClient(opt)
	defer func() { require.NoError(t, client.Close()) }()
	_, err := client.Enqueue(task, asynq.Queue(wire.ResultQueue(dispatchertest.Deployment, prover)), asynq.MaxRetry(3), asynq.Timeout(time.Minute))
	require.NoError(t, err)
}

func TestUnfitServersAreNamed(t *testing.T) {
	t.Parallel()
	evicting := redistest.Start(t, "--maxmemory-policy", "allkeys-lru")
	require.ErrorContains(t, open(t, evicting.Addr, false).Check(t.Context()), `maxmemory-policy is "allkeys-lru", set it to noeviction`)

	forgetful := redistest.Start(t, "--appendonly", "no")
	require.NoError(t, open(t, forgetful.Addr, false).Check(t.Context()), "only warned about")

	fit := redistest.Start(t)
	require.NoError(t, open(t, fit.Addr, false).Check(t.Context()))
	fit.Kill()
	require.ErrorContains(t, open(t, fit.Addr, false).Check(t.Context()), "redis does not answer")
}

func TestOldVersionsAreRefused(t *testing.T) {
	t.Parallel()
	for version, ok := range map[string]bool{
		"5.0.7": false, "6.0.16": false, "6.2.0": true, "7.0.15": true, "10.0.0": true, "": false, "six.two": false,
	} {
		require.Equal(t, ok, queue.CheckVersion(version) == nil, version)
	}
}

func TestUnreadableResultsAreDropped(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	opt := asynq.RedisClientOpt{Addr: server.Addr}
	enqueue(t, opt, asynq.NewTask(wire.ResultType, []byte(`{"v":1,"kind":"proved"}`)))
	enqueue(t, opt, asynq.NewTask("other:type", nil))
	good := dispatchertest.Result(dispatchertest.Job(prover, 1, 1))
	report(t, opt, good)

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var got []wire.Result
	err := open(t, server.Addr, false).Results(ctx, func() {}, func(_ context.Context, r wire.Result) error {
		got = append(got, r)
		cancel()
		return nil
	})
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, []wire.Result{good}, got)
}

func TestQueueSurvivesARestartOfTheServer(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	q := open(t, server.Addr, false)
	job := dispatchertest.Job(prover, 1, 1)
	require.NoError(t, q.Dispatch(t.Context(), job))
	server.Kill()
	require.Error(t, q.Dispatch(t.Context(), dispatchertest.Job(prover, 2, 1)))
	_, err := q.Status(t.Context(), job.ID())
	require.Error(t, err, "silence is not an answer")
	server.Restart()
	require.Eventually(t, func() bool {
		s, err := q.Status(t.Context(), job.ID())
		return err == nil && s.Pending
	}, 2*time.Minute, 20*time.Millisecond)
}
