package node

import (
	"context"
	"errors"
	"time"

	"github.com/hibiken/asynq"
)

const (
	// lastResultsFor is how long a scheduler may take to take what its worker
	// said last.
	lastResultsFor   = 5 * time.Second
	lastResultsPause = 20 * time.Millisecond
)

// startLastResults starts a part that does nothing until it is stopped, and
// then waits until the scheduler has taken all results. A queue inside the
// process ends with it: a proof that waits there, which Ctrl-C let the worker
// finish, would have to be made again. Start it after the scheduler and before
// the worker: parts are stopped in the opposite order.
func startLastResults(ctx context.Context, g *group, redis asynq.RedisClientOpt, queue string) error {
	return g.start(ctx, "last results", func(ctx context.Context, ready func()) error {
		inspector := asynq.NewInspector(redis)
		defer func() { _ = inspector.Close() }()
		ready()
		<-ctx.Done()
		limit := time.NewTimer(lastResultsFor)
		defer limit.Stop()
		for {
			waiting, err := resultsWait(inspector, queue)
			switch {
			case err != nil:
				g.opts.Logger.WarnContext(ctx, "cannot see whether all results were taken", "error", err)
				return ctx.Err()
			case !waiting:
				return ctx.Err()
			}
			select {
			case <-limit.C:
				g.opts.Logger.WarnContext(ctx, "the scheduler did not take all results; their tasks will be worked on again")
				return ctx.Err()
			case <-time.After(lastResultsPause):
			}
		}
	})
}

// resultsWait says whether a result is in the queue or being taken.
func resultsWait(inspector *asynq.Inspector, queue string) (bool, error) {
	for _, list := range []func(string, ...asynq.ListOption) ([]*asynq.TaskInfo, error){
		inspector.ListPendingTasks, inspector.ListActiveTasks, inspector.ListRetryTasks, inspector.ListScheduledTasks,
	} {
		tasks, err := list(queue, asynq.PageSize(1))
		if errors.Is(err, asynq.ErrQueueNotFound) {
			return false, nil // no worker ever said anything
		}
		if err != nil || len(tasks) > 0 {
			return len(tasks) > 0, err
		}
	}
	return false, nil
}
