package wire

import (
	"fmt"
	"strings"
)

// Names in the queue's Redis that schedulers and workers share. They are part
// of the protocol: a scheduler and a worker of different builds meet by them.
const (
	// JobQueue is the queue where every job waits.
	JobQueue = "prove"
	// JobType and ResultType are the queue's types of its two kinds of task.
	JobType    = "gristmill:job"
	ResultType = "gristmill:result"

	beatPrefix   = "gristmill:beat:"
	stopPrefix   = "gristmill:stop:"
	resultPrefix = "results-"
	maxQueueName = 128
)

// JobID names one attempt at one task, everywhere in the queue. It is never
// the task alone, as a queue may refuse an id that it finished once.
func JobID(task Hash, attempt uint32) string { return fmt.Sprintf("%s/%d", task, attempt) }

// ID is the job's id in the queue.
func (j *Job) ID() string { return JobID(j.TaskID, j.Attempt) }

// ID is the result's id in the queue: an attempt has one result of each kind,
// however often it is sent.
func (r *Result) ID() string { return fmt.Sprintf("%s/%s", JobID(r.TaskID, r.Attempt), r.Kind) }

// ResultQueue is the queue where workers send results for a prover.
func ResultQueue(prover Address) string { return resultPrefix + strings.ToLower(prover.String()) }

// IsResultQueue says whether a worker may answer into a queue of that name.
func IsResultQueue(name string) bool {
	return strings.HasPrefix(name, resultPrefix) && len(name) <= maxQueueName
}

// BeatKey is the key that exists while a worker is on the job with that id.
func BeatKey(jobID string) string { return beatPrefix + jobID }

// StopKey is the key that exists once the job with that id is not wanted any
// more.
func StopKey(jobID string) string { return stopPrefix + jobID }
