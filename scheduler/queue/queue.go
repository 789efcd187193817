// Package queue is the Asynq implementation of scheduler.Dispatcher.
//
// Jobs wait in the queue "prove", results in one queue for each prover. What
// Asynq is known to do is met like this: a job's id is that of an attempt, never
// the task alone, as a finished id may block its reuse; liveness is a key that
// the worker keeps alive, as Asynq's own lease takes minutes to expire; a
// wiped Redis also forgets which queues exist, so they are named again with
// every job. Nothing here is authoritative: see package scheduler.
package queue

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/gristmill-zk/gristmill/scheduler"
	"github.com/gristmill-zk/gristmill/wire"
)

const (
	queuesKey  = "asynq:queues"
	stopTTL    = 24 * time.Hour
	maxRetries = 1000
)

// Config says which Redis carries the envelopes.
type Config struct {
	// Redis is how to reach it; required.
	Redis asynq.RedisConnOpt
	// Embedded is an in-process server: it has no version, eviction or
	// persistence to check.
	Embedded bool
	// Deployment and Prover are whose results are taken; required.
	Deployment wire.Deployment
	Prover     wire.Address
	// JobTimeout is when Asynq gives up a running job; default 6 h. Whether a
	// worker is alive is seen much earlier, by its beat.
	JobTimeout time.Duration
	// Results is how many results are handled at a time; default 4.
	Results int
	// Poll is how often an empty result queue is looked at; default 200 ms.
	Poll time.Duration
	// RetryDelay is how long a result rests that could not be handled;
	// default 1 s.
	RetryDelay time.Duration
	// Logger receives Asynq's log too; nil is slog.Default().
	Logger *slog.Logger
}

// Queue is a scheduler.Dispatcher over Asynq.
type Queue struct {
	cfg     Config
	redis   redis.UniversalClient
	client  *asynq.Client
	inspect *asynq.Inspector
	logger  *slog.Logger
}

var _ scheduler.Dispatcher = (*Queue)(nil)

// New prepares the connections; the server is asked first by Check.
func New(cfg Config) (*Queue, error) {
	if cfg.Redis == nil || cfg.Prover.IsZero() || cfg.Deployment.Registry.IsZero() {
		return nil, errors.New("queue: Redis, Deployment and Prover are required")
	}
	setDefault(&cfg.JobTimeout, 6*time.Hour)
	setDefault(&cfg.Results, 4)
	setDefault(&cfg.Poll, 200*time.Millisecond)
	setDefault(&cfg.RetryDelay, time.Second)
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	logRedis(cfg.Logger)
	client, ok := cfg.Redis.MakeRedisClient().(redis.UniversalClient)
	if !ok {
		return nil, fmt.Errorf("queue: %T makes no Redis client", cfg.Redis)
	}
	return &Queue{
		cfg: cfg, redis: client, logger: cfg.Logger,
		client: asynq.NewClientFromRedisClient(client), inspect: asynq.NewInspectorFromRedisClient(client),
	}, nil
}

func setDefault[T int | time.Duration](field *T, value T) {
	if *field <= 0 {
		*field = value
	}
}

// Close closes the connections, after Results has returned.
func (q *Queue) Close() error { return q.redis.Close() }

// Dispatch implements scheduler.Dispatcher.
func (q *Queue) Dispatch(ctx context.Context, job wire.Job) error {
	payload, err := job.Encode()
	if err != nil {
		return fmt.Errorf("queue: job: %w", err)
	}
	// The client names a queue only once in its life; a wiped server would
	// never learn of it again and the inspector not find what is in it. A stop
	// key that is there was meant for an older store's attempt.
	before := q.redis.Pipeline()
	before.SAdd(ctx, queuesKey, wire.JobQueue)
	before.Del(ctx, wire.StopKey(job.ID()))
	if _, err := before.Exec(ctx); err != nil {
		return fmt.Errorf("queue: %w", err)
	}
	_, err = q.client.EnqueueContext(ctx, asynq.NewTask(wire.JobType, payload),
		asynq.Queue(wire.JobQueue), asynq.TaskID(job.ID()),
		asynq.MaxRetry(maxRetries), asynq.Timeout(q.cfg.JobTimeout))
	if err != nil && !errors.Is(err, asynq.ErrTaskIDConflict) {
		return fmt.Errorf("queue: %w", err)
	}
	return nil
}

// Status implements scheduler.Dispatcher. A job that Asynq holds back for a
// retry does not count as waiting: its last worker gave it up or died.
func (q *Queue) Status(ctx context.Context, id string) (scheduler.JobStatus, error) {
	progress, err := q.redis.Get(ctx, wire.BeatKey(id)).Result()
	if err != nil && !errors.Is(err, redis.Nil) {
		return scheduler.JobStatus{}, fmt.Errorf("queue: %w", err)
	}
	status := scheduler.JobStatus{Beating: err == nil, Progress: wire.CutProgress(progress)}
	info, err := q.inspect.GetTaskInfo(wire.JobQueue, id)
	if isGone(err) {
		return status, nil
	}
	if err != nil {
		return scheduler.JobStatus{}, fmt.Errorf("queue: %w", err)
	}
	status.Pending = info.State == asynq.TaskStatePending
	return status, nil
}

func isGone(err error) bool {
	return errors.Is(err, asynq.ErrTaskNotFound) || errors.Is(err, asynq.ErrQueueNotFound)
}

// Stop implements scheduler.Dispatcher: a waiting job is deleted, a running
// one told, and one that Asynq revives later finds the stop key.
func (q *Queue) Stop(ctx context.Context, id string) error {
	if err := q.redis.Set(ctx, wire.StopKey(id), 1, stopTTL).Err(); err != nil {
		return fmt.Errorf("queue: %w", err)
	}
	info, err := q.inspect.GetTaskInfo(wire.JobQueue, id)
	switch {
	case isGone(err):
		return nil
	case err != nil:
		return fmt.Errorf("queue: %w", err)
	case info.State == asynq.TaskStateActive:
		err = q.inspect.CancelProcessing(id)
	default:
		err = q.inspect.DeleteTask(wire.JobQueue, id)
	}
	if err == nil || isGone(err) {
		return nil
	}
	// The job may have become active in between.
	return errors.Join(q.inspect.CancelProcessing(id), ctx.Err())
}

// Results implements scheduler.Dispatcher.
func (q *Queue) Results(ctx context.Context, ready func(), handle func(context.Context, wire.Result) error) error {
	var handlers sync.WaitGroup
	server := asynq.NewServer(q.cfg.Redis, asynq.Config{
		Concurrency:              q.cfg.Results,
		Queues:                   map[string]int{wire.ResultQueue(q.cfg.Deployment, q.cfg.Prover): 1},
		TaskCheckInterval:        q.cfg.Poll,
		DelayedTaskCheckInterval: max(q.cfg.RetryDelay/2, 100*time.Millisecond),
		RetryDelayFunc:           func(int, error, *asynq.Task) time.Duration { return q.cfg.RetryDelay },
		// A result that cannot be stored yet is not at fault: it never runs
		// out of retries.
		IsFailure:       func(error) bool { return false },
		ShutdownTimeout: time.Minute,
		Logger:          asynqLogger{ctx, q.logger},
		LogLevel:        asynq.DebugLevel,
	})
	err := server.Start(asynq.HandlerFunc(func(taskCtx context.Context, task *asynq.Task) error {
		handlers.Add(1)
		defer handlers.Done()
		// Asynq frees the slot of a handler whose context ended without
		// waiting for it, so the end of ctx reaches the handler only here.
		taskCtx, cancel := context.WithCancel(taskCtx)
		defer cancel()
		defer context.AfterFunc(ctx, cancel)()
		return q.deliver(taskCtx, task, handle)
	}))
	if err != nil {
		return fmt.Errorf("queue: results: %w", err)
	}
	ready()
	<-ctx.Done()
	server.Shutdown()
	handlers.Wait()
	return ctx.Err()
}

// deliver hands a result on. One that nobody could ever read is dropped: the
// reconciler sees that its attempt brought nothing.
func (q *Queue) deliver(ctx context.Context, task *asynq.Task, handle func(context.Context, wire.Result) error) error {
	if task.Type() != wire.ResultType {
		q.logger.WarnContext(ctx, "a task of another type in the result queue is dropped", "type", task.Type())
		return nil
	}
	result, err := wire.ParseResult(task.Payload())
	if err != nil {
		q.logger.WarnContext(ctx, "a malformed result is dropped", "error", err)
		return nil
	}
	return handle(ctx, *result)
}
