package miner

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync/atomic"
	"time"
)

// Config is what a Service needs.
type Config struct {
	// Source gives the work. Required.
	Source Source
	// Workers is how many goroutines search; 0 means one per core that the
	// process may use (GOMAXPROCS).
	Workers int
	// ReportEvery is the pause between two reports of the hash rate; 0 means 10 s.
	ReportEvery time.Duration
	// OnRate, if set, is called with every report (hashes per second since the
	// last one).
	OnRate func(hashesPerSecond float64)
	// Logger; nil means slog.Default().
	Logger *slog.Logger
}

func (c *Config) validate() error {
	switch {
	case c.Source == nil:
		return errors.New("miner: config: Source is missing")
	case c.Workers < 0 || c.Workers > 4096:
		return fmt.Errorf("miner: config: Workers %d is not within 0..4096", c.Workers)
	case c.ReportEvery < 0:
		return fmt.Errorf("miner: config: ReportEvery %s is negative", c.ReportEvery)
	}
	if c.Workers == 0 {
		c.Workers = runtime.GOMAXPROCS(0)
	}
	if c.ReportEvery == 0 {
		c.ReportEvery = 10 * time.Second
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return nil
}

const (
	retryFirst = 100 * time.Millisecond
	retryMost  = 5 * time.Second
)

// Service mines whatever its source offers.
type Service struct {
	cfg    Config
	hashes atomic.Uint64
}

// New checks the configuration.
func New(cfg Config) (*Service, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	return &Service{cfg: cfg}, nil
}

// Hashes is how many headers were tried since the start.
func (s *Service) Hashes() uint64 { return s.hashes.Load() }

// Run mines until ctx ends. It is ready at once: a source that does not
// answer yet is asked again.
func (s *Service) Run(ctx context.Context, ready func()) error {
	ctx, cancel := context.WithCancel(ctx)
	jobs := make(chan Job)
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.pull(ctx, jobs)
	}()
	defer func() { cancel(); <-done }()
	ready()
	s.mine(ctx, jobs)
	return ctx.Err()
}

// pull follows the source's current job.
func (s *Service) pull(ctx context.Context, jobs chan<- Job) {
	have, pause := "", retryFirst
	for ctx.Err() == nil {
		job, err := s.cfg.Source.Work(ctx, have)
		if err != nil {
			if ctx.Err() != nil {
				return
			}
			s.cfg.Logger.WarnContext(ctx, "no work from the source", "error", err, "retry_in", pause)
			pause = wait(ctx, pause)
			continue
		}
		have, pause = job.ID, retryFirst
		select {
		case jobs <- job:
		case <-ctx.Done():
		}
	}
}

// mine runs one search at a time: the newest job's.
func (s *Service) mine(ctx context.Context, jobs <-chan Job) {
	report := time.NewTicker(s.cfg.ReportEvery)
	defer report.Stop()
	last, at := s.hashes.Load(), time.Now()
	stop := func() {}
	for {
		select {
		case job := <-jobs:
			stop()
			stop = func() {}
			if job.ID != "" {
				stop = s.start(ctx, job)
			}
		case now := <-report.C:
			tried := s.hashes.Load()
			s.report(ctx, float64(tried-last)/now.Sub(at).Seconds())
			last, at = tried, now
		case <-ctx.Done():
			stop()
			return
		}
	}
}

func (s *Service) report(ctx context.Context, rate float64) {
	s.cfg.Logger.DebugContext(ctx, "hash rate", "hashes_per_second", rate)
	if s.cfg.OnRate != nil {
		s.cfg.OnRate(rate)
	}
}

// start searches in the background; the function it returns ends that and
// waits for it.
func (s *Service) start(ctx context.Context, job Job) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.solve(ctx, job)
	}()
	return func() { cancel(); <-done }
}

func (s *Service) solve(ctx context.Context, job Job) {
	solution, found, err := Search(ctx, job, s.cfg.Workers, &s.hashes)
	switch {
	case ctx.Err() != nil && !found:
	case err != nil:
		s.cfg.Logger.ErrorContext(ctx, "search failed", "job", job.ID, "error", err)
	case !found:
		s.cfg.Logger.WarnContext(ctx, "job has no solution", "job", job.ID)
	default:
		s.submit(ctx, solution)
	}
}

// submit hands the solution in, again and again while the source is out of
// reach and the job is still the current one.
func (s *Service) submit(ctx context.Context, solution Solution) {
	log := s.cfg.Logger.With("job", solution.JobID, "block", solution.Header.Hash().BlockString())
	for pause := retryFirst; ; {
		err := s.cfg.Source.Submit(ctx, solution)
		switch {
		case err == nil:
			log.DebugContext(ctx, "solution handed in")
			return
		case errors.Is(err, ErrStale):
			log.InfoContext(ctx, "solution came too late")
			return
		case errors.Is(err, ErrRefused):
			log.ErrorContext(ctx, "solution refused", "error", err)
			return
		case ctx.Err() != nil:
			return
		}
		log.WarnContext(ctx, "solution not delivered", "error", err, "retry_in", pause)
		pause = wait(ctx, pause)
	}
}

// wait pauses and returns the next, longer pause.
func wait(ctx context.Context, pause time.Duration) time.Duration {
	t := time.NewTimer(pause)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
	return min(2*pause, retryMost)
}
