package fetch

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"github.com/gristmill-zk/gristmill/plugins/bundle"
	"github.com/gristmill-zk/gristmill/wire"
)

// Fetcher fetches bundles. It is safe for concurrent use.
type Fetcher struct {
	cfg    Config
	ctx    context.Context
	cancel context.CancelFunc

	mu     sync.Mutex
	wants  map[wire.Hash]*want
	closed bool
	busy   sync.WaitGroup
}

// want is a bundle that somebody asked for and that is not there yet.
type want struct {
	busy        bool
	since       time.Time
	done, total int64
	failure     *Failure
	next        time.Time // of the next try
}

// Status is how it stands with a bundle.
type Status struct {
	// Done and Total are bytes; 0 while it is not known how many will come.
	Done, Total int64
	// Failure is what went wrong last; nil when nothing did.
	Failure *Failure
	// Busy says that it is being fetched, or will be tried again by itself.
	Busy bool
	// Again is when it is worth asking again.
	Again time.Duration
}

// How long who waits for a bundle is told to wait, without a failure: about as
// long again as it took so far.
const (
	soonest = time.Second
	latest  = 15 * time.Second
)

var (
	errStalled = errors.New("it sent nothing for too long")
	errTimeout = errors.New("the time for one bundle is over (--bundle-timeout)")
)

// New checks the configuration. The caller closes the fetcher.
func New(cfg Config) (*Fetcher, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	f := &Fetcher{cfg: cfg, wants: map[wire.Hash]*want{}}
	f.ctx, f.cancel = context.WithCancel(context.Background())
	return f, nil
}

// Close ends what is under way and returns when it has ended. What came so far is
// kept for the next time.
func (f *Fetcher) Close() error {
	f.mu.Lock()
	f.closed = true
	f.mu.Unlock()
	f.cancel()
	f.busy.Wait()
	return nil
}

// Want says that a bundle is needed which is not in the store, or is damaged
// there, and how it stands with it. It begins to fetch it unless that is going
// on, or failed a moment ago.
func (f *Fetcher) Want(digest wire.Hash) Status {
	f.mu.Lock()
	defer f.mu.Unlock()
	w := f.wants[digest]
	if w == nil {
		w = &want{}
		f.wants[digest] = w
	}
	now := time.Now()
	if !w.busy && !now.Before(w.next) && !f.closed {
		w.busy, w.since, w.done, w.total = true, now, 0, 0
		f.busy.Go(func() { f.run(digest) })
	}
	s := Status{Done: w.done, Total: w.total, Failure: w.failure, Busy: w.busy}
	s.Again = min(max(now.Sub(w.since), soonest), latest)
	if w.failure != nil {
		s.Again = max(w.next.Sub(now), soonest)
	}
	return s
}

// set changes what is known of a bundle.
func (f *Fetcher) set(digest wire.Hash, change func(*want)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(f.wants[digest])
}

// run fetches one bundle until it is there, the sources have been heard, or the
// time is over.
func (f *Fetcher) run(digest wire.Hash) {
	ctx, cancel := context.WithTimeoutCause(f.ctx, f.cfg.Timeout, errTimeout)
	defer cancel()
	log := f.cfg.Logger.With("bundle", digest)
	start := time.Now()
	log.InfoContext(ctx, "fetching a bundle", "sources", len(f.cfg.Sources))
	for pause := f.cfg.RetryMin; ; pause = min(2*pause, f.cfg.RetryMax) {
		b, failure := f.round(ctx, digest)
		if f.ctx.Err() != nil {
			f.set(digest, func(w *want) { w.busy = false })
			return
		}
		if failure == nil {
			log.InfoContext(ctx, "bundle fetched", "name", b.Manifest.Name, "version", b.Manifest.Version, "dir", b.Dir, "took", time.Since(start))
			f.forget(digest)
			return
		}
		again := failure.passes() && ctx.Err() == nil
		if !again {
			pause = f.cfg.RetryMax
		}
		f.note(digest, failure)
		log.WarnContext(ctx, "a bundle could not be fetched", "kind", failure.Kind, "error", failure.Err, "advice", failure.Advice(), "again in", pause, "by itself", again)
		f.set(digest, func(w *want) { w.failure, w.next, w.busy = failure, time.Now().Add(pause), again })
		if !again {
			return
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}

// forget ends the want of a bundle that is there.
func (f *Fetcher) forget(digest wire.Hash) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.wants, digest)
	f.unnote(digest)
}

// round asks each source once.
func (f *Fetcher) round(ctx context.Context, digest wire.Hash) (*bundle.Bundle, *Failure) {
	// Another process may have been quicker.
	if b, err := bundle.OpenDigest(ctx, filepath.Join(f.cfg.Store, bundle.DirName(digest)), digest); err == nil {
		return b, nil
	}
	var errs []error
	for _, source := range f.cfg.Sources {
		b, err := f.from(ctx, source, digest)
		if err == nil {
			return b, nil
		}
		errs = append(errs, err)
		if ctx.Err() != nil {
			break
		}
	}
	return nil, together(errs)
}

// from fetches a bundle from one source.
func (f *Fetcher) from(ctx context.Context, source bundle.Source, digest wire.Hash) (*bundle.Bundle, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watchdog := time.AfterFunc(f.cfg.Stall, func() { cancel(fmt.Errorf("%w: %v", errStalled, f.cfg.Stall)) })
	defer watchdog.Stop()
	b, err := f.receive(ctx, source, digest, watchdog)
	if err != nil && ctx.Err() != nil {
		err = fmt.Errorf("%s: %w", source, context.Cause(ctx))
	}
	return b, err
}

func (f *Fetcher) receive(ctx context.Context, source bundle.Source, digest wire.Hash, watchdog *time.Timer) (*bundle.Bundle, error) {
	shipment, err := source.Find(ctx, digest)
	if err != nil {
		return nil, err
	}
	if shipment.Close != nil {
		defer shipment.Close()
	}
	p := &progress{Fetcher: f, digest: digest, source: source, watchdog: watchdog, told: time.Now()}
	b, err := bundle.Receive(ctx, shipment, digest, f.cfg.Store, bundle.Terms{
		MaxBytes: f.cfg.MaxBytes, Trust: f.cfg.Trust, RefuseInsecure: !f.cfg.AllowInsecure, Resume: true, Progress: p.tell,
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", source, err)
	}
	return b, nil
}

// tellEvery is how often a long transfer is logged.
const tellEvery = 10 * time.Second

// progress follows one transfer.
type progress struct {
	*Fetcher
	digest   wire.Hash
	source   bundle.Source
	watchdog *time.Timer
	told     time.Time
}

func (p *progress) tell(now bundle.Progress) {
	p.set(p.digest, func(w *want) {
		if now.Done > w.done {
			w.failure = nil // it goes on
		}
		w.done, w.total = now.Done, now.Total
	})
	if now.Part == "" { // nothing comes any more
		p.watchdog.Stop()
		return
	}
	p.watchdog.Reset(p.cfg.Stall)
	if time.Since(p.told) >= tellEvery {
		p.told = time.Now()
		p.cfg.Logger.InfoContext(p.ctx, "fetching a bundle", "bundle", p.digest, "source", p.source.String(), "part", now.Part, "bytes", now.Done, "of", now.Total)
	}
}
