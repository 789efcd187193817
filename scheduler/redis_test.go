package scheduler_test

import (
	"context"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gristmill-zk/gristmill/internal/redistest"
	"github.com/gristmill-zk/gristmill/scheduler"
	"github.com/gristmill-zk/gristmill/scheduler/queue"
	"github.com/gristmill-zk/gristmill/wire"
)

// farmWorker is a worker over Asynq: it beats, reports and proves.
func (e *env) farmWorker(t *testing.T, addr string) {
	t.Helper()
	e.farmWorkerThat(t, asynq.RedisClientOpt{Addr: addr}, func(job wire.Job) []wire.Result {
		return []wire.Result{solvedResult(job), e.provedResult(t, job)}
	})
}

// farmWorkerThat is a worker over Asynq that beats while work decides what is
// reported of a job.
func (e *env) farmWorkerThat(t *testing.T, opt asynq.RedisClientOpt, work func(wire.Job) []wire.Result) {
	t.Helper()
	client, rdb := asynq.NewClient(opt), redis.NewClient(&redis.Options{Addr: opt.Addr, DB: opt.DB})
	report := func(r wire.Result) error {
		payload, err := r.Encode()
		if err != nil {
			return err
		}
		_, err = client.Enqueue(asynq.NewTask(wire.ResultType, payload), asynq.Queue(wire.ResultQueue(e.chain.d, me)),
			asynq.MaxRetry(1000), asynq.Timeout(time.Minute))
		return err
	}
	server := asynq.NewServer(opt, asynq.Config{
		Concurrency: 2, Queues: map[string]int{wire.JobQueue: 1}, TaskCheckInterval: 20 * time.Millisecond, LogLevel: asynq.FatalLevel,
	})
	require.NoError(t, server.Start(asynq.HandlerFunc(func(ctx context.Context, task *asynq.Task) error {
		job, err := wire.ParseJob(task.Payload())
		if err != nil {
			return asynq.SkipRetry
		}
		beat := wire.BeatKey(job.ID())
		if err := rdb.Set(ctx, beat, 1, 15*time.Second).Err(); err != nil {
			return err
		}
		for _, result := range work(*job) {
			if err := report(result); err != nil {
				return err
			}
		}
		return rdb.Del(ctx, beat).Err()
	})))
	t.Cleanup(func() {
		server.Shutdown()
		assert.NoError(t, client.Close())
		assert.NoError(t, rdb.Close())
	})
}

func (e *env) useRedis(t *testing.T, addr string, embedded bool) {
	t.Helper()
	q, err := queue.New(queue.Config{
		Redis: asynq.RedisClientOpt{Addr: addr}, Embedded: embedded, Deployment: e.chain.d, Prover: me,
		Poll: 20 * time.Millisecond, RetryDelay: 100 * time.Millisecond, Logger: e.cfg.Logger,
	})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, q.Close()) })
	e.cfg.Dispatcher = q
}

func TestWholeWayOverRealRedisThatIsWiped(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	e := newEnv(t)
	e.cfg.LostAfter = 300 * time.Millisecond
	e.useRedis(t, server.Addr, false)
	s, _ := e.start(t)
	var all []wire.Hash
	for range 4 {
		all = append(all, e.mine(t, me))
	}
	for _, id := range all {
		await(t, s, id, scheduler.Dispatched)
	}
	server.FlushAll()
	e.farmWorker(t, server.Addr)
	for _, id := range all {
		await(t, s, id, scheduler.Settled)
		require.Equal(t, 1, e.chain.Settlements(id))
	}
	server.FlushAll() // and while everybody listens
	await(t, s, e.mine(t, me), scheduler.Settled)
}

func TestWholeWayOverRedisThatDiesAndReturns(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	e := newEnv(t)
	e.cfg.LostAfter = time.Second
	e.useRedis(t, server.Addr, false)
	s, _ := e.start(t)
	before := e.mine(t, me)
	await(t, s, before, scheduler.Dispatched)
	server.Kill()
	during := e.mine(t, me)
	await(t, s, during, scheduler.Dispatched)
	server.Restart()
	e.farmWorker(t, server.Addr)
	await(t, s, before, scheduler.Settled)
	await(t, s, during, scheduler.Settled)
}

func TestWholeWayOverTheEmbeddedQueue(t *testing.T) {
	t.Parallel()
	server := redistest.Embedded(t)
	e := newEnv(t)
	e.useRedis(t, server.Addr(), true)
	s, _ := e.start(t)
	e.farmWorker(t, server.Addr())
	await(t, s, e.mine(t, me), scheduler.Settled)
}
