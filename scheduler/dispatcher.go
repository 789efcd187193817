package scheduler

import (
	"context"

	"github.com/gristmill-zk/gristmill/wire"
)

// Dispatcher brings jobs to workers and their results back. It may lose
// everything at any moment and may deliver twice; package dispatchertest is
// what every implementation passes.
type Dispatcher interface {
	// Check says in clear words why the queue cannot be relied on; nil if it
	// can.
	Check(ctx context.Context) error
	// Dispatch queues a job, also one that was stopped before: a store that
	// was made anew uses the old ids again. A job with the same id that is
	// already there is a success.
	Dispatch(ctx context.Context, job wire.Job) error
	// Status asks what became of the job with that id.
	Status(ctx context.Context, id string) (JobStatus, error)
	// Stop asks that the job be not run, or be interrupted. It may be ignored.
	Stop(ctx context.Context, id string) error
	// Results calls handle for every result until ctx ends, several at a
	// time, and again later for one that handle returned an error for. It
	// calls ready once it listens and returns when no handle runs any more.
	Results(ctx context.Context, ready func(), handle func(context.Context, wire.Result) error) error
}

// JobStatus is what the queue knows of a job.
type JobStatus struct {
	// Pending: waits for a worker to take it.
	Pending bool
	// Beating: a worker has shown within the last seconds that it is on it.
	Beating bool
	// Progress is what that worker says of its work, for people; at most
	// wire.MaxProgress bytes.
	Progress string
}

// Alive says whether the job will be, or is being, worked on.
func (s JobStatus) Alive() bool { return s.Pending || s.Beating }
