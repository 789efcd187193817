package worker_test

import (
	"context"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/stretchr/testify/require"

	"github.com/gristmill-zk/gristmill/internal/redistest"
	"github.com/gristmill-zk/gristmill/plugins/host"
	"github.com/gristmill-zk/gristmill/wire"
	"github.com/gristmill-zk/gristmill/worker"
)

// gate holds solves until they are let go, whatever their context says: a
// plugin that takes its time to die.
type gate struct {
	entered chan held
	ended   chan error // what the context said when the solve was let go
	leave   chan struct{}
}

// held is a solve at the gate.
type held struct {
	host.Task
	ctx context.Context
}

func newGate(r *rig) *gate {
	g := &gate{entered: make(chan held, 100), ended: make(chan error, 100), leave: make(chan struct{})}
	r.plugins.before = func(ctx context.Context, task host.Task) error {
		g.entered <- held{task, ctx}
		select {
		case <-g.leave:
		case <-r.over:
		}
		g.ended <- ctx.Err()
		if ctx.Err() != nil {
			return &host.Error{Code: host.CodeCanceled, Plugin: "counting", Task: task.ID, Err: context.Cause(ctx)}
		}
		return nil
	}
	return g
}

// cancelProcessing has Asynq cancel a job, once the worker listens for that: it
// begins to after it takes its first jobs.
func (r *rig) cancelProcessing(job *wire.Job) {
	r.t.Helper()
	r.eventually("the worker listens for cancellations", func() bool {
		listening, err := r.redis.PubSubNumSub(r.t.Context(), "asynq:cancel").Result()
		return err == nil && listening["asynq:cancel"] > 0
	})
	require.NoError(r.t, r.inspect.CancelProcessing(id(job)))
}

func TestDuplicateDeliveryIsWorkedOnOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	g := newGate(r)
	r.start()
	job := r.job(1)
	payload, err := job.Encode()
	require.NoError(t, err)
	r.enqueue(payload, "first")
	<-g.entered
	r.enqueue(payload, "second")
	r.eventually("the second is dropped", func() bool { return r.seen(worker.EventDropped) == 1 })
	close(g.leave)
	r.await(job, wire.ResultProved)
	require.Equal(t, 1, r.plugins.count())

	// After the first ended a repetition proves again, and its results are the
	// ones that are queued already.
	r.enqueue(payload, "third")
	r.eventually("it is done", func() bool { return r.seen(worker.EventProved) == 2 })
	require.Len(t, r.results(), 2)
}

// What the plugin says is in the attempt's key and in the result.
func TestProgressIsTold(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	g := newGate(r)
	hold := r.plugins.before
	r.plugins.before = func(ctx context.Context, task host.Task) error {
		task.Progress("assign")
		task.Progress("halfway")
		return hold(ctx, task)
	}
	r.start()
	job := r.job(1)
	r.send(job)
	<-g.entered
	const want = "fetch data; open circuit; assign; halfway"
	r.eventually("the key has the progress", func() bool { return r.redis.Get(t.Context(), wire.BeatKey(id(job))).Val() == want })
	close(g.leave)
	require.Equal(t, want, r.await(job, wire.ResultSolved).Progress)
	require.Equal(t, want+"; prove", r.await(job, wire.ResultProved).Progress, "whichever result comes first")
}

func TestStoppedAttemptIsDroppedBeforeItStarts(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	job := r.job(1)
	require.NoError(t, r.redis.Set(t.Context(), wire.StopKey(id(job)), 1, time.Hour).Err())
	r.start()
	r.send(job)
	r.eventually("it is dropped", func() bool { return r.seen(worker.EventDropped) == 1 })
	r.eventually("it left the queue", func() bool {
		_, err := r.inspect.GetTaskInfo(wire.JobQueue, id(job))
		return err != nil
	})
	require.Zero(t, r.plugins.count())
	require.Empty(t, r.results())
	require.Zero(t, r.redis.Exists(t.Context(), wire.BeatKey(id(job))).Val())
}

func TestStopKeyEndsARunningAttempt(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.cfg.Beat = 50 * time.Millisecond
	r.plugins.before = func(ctx context.Context, task host.Task) error {
		<-ctx.Done()
		return &host.Error{Code: host.CodeCanceled, Plugin: "counting", Task: task.ID, Err: context.Cause(ctx)}
	}
	r.start()
	job := r.job(1)
	r.send(job)
	r.eventually("it is being solved", func() bool { return r.plugins.count() == 1 })
	require.NoError(t, r.redis.Set(t.Context(), wire.StopKey(id(job)), 1, time.Hour).Err())
	r.eventually("it is dropped", func() bool { return r.seen(worker.EventDropped) == 1 })
	require.Empty(t, r.results())
}

// TestSlotIsHeldUntilThePluginIsGone: Asynq frees its own slot as soon as a
// task is cancelled; ours must outlast the plugin.
func TestSlotIsHeldUntilThePluginIsGone(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.cfg.Slots = 1
	g := newGate(r)
	r.start()
	first, second := r.job(1), r.job(2)
	r.send(first)
	<-g.entered
	r.send(second)
	r.cancelProcessing(first)
	r.eventually("Asynq hands out the second", func() bool { return r.seen(worker.EventTaken) == 2 })
	require.Never(t, func() bool { return r.plugins.count() > 1 }, 300*time.Millisecond, 5*time.Millisecond, "the first plugin still has the slot")
	require.Empty(t, r.results())

	g.leave <- struct{}{}
	require.ErrorIs(t, <-g.ended, context.Canceled)
	require.True(t, r.fails(first, worker.CodeCanceled).Error.Retry)
	require.Equal(t, second.TaskID, (<-g.entered).ID)
	close(g.leave)
	r.await(second, wire.ResultProved)
}

func TestCancelledAndStoppedAttemptIsNotReported(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.cfg.Beat = time.Hour // so that only the cancellation can tell
	g := newGate(r)
	r.start()
	job := r.job(1)
	r.send(job)
	<-g.entered
	require.NoError(t, r.redis.Set(t.Context(), wire.StopKey(id(job)), 1, time.Hour).Err())
	r.cancelProcessing(job)
	close(g.leave)
	<-g.ended
	r.eventually("it is dropped", func() bool { return r.seen(worker.EventDropped) >= 1 || len(r.results()) > 1 })
	require.Nil(t, r.find(job, wire.ResultFailed))
}

func TestTimeOfTheQueueRunsOut(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.plugins.before = func(ctx context.Context, task host.Task) error {
		<-ctx.Done()
		return &host.Error{Code: host.CodeTimeout, Plugin: "counting", Task: task.ID, Err: context.Cause(ctx)}
	}
	r.start()
	job := r.job(1)
	payload, err := job.Encode()
	require.NoError(t, err)
	_, err = r.client.Enqueue(asynq.NewTask(wire.JobType, payload), asynq.Queue(wire.JobQueue), asynq.TaskID(id(job)), asynq.Timeout(time.Second))
	require.NoError(t, err)
	require.True(t, r.fails(job, worker.CodeTimeout).Error.Retry)
}

func TestDrainLetsJobsEnd(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.cfg.DrainTimeout = patience
	g := newGate(r)
	r.start()
	job := r.job(1)
	r.send(job)
	<-g.entered
	stopped := make(chan struct{})
	go func() {
		r.unit.Stop()
		close(stopped)
	}()
	close(g.leave)
	<-stopped
	require.NoError(t, <-g.ended)
	require.NotNil(t, r.find(job, wire.ResultProved))
	require.NoError(t, r.unit.Err())

	late := r.job(2)
	r.send(late)
	info, err := r.inspect.GetTaskInfo(wire.JobQueue, id(late))
	require.NoError(t, err)
	require.Equal(t, asynq.TaskStatePending, info.State)
}

func TestDrainCancelsWhatTakesTooLong(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.cfg.DrainTimeout = -1
	r.cfg.Slots = 1
	g := newGate(r)
	r.start()
	job := r.job(1)
	r.send(job)
	solving := <-g.entered
	stopped := make(chan struct{})
	go func() {
		r.unit.Stop()
		close(stopped)
	}()
	<-solving.ctx.Done() // the stop has reached it
	select {
	case <-stopped:
		t.Fatal("the worker ended while its plugin lived")
	case g.leave <- struct{}{}:
	}
	<-stopped
	require.True(t, r.fails(job, worker.CodeStopping).Error.Retry)
	require.Zero(t, r.redis.Exists(t.Context(), wire.BeatKey(id(job))).Val())
	info, err := r.inspect.GetQueueInfo(wire.JobQueue)
	require.NoError(t, err)
	require.Zero(t, info.Active+info.Retry+info.Pending, "the job is done with: its result says so")
}

func TestResultWaitsForRedisToComeBack(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	r := newRigAt(t, server.Addr)
	g := newGate(r)
	r.start()
	job := r.job(1)
	r.send(job)
	<-g.entered
	server.Kill()
	close(g.leave)
	<-g.ended
	r.eventually("it is solved", func() bool { return r.seen(worker.EventSolved) == 1 })
	server.Restart()
	r.await(job, wire.ResultSolved)
	verify(t, job, r.await(job, wire.ResultProved).ProofEnvelope)
}

// TestJobGoesBackWhenNothingCanBeSaid: a worker that cannot report keeps
// nothing; whoever gets the job next reports.
func TestJobGoesBackWhenNothingCanBeSaid(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	r := newRigAt(t, server.Addr)
	r.cfg.SendTimeout = 50 * time.Millisecond
	g := newGate(r)
	r.start()
	job := r.job(1)
	r.send(job)
	<-g.entered
	server.Kill()
	g.leave <- struct{}{}
	<-g.ended
	r.eventually("it gives up", func() bool { return r.seen(worker.EventFailed) == 1 })
	server.Restart()
	close(g.leave)
	// Asynq's own lease of 30 s decides when the job is given out again; an
	// attempt that the scheduler starts meanwhile needs no such wait.
	next := r.job(2)
	r.send(next)
	r.await(next, wire.ResultProved)
	require.Nil(t, r.find(job, wire.ResultFailed))
}

func TestRunOnlyOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	w, err := worker.New(r.cfg)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	require.ErrorIs(t, w.Run(ctx, cancel), context.Canceled)
	require.ErrorContains(t, w.Run(t.Context(), func() {}), "ran already")
}
