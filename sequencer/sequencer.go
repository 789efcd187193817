package sequencer

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

	"github.com/gristmill-zk/gristmill/internal/failpoint"
	"github.com/gristmill-zk/gristmill/internal/store"
	"github.com/gristmill-zk/gristmill/miner"
	"github.com/gristmill-zk/gristmill/wire"
)

// Sequencer is one sequencing node. It is a miner.Source.
type Sequencer struct {
	cfg      Config
	address  wire.Address // of cfg.Key
	db       *store.DB
	projects *projects
	ingest   *ingest
	assemble *assembler
	template *templater
	minter   *minter
	follow   *follower
	desk     *desk
	backlog  *backlog
	bodies   *semaphore.Weighted // bytes of request bodies in memory
	served   *semaphore.Weighted // bytes of bodies being sent to provers
	steps    atomic.Int64        // of the templater, completed

	assembleKick chan struct{}
	templateKick chan struct{}
	tip          atomic.Pointer[seenTip]

	api    http.Handler
	mining http.Handler

	mu         sync.Mutex
	apiAddr    net.Addr
	miningAddr net.Addr
}

type seenTip struct {
	tip Tip
	at  time.Time
}

var _ miner.Source = (*Sequencer)(nil)

// New opens the database. Nothing runs before Run; Close is needed when Run is
// never called.
func New(ctx context.Context, cfg Config) (*Sequencer, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	address, err := wire.SecretAddress(cfg.Key[:])
	if err != nil {
		return nil, fmt.Errorf("sequencer: config: Key: %w", err)
	}
	db, err := openDB(ctx, cfg.DB)
	if err != nil {
		return nil, fmt.Errorf("sequencer: %w", err)
	}
	s := &Sequencer{
		cfg: cfg, address: address, db: db, desk: newDesk(), backlog: newBacklog(),
		bodies: semaphore.NewWeighted(cfg.MaxBodies), served: semaphore.NewWeighted(cfg.MaxServed),
		assembleKick: make(chan struct{}, 1), templateKick: make(chan struct{}, 1),
	}
	if err := s.wire(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("sequencer: %w", err), db.Close())
	}
	if err := errors.Join(s.claimDB(ctx), s.backlog.load(ctx, s.db.Read())); err != nil {
		return nil, errors.Join(fmt.Errorf("sequencer: database %s: %w", cfg.DB, err), s.Close())
	}
	s.api, s.mining = newAPI(s), newMiningAPI(s)
	return s, nil
}

// wire connects the parts.
func (s *Sequencer) wire(ctx context.Context) (err error) {
	log := s.cfg.Logger
	s.projects = newProjects(&s.cfg, s.address)
	if s.ingest, err = newIngest(ctx, &s.cfg, s.db, s.projects, s.backlog); err != nil {
		return err
	}
	queues := &queues{db: s.db, projects: s.projects}
	s.assemble = &assembler{
		cfg: &s.cfg, db: s.db, projects: s.projects, log: log, tell: s.tell, backlog: s.backlog, queues: queues,
	}
	s.template = &templater{
		cfg: &s.cfg, db: s.db, queues: queues, desk: s.desk, tell: s.tell,
		tipSeen: func(t Tip) { s.tip.Store(&seenTip{t, time.Now()}) },
	}
	s.minter = &minter{
		cfg: &s.cfg, db: s.db, log: log, tell: s.tell, kick: make(chan struct{}, 1),
		moved: func() { signal(s.templateKick) }, lost: s.desk.release,
	}
	s.follow = &follower{
		cfg: &s.cfg, address: s.address, db: s.db, projects: s.projects, backlog: s.backlog, log: log, tell: s.tell,
		moved: func() { signal(s.assembleKick); signal(s.templateKick) }, undone: s.desk.reset,
	}
	return nil
}

// claimDB ties a fresh database to the deployment and refuses one of another:
// its messages were signed for that.
func (s *Sequencer) claimDB(ctx context.Context) error {
	id := s.cfg.Chain.Deployment().IDBytes()
	return s.db.Update(ctx, func(tx *sql.Tx) error {
		known, err := loadMeta(ctx, tx, "deployment")
		if err != nil {
			return err
		}
		if known != nil && !bytes.Equal(known, id[:]) {
			return fmt.Errorf("it belongs to deployment 0x%x, not %s", known, id)
		}
		return saveMeta(ctx, tx, "deployment", id[:])
	})
}

// Run serves until ctx ends. It is ready when it takes messages. The database
// is closed when it returns.
func (s *Sequencer) Run(ctx context.Context, ready func()) error {
	err := s.run(ctx, ready)
	return errors.Join(err, s.Close())
}

func (s *Sequencer) run(ctx context.Context, ready func()) error {
	g, ctx := errgroup.WithContext(ctx)
	defer context.AfterFunc(ctx, s.desk.stop)()
	// Registered first: a server that cannot listen must end the others.
	served, err := s.listen(ctx, g)
	if err != nil {
		return err
	}
	// The committer outlives the servers: requests that they let finish are answered.
	committing, stop := context.WithCancel(context.WithoutCancel(ctx))
	g.Go(func() error { s.ingest.run(committing, s.committed); return ctx.Err() })
	g.Go(func() error { defer stop(); <-ctx.Done(); served(); return ctx.Err() })
	g.Go(func() error { return s.follow.run(ctx) })
	g.Go(func() error { return s.minter.run(ctx) })
	g.Go(func() error { return s.runAssembler(ctx) })
	g.Go(func() error { return s.runTemplater(ctx) })
	ready()
	return g.Wait()
}

// Close closes the database; harmless after Run.
func (s *Sequencer) Close() error { return errors.Join(s.ingest.exists.Close(), s.db.Close()) }

// committed wakes the assembler and tells what was stored.
func (s *Sequencer) committed(groups []*group) {
	var e MessagesAccepted
	taken := map[uint64]int64{}
	for _, g := range groups {
		for i, a := range g.answers {
			if a.Err == nil && !a.Duplicate {
				project := g.records[i].msg.Project
				e.IDs, e.Projects = append(e.IDs, a.ID), append(e.Projects, project)
				taken[project]++
			}
		}
	}
	if len(e.IDs) == 0 {
		return
	}
	for project, n := range taken {
		s.backlog.add(project, n)
	}
	signal(s.assembleKick)
	s.tell(e)
}

func (s *Sequencer) runAssembler(ctx context.Context) error {
	for {
		next, err := s.assemble.step(ctx)
		if err != nil && ctx.Err() == nil {
			s.cfg.Logger.ErrorContext(ctx, "assembler", "error", err)
			next = s.cfg.RetryFirst
		}
		signal(s.templateKick)
		// Batches that wait for a time (a split, a fresh authorisation) are
		// looked at now and then even if nothing happens.
		if !wait(ctx, s.assembleKick, min(next, s.cfg.AuthorisationTTL/8, 5*time.Second)) {
			return ctx.Err()
		}
	}
}

func (s *Sequencer) runTemplater(ctx context.Context) error {
	failing := false
	for {
		err := s.template.step(ctx)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil && !failing:
			s.cfg.Logger.WarnContext(ctx, "no new work for miners", "error", err)
		case err == nil && failing:
			s.cfg.Logger.InfoContext(ctx, "work for miners again")
		}
		if err == nil {
			s.steps.Add(1)
		}
		failing = err != nil
		if seen := s.tip.Load(); failing && (seen == nil || time.Since(seen.at) > s.cfg.Refresh) {
			s.desk.set(nil) // nobody knows whether it is still worth anything
		}
		if !wait(ctx, s.templateKick, s.cfg.Poll) {
			return ctx.Err()
		}
	}
}

// wait returns after d or a kick; false when ctx ended.
func wait(ctx context.Context, kick <-chan struct{}, d time.Duration) bool {
	t := time.NewTimer(max(d, time.Millisecond))
	defer t.Stop()
	select {
	case <-kick:
		return true
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// Accept checks messages and stores them, and answers for each, in order. An
// answer without error means that the message is on disk.
func (s *Sequencer) Accept(ctx context.Context, msgs ...*wire.Message) []Accepted {
	return s.ingest.accept(ctx, msgs)
}

// Work implements miner.Source.
func (s *Sequencer) Work(ctx context.Context, have string) (miner.Job, error) {
	job, _, err := s.desk.work(ctx, have)
	return job, err
}

// Submit implements miner.Source. A solution is checked before anything else
// and on disk before it is taken.
func (s *Sequencer) Submit(ctx context.Context, solution miner.Solution) error {
	failpoint.Hit("sequencer.submit.before")
	t, coinbase, err := s.desk.claim(solution)
	switch {
	case wire.CodeOf(err) != "":
		return fmt.Errorf("%w: %w", miner.ErrRefused, err)
	case err != nil:
		return err
	}
	// The journal must not end with the request of a miner that went away.
	if err := s.minter.journal(context.WithoutCancel(ctx), t, solution.Header, coinbase); err != nil {
		s.desk.restore(t)
		return err
	}
	failpoint.Hit("sequencer.submit.after")
	signal(s.assembleKick) // the next batches want authorisations
	return nil
}

// Address is the account of the key that authorises tasks.
func (s *Sequencer) Address() wire.Address { return s.address }

// Handler is the API for devices and provers.
func (s *Sequencer) Handler() http.Handler { return s.api }

// MiningHandler is the API for outside miners.
func (s *Sequencer) MiningHandler() http.Handler { return s.mining }

// Addr and MiningAddr are what the two servers listen on; nil when they do not.
func (s *Sequencer) Addr() net.Addr {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.apiAddr
}

// MiningAddr is where the mining API listens; nil when it does not.
func (s *Sequencer) MiningAddr() net.Addr {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.miningAddr
}
