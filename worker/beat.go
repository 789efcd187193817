package worker

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/gristmill-zk/gristmill/internal/failpoint"
	"github.com/gristmill-zk/gristmill/wire"
)

// heart keeps the key of one attempt alive in Redis from its own goroutine,
// and ends the attempt when the scheduler's stop key appears. The key's value is
// the attempt's progress; news of that make it beat sooner.
type heart struct {
	redis    redis.UniversalClient
	id       string
	progress *progress
	every    time.Duration
	pause    time.Duration // between beats for news
	logger   *slog.Logger
	stop     context.CancelCauseFunc

	end  chan struct{}
	gone sync.WaitGroup
}

// start beats once before it returns, so the scheduler sees the attempt from
// the moment on that it is worked on, and reports whether it is wanted.
func (h *heart) start(ctx context.Context) (wanted bool) {
	h.end = make(chan struct{})
	if !h.beat(ctx) {
		h.delete(ctx)
		return false
	}
	h.gone.Go(func() { h.run(ctx) })
	return true
}

func (h *heart) run(ctx context.Context) {
	ticker := time.NewTicker(h.every)
	defer ticker.Stop()
	pause := time.NewTimer(h.pause)
	defer pause.Stop()
	var news <-chan struct{} // nil during a pause
	for {
		select {
		case <-h.end:
			return
		case <-pause.C:
			news = h.progress.news
			continue
		case <-news:
			news = nil
			pause.Reset(h.pause)
		case <-ticker.C:
		}
		if !h.beat(ctx) {
			h.stop(errStopped)
		}
	}
}

// finish stops beating and deletes the key.
func (h *heart) finish(ctx context.Context) {
	close(h.end)
	h.gone.Wait()
	h.delete(ctx)
}

// beat renews the key and looks for the stop key. What Redis does not answer
// counts as wanted: a proof that nobody waits for costs less than one missing.
func (h *heart) beat(ctx context.Context) (wanted bool) {
	ctx, cancel := context.WithTimeout(ctx, h.every)
	defer cancel()
	failpoint.Hit("worker.beat.set.before")
	pipe := h.redis.Pipeline()
	pipe.Set(ctx, wire.BeatKey(h.id), h.progress.text(), 3*h.every)
	stopped := pipe.Exists(ctx, wire.StopKey(h.id))
	_, err := pipe.Exec(ctx)
	failpoint.Hit("worker.beat.set.after")
	if err != nil {
		h.logger.WarnContext(ctx, "the attempt's key could not be renewed; without it the scheduler starts another attempt", "attempt", h.id, "error", err)
		return true
	}
	return stopped.Val() == 0
}

func (h *heart) delete(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, h.every)
	defer cancel()
	failpoint.Hit("worker.beat.delete.before")
	if err := h.redis.Del(ctx, wire.BeatKey(h.id)).Err(); err != nil {
		h.logger.WarnContext(ctx, "the attempt's key could not be deleted; it expires by itself", "attempt", h.id, "error", err)
	}
	failpoint.Hit("worker.beat.delete.after")
}
