package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/gristmill-zk/gristmill/gpu/pool"
	"github.com/gristmill-zk/gristmill/internal/failpoint"
	"github.com/gristmill-zk/gristmill/wire"
)

const (
	// giveBack is how long a job rests in the queue that could not be
	// reported on.
	giveBack = 5 * time.Second
	// beatsForNews is how many more times progress can make an attempt's heart
	// beat in the time of one beat.
	beatsForNews = 5
	// lastWords is how long results may still be sent after the attempts were
	// cancelled for the worker's end.
	lastWords = 10 * time.Second
)

// Worker works on jobs. Make it with New and Run it once.
type Worker struct {
	cfg     Config
	logger  *slog.Logger
	fetcher *fetcher
	bundles *bundles
	pool    *pool.Pool
	results *results
	redis   redis.UniversalClient
	slots   chan struct{} // one token for each attempt being worked on

	// stopping ends every attempt. lasting outlives that: what an attempt
	// still has to say must be said.
	stopping context.Context
	stop     context.CancelCauseFunc
	lasting  context.Context
	silence  context.CancelFunc

	mu       sync.Mutex
	draining bool
	handlers sync.WaitGroup
	inFlight map[string]struct{} // ids of jobs
}

// New checks the configuration. Nothing is connected yet, but the devices may be
// looked at: call Close if Run is not called.
func New(cfg Config) (*Worker, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	w := &Worker{
		cfg: cfg, logger: cfg.Logger, slots: make(chan struct{}, cfg.Slots),
		bundles: newBundles(&cfg), inFlight: map[string]struct{}{},
	}
	policy := cfg.Pool
	policy.Devices, policy.Fallback, policy.Unfit, policy.Logger = cfg.Devices, cfg.Fallback, cfg.Unfit, cfg.Logger
	var err error
	if w.pool, err = pool.New(policy); err != nil {
		return nil, fmt.Errorf("worker: %w", err)
	}
	return w, nil
}

// Devices says how the worker's devices do.
func (w *Worker) Devices() []pool.Status { return w.pool.Status() }

// Close ends what New started, for a worker that is not run. Run does it itself.
func (w *Worker) Close() error { return w.pool.Close() }

// Run takes jobs until ctx ends. Then it takes no more, lets the ones at hand
// go on for the drain timeout, cancels what is left, and returns when every
// plugin is gone and every result is sent. A second Run fails.
func (w *Worker) Run(ctx context.Context, ready func()) error {
	defer func() { _ = w.pool.Close() }() // after drain: nobody proves any more
	client, ok := w.cfg.Redis.MakeRedisClient().(redis.UniversalClient)
	if !ok {
		return fmt.Errorf("worker: %T makes no Redis client", w.cfg.Redis)
	}
	defer func() { _ = client.Close() }()
	if err := client.Ping(ctx).Err(); err != nil {
		return fmt.Errorf("worker: the queue's Redis does not answer: %w", err)
	}
	if err := w.prepare(ctx, client); err != nil {
		return err
	}
	defer w.silence()
	defer w.fetcher.close()

	server := asynq.NewServer(w.cfg.Redis, w.asynqConfig())
	if err := server.Start(asynq.HandlerFunc(w.handle)); err != nil {
		return fmt.Errorf("worker: %w", err)
	}
	for _, d := range w.cfg.Devices {
		info := d.Info()
		w.logger.InfoContext(ctx, "worker proves on", "engine", info.Name, "device", info.Device, "id", info.ID, "parallel", info.Parallel)
	}
	w.logger.InfoContext(ctx, "worker takes jobs", "name", w.cfg.Name, "slots", w.cfg.Slots)
	ready()
	<-ctx.Done()
	w.drain(server)
	return ctx.Err()
}

func (w *Worker) prepare(ctx context.Context, client redis.UniversalClient) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.redis != nil {
		return errors.New("worker: ran already")
	}
	w.redis = client
	w.fetcher = newFetcher(w.cfg.FetchTimeout)
	w.results = &results{client: asynq.NewClientFromRedisClient(client), worker: w.cfg.Name, timeout: w.cfg.SendTimeout, logger: w.logger}
	base := context.WithoutCancel(ctx)
	w.stopping, w.stop = context.WithCancelCause(base)
	w.lasting, w.silence = context.WithCancel(base)
	return nil
}

func (w *Worker) asynqConfig() asynq.Config {
	return asynq.Config{
		Concurrency:              w.cfg.Slots,
		Queues:                   map[string]int{wire.JobQueue: 1},
		TaskCheckInterval:        w.cfg.Poll,
		DelayedTaskCheckInterval: giveBack / 2,
		RetryDelayFunc:           func(int, error, *asynq.Task) time.Duration { return giveBack },
		// What comes back to the queue could not be reported on, which is no
		// fault of the job's: attempts are counted by the scheduler.
		IsFailure: func(error) bool { return false },
		Logger:    asynqLogger{w.lasting, w.logger},
		LogLevel:  asynq.DebugLevel,
	}
}

// drain ends the worker: no new jobs, then no jobs, then no server.
func (w *Worker) drain(server *asynq.Server) {
	server.Stop()
	w.mu.Lock()
	w.draining = true
	running := len(w.inFlight)
	w.mu.Unlock()
	if running > 0 {
		w.logger.InfoContext(w.lasting, "worker lets its jobs end", "jobs", running, "timeout", w.cfg.DrainTimeout)
	}
	done := make(chan struct{})
	go func() {
		w.handlers.Wait()
		close(done)
	}()
	patience := time.NewTimer(max(0, w.cfg.DrainTimeout))
	defer patience.Stop()
	select {
	case <-done:
	case <-patience.C:
	}
	w.stop(errStopping)
	defer time.AfterFunc(lastWords, w.silence).Stop()
	<-done
	server.Shutdown()
}

// handle is Asynq's call for one job. It returns when nothing works on the job
// any more, which may be after Asynq has given it up.
func (w *Worker) handle(ctx context.Context, task *asynq.Task) error {
	if !w.enter() {
		return errStopping
	}
	defer w.handlers.Done()
	failpoint.Hit("worker.job.take.after")
	job, err := wire.ParseJob(task.Payload())
	if err == nil && task.Type() != wire.JobType {
		err = fmt.Errorf("its type is %.64q", task.Type())
	}
	if err != nil {
		return w.refuse(task, err)
	}
	if !w.claim(job) {
		w.logger.WarnContext(ctx, "a job was delivered while it is being worked on", "attempt", job.ID())
		w.cfg.Observe(Event{Kind: EventDropped, TaskID: job.TaskID, Attempt: job.Attempt, Project: job.Project})
		return nil
	}
	defer w.release(job)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(w.stopping, func() { cancel(errStopping) })()

	a := &attempt{Worker: w, job: job, progress: newProgress()}
	a.observe(EventTaken, 0, nil)
	h := &heart{redis: w.redis, id: job.ID(), progress: a.progress, every: w.cfg.Beat, pause: w.cfg.Beat / beatsForNews, logger: w.logger, stop: cancel}
	if !h.start(w.lasting) {
		a.dropped(errStopped)
		return nil
	}
	defer h.finish(w.lasting)
	// What waits for its circuit takes no slot and asks for no data.
	if err := w.bundles.present(job); err != nil {
		return a.end(ctx, err)
	}
	select {
	case w.slots <- struct{}{}:
		defer func() { <-w.slots }()
	case <-ctx.Done():
		return a.end(ctx, context.Cause(ctx))
	}
	return a.end(ctx, a.run(ctx))
}

// end reports how the attempt ended. What it returns goes to Asynq: an error
// gives the job back.
func (a *attempt) end(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	var lost unsent
	if errors.As(err, &lost) {
		a.logger.ErrorContext(ctx, "a result could not be sent; the job goes back to the queue", "attempt", a.job.ID(), "error", err)
		a.observe(EventFailed, 0, err)
		return err
	}
	if errors.Is(context.Cause(ctx), errStopped) || (ctx.Err() != nil && a.unwanted()) {
		a.dropped(errStopped)
		return nil
	}
	why := classify(ctx, err)
	a.logger.WarnContext(ctx, "attempt failed", "attempt", a.job.ID(), "code", why.Code, "retry", why.Retry, "error", why.Message)
	a.observe(EventFailed, 0, why)
	return a.results.failed(a.lasting, a.job, a.progress.text(), why)
}

// unwanted looks for the stop key once.
func (a *attempt) unwanted() bool {
	ctx, cancel := context.WithTimeout(a.lasting, a.cfg.Beat)
	defer cancel()
	n, err := a.redis.Exists(ctx, wire.StopKey(a.job.ID())).Result()
	return err == nil && n > 0
}

func (a *attempt) dropped(why error) {
	a.logger.InfoContext(a.lasting, "attempt dropped", "attempt", a.job.ID(), "reason", why)
	a.observe(EventDropped, 0, why)
}

// refuse answers an envelope that this worker does not read, if it says where
// the answer goes. Asynq archives it, for the operator to look at.
func (w *Worker) refuse(task *asynq.Task, why error) error {
	w.logger.ErrorContext(w.lasting, "a job in the queue cannot be read", "type", task.Type(), "bytes", len(task.Payload()), "error", why)
	if job := sender(task.Payload()); job != nil {
		refused := failure(CodeBadJob, false, "worker %s cannot read the job, perhaps scheduler and worker are of different versions: %v", w.cfg.Name, why)
		w.cfg.Observe(Event{Kind: EventFailed, TaskID: job.TaskID, Attempt: job.Attempt, Err: refused})
		if err := w.results.failed(w.lasting, job, "", refused); err != nil {
			return err
		}
	}
	return fmt.Errorf("unreadable job: %w: %w", why, asynq.SkipRetry)
}

// enter counts a handler that drain waits for; false when it is too late.
func (w *Worker) enter() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.draining {
		return false
	}
	w.handlers.Add(1)
	return true
}

// claim takes a job unless it is being worked on here already: Asynq delivers
// at least once.
func (w *Worker) claim(job *wire.Job) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, taken := w.inFlight[job.ID()]; taken {
		return false
	}
	w.inFlight[job.ID()] = struct{}{}
	return true
}

func (w *Worker) release(job *wire.Job) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.inFlight, job.ID())
}
