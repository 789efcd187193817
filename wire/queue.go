package wire

import (
	"encoding/hex"
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

// JobID names one attempt of one prover at one task of one deployment. Farms
// of several provers and deployments may share a Redis, and a task that one
// prover loses is the next one's, under the same task id. It is never the task
// alone, as a queue may refuse an id that it finished once.
func JobID(d Deployment, prover Address, task Hash, attempt uint32) string {
	return fmt.Sprintf("%s/%s/%s/%d", short(d), strings.ToLower(prover.String()), task, attempt)
}

// ID is the job's id in the queue.
func (j *Job) ID() string { return JobID(j.Deployment, j.Prover, j.TaskID, j.Attempt) }

// ID is the result's id in its queue, which belongs to one prover of one
// deployment: an attempt has one result of each kind, however often it is sent.
func (r *Result) ID() string { return fmt.Sprintf("%s/%d/%s", r.TaskID, r.Attempt, r.Kind) }

// ResultQueue is the queue where workers send results for a prover of a
// deployment.
func ResultQueue(d Deployment, prover Address) string {
	return resultPrefix + short(d) + "-" + strings.ToLower(prover.String())
}

// short is the start of a deployment's id in hex: enough to keep deployments
// apart that share a Redis, which are few and of one operator.
func short(d Deployment) string {
	id := d.IDBytes()
	return hex.EncodeToString(id[:8])
}

// IsResultQueue says whether a worker may answer into a queue of that name.
func IsResultQueue(name string) bool {
	return strings.HasPrefix(name, resultPrefix) && len(name) <= maxQueueName
}

// BeatKey is the key that exists while a worker is on the job with that id. Its
// value is the attempt's progress, as a result has it.
func BeatKey(jobID string) string { return beatPrefix + jobID }

// StopKey is the key that exists once the job with that id is not wanted any
// more.
func StopKey(jobID string) string { return stopPrefix + jobID }
