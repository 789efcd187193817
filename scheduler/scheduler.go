package scheduler

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gristmill-zk/gristmill/internal/service"
	"github.com/gristmill-zk/gristmill/wire"
)

// Scheduler is one prover's scheduler. Make it with [New], run it once with
// Run, and Close it.
type Scheduler struct {
	cfg    Config
	chain  Chain
	queue  Dispatcher
	store  *Store
	logger *slog.Logger
	bell   bell

	observing sync.Mutex
	versions  cache[versionID, Version]
	keys      cache[wire.Hash, *verifier]

	url       atomic.Pointer[string]
	chainSeen contact
	queueSeen contact
}

// contact is how a service that others run answers.
type contact struct {
	at       atomic.Int64 // unix ms of the last answer
	failures atomic.Int64 // in a row
}

// tried notes how a request ended and returns err.
func (c *contact) tried(err error) error {
	if err != nil {
		c.failures.Add(1)
		return err
	}
	c.failures.Store(0)
	c.at.Store(time.Now().UnixMilli())
	return nil
}

func (c *contact) lastAt() time.Time { return fromMillis(c.at.Load()) }

type versionID struct {
	project uint64
	version uint32
}

// New checks cfg and opens the store.
func New(ctx context.Context, cfg Config) (*Scheduler, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	store, err := OpenStore(ctx, cfg.DB)
	if err != nil {
		return nil, err
	}
	s := &Scheduler{cfg: cfg, chain: cfg.Chain, queue: cfg.Dispatcher, store: store, logger: cfg.Logger}
	store.committed = s.committed
	return s, nil
}

// Store gives read access to what the scheduler knows.
func (s *Scheduler) Store() *Store { return s.store }

// URL is where the HTTP listener is reached; empty before Run is ready.
func (s *Scheduler) URL() string {
	if u := s.url.Load(); u != nil {
		return *u
	}
	return ""
}

// Close closes the store. Run must have returned.
func (s *Scheduler) Close() error {
	s.cfg.HTTP.CloseIdleConnections()
	return s.store.Close()
}

// Run works until ctx ends. It fails at once if the queue is not one that can
// be relied on, and says why.
func (s *Scheduler) Run(ctx context.Context, ready func()) error {
	if err := s.queueSeen.tried(s.queue.Check(ctx)); err != nil {
		return fmt.Errorf("queue: %w", err)
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", s.cfg.Listen)
	if err != nil {
		return fmt.Errorf("scheduler: listen: %w", err)
	}
	url := s.cfg.PublicURL
	if url == "" {
		url = "http://" + listener.Addr().String()
	}
	s.url.Store(&url)
	var group service.Group
	err = s.start(ctx, &group, listener)
	if err == nil {
		s.logger.InfoContext(ctx, "scheduler runs", "prover", s.cfg.Prover, "url", url)
		ready()
		err = group.Wait(ctx)
	}
	return errors.Join(err, group.Stop(), ctx.Err())
}

// start starts the services in the order in which a task meets them backwards,
// so that whatever one produces finds the next at work.
func (s *Scheduler) start(ctx context.Context, group *service.Group, listener net.Listener) error {
	for _, unit := range []*service.Unit{
		service.New("scheduler http", s.serve(listener)),
		service.New("settle", s.settle),
		service.New("answer", s.answer),
		service.New("results", s.results),
		service.New("dispatch", s.dispatch),
		service.New("fetch", s.fetch),
		service.New("duties", s.duties),
		service.New("reconcile", s.reconcile),
		service.New("discover", s.discover),
	} {
		if err := group.Start(ctx, unit); err != nil {
			_ = listener.Close()
			return err
		}
	}
	return nil
}

// committed tells observers and wakes the services.
func (s *Scheduler) committed(events []Event) {
	if len(events) > 0 {
		s.observing.Lock()
		for _, e := range events {
			s.log(e)
			s.cfg.Observe(e)
		}
		s.observing.Unlock()
	}
	s.bell.ring()
}

func (s *Scheduler) log(e Event) {
	attrs := []any{"task", e.Task.ID, "project", e.Task.Project, "attempt", e.Task.Attempt}
	switch e.Kind {
	case StateChanged:
		s.logger.Info("task "+string(e.Task.State), append(attrs, "from", e.From, "reason", e.Task.Reason)...)
	case ReceiptSeen:
		s.logger.Info("settlement mined", append(attrs, "tx", e.Task.Tx, "gas", e.Task.Gas)...)
	case OfferAccepted:
		s.logger.Info("offer accepted", append(attrs, "deadline", e.Task.Deadline)...)
	}
}

// loop runs step when woken, and at least so often, until ctx ends. A step
// that fails is logged and tried again at the next tick, not at every wake.
func (s *Scheduler) loop(ctx context.Context, name string, wake <-chan struct{}, every time.Duration, step func(context.Context) error) error {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		woken := wake
		if err := step(ctx); err != nil && ctx.Err() == nil {
			s.logger.WarnContext(ctx, "will try again", "service", name, "error", err)
			woken = nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-woken:
		case <-ticker.C:
		}
	}
}

// backoff is the pause after so many failures in a row.
func (s *Scheduler) backoff(failures uint32) time.Duration {
	d := s.cfg.RetryMin << min(max(failures, 1)-1, 20)
	return min(d, s.cfg.RetryMax)
}

// version reads a project version, once.
func (s *Scheduler) version(ctx context.Context, t *Task) (Version, error) {
	v, isNew, err := s.versions.get(versionID{t.Project, t.Version}, func() (Version, error) {
		v, err := s.chain.Version(ctx, t.Project, t.Version)
		if err != nil {
			return v, fmt.Errorf("project %d version %d: %w", t.Project, t.Version, err)
		}
		return v, nil
	})
	if isNew {
		s.warnOfLag(ctx, t, v)
	}
	return v, err
}

// warnOfLag tells the operator of a version whose offers may have lapsed before
// this scheduler believes in them. Such a version is tried all the same: late
// acceptances count as long as the offer stands.
func (s *Scheduler) warnOfLag(ctx context.Context, t *Task, v Version) {
	lag, err := s.chain.Lag(ctx)
	if err != nil {
		s.logger.DebugContext(ctx, "how far confirmations lag is not known", "error", err)
		return
	}
	if lag >= v.AcceptWindow {
		s.logger.WarnContext(ctx, "confirmations take longer than a project gives to accept an offer: its offers will lapse; run with fewer confirmations or opt out of it",
			"project", t.Project, "version", t.Version, "accept_window", v.AcceptWindow, "confirmations_take", lag)
	}
}

func isNotFound(err error) bool { return errors.Is(err, ErrNotFound) }
