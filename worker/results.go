package worker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/hibiken/asynq"

	"github.com/gristmill-zk/gristmill/internal/failpoint"
	"github.com/gristmill-zk/gristmill/wire"
)

const (
	// resultRetries and resultTimeout are for the scheduler's handling.
	resultRetries = 1000
	resultTimeout = time.Minute

	firstResend, lastResend = 100 * time.Millisecond, 5 * time.Second

	maxMessage = 2000
)

// results sends results to the queues that jobs name.
type results struct {
	client  *asynq.Client
	worker  string
	timeout time.Duration
	logger  *slog.Logger
}

// send queues one result of an attempt, trying for the time that the
// configuration gives. A result of the same kind that is queued already
// counts as sent.
func (r *results) send(ctx context.Context, job *wire.Job, progress string, fill func(*wire.Result)) error {
	result := wire.NewResult()
	result.TaskID, result.Attempt, result.Worker, result.At = job.TaskID, job.Attempt, r.worker, time.Now().UnixMilli()
	result.Progress = progress
	fill(result)
	payload, err := result.Encode()
	if err != nil && progress != "" { // a proof with many outputs leaves it no room
		result.Progress = ""
		payload, err = result.Encode()
	}
	if err != nil {
		return fmt.Errorf("result: %w", err)
	}
	task := asynq.NewTask(wire.ResultType, payload,
		asynq.Queue(job.ReplyQueue), asynq.TaskID(result.ID()),
		asynq.MaxRetry(resultRetries), asynq.Timeout(resultTimeout), asynq.Retention(0))

	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	for wait := firstResend; ; wait = min(2*wait, lastResend) {
		failpoint.Hit("worker.result.send.before")
		_, err := r.client.EnqueueContext(ctx, task)
		failpoint.Hit("worker.result.send.after")
		if err == nil || errors.Is(err, asynq.ErrTaskIDConflict) {
			return nil
		}
		r.logger.WarnContext(ctx, "a result could not be queued", "attempt", job.ID(), "kind", result.Kind, "error", err)
		select {
		case <-ctx.Done():
			return fmt.Errorf("result %s of %s: %w", result.Kind, job.ID(), err)
		case <-time.After(wait):
		}
	}
}

func (r *results) solved(ctx context.Context, job *wire.Job, progress string) error {
	return r.send(ctx, job, progress, func(out *wire.Result) { out.Kind = wire.ResultSolved })
}

func (r *results) proved(ctx context.Context, job *wire.Job, progress string, envelope *wire.ProofEnvelope) error {
	return r.send(ctx, job, progress, func(out *wire.Result) { out.Kind, out.ProofEnvelope = wire.ResultProved, envelope })
}

func (r *results) failed(ctx context.Context, job *wire.Job, progress string, why *wire.WorkError) error {
	short := *why
	if len(short.Message) > maxMessage {
		short.Message = short.Message[:maxMessage]
	}
	short.Message = strings.ToValidUTF8(short.Message, "?")
	return r.send(ctx, job, progress, func(out *wire.Result) { out.Kind, out.Error = wire.ResultFailed, &short })
}

// sender is what a refused envelope still tells about where it came from, or
// nil. Only what a result needs is read, however wrong the rest is.
func sender(payload []byte) *wire.Job {
	var from struct {
		TaskID     wire.Hash `json:"task_id"`
		Attempt    uint32    `json:"attempt"`
		ReplyQueue string    `json:"reply_queue"`
	}
	if len(payload) > wire.MaxJobSize || json.Unmarshal(payload, &from) != nil {
		return nil
	}
	if from.TaskID.IsZero() || from.Attempt == 0 || !wire.IsResultQueue(from.ReplyQueue) {
		return nil
	}
	return &wire.Job{TaskID: from.TaskID, Attempt: from.Attempt, ReplyQueue: from.ReplyQueue}
}
