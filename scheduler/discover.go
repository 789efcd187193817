package scheduler

import (
	"context"
	"fmt"
	"slices"

	"github.com/gristmill-zk/gristmill/internal/failpoint"
	"github.com/gristmill-zk/gristmill/wire"
)

// discover follows the chain. Events, their effects and the position reached
// are one transaction, so a restart neither misses nor repeats any.
func (s *Scheduler) discover(ctx context.Context, ready func()) error {
	wake, leave := s.bell.listen()
	defer leave()
	ready()
	return s.loop(ctx, "discover", wake, s.cfg.ChainPoll, s.follow)
}

// follow reads the chain until it has nothing new.
func (s *Scheduler) follow(ctx context.Context) error {
	position, err := s.store.position(ctx)
	if err != nil {
		return err
	}
	for {
		batch, err := s.chain.Next(ctx, position)
		if s.chainSeen.tried(err) != nil {
			return fmt.Errorf("read the chain: %w", err)
		}
		if len(batch.Events) > 0 || batch.Rollback != nil || !slices.Equal(batch.Next, position) {
			if err := s.apply(ctx, batch); err != nil {
				return err
			}
		}
		position = batch.Next
		if !batch.More && batch.Rollback == nil {
			return nil
		}
	}
}

func (s *Scheduler) apply(ctx context.Context, batch Batch) error {
	us := party{prover: s.cfg.Prover, claims: !s.cfg.SkipClaim}
	failpoint.Hit("scheduler.events.before")
	err := s.store.update(ctx, func(t *txn) error {
		touched, err := t.take(batch)
		if err != nil {
			return err
		}
		for _, id := range touched {
			if err := t.refold(id, us); err != nil {
				return err
			}
		}
		return t.setPosition(batch.Next)
	})
	failpoint.Hit("scheduler.events.after")
	if err != nil {
		return fmt.Errorf("apply chain events: %w", err)
	}
	if batch.Rollback != nil {
		s.logger.WarnContext(ctx, "chain reorganised", "keeps_up_to_block", *batch.Rollback)
	}
	return nil
}

// take stores a batch's events, or forgets those it rolls back, and names the
// tasks they are about.
func (t *txn) take(batch Batch) ([]wire.Hash, error) {
	if batch.Rollback != nil {
		return t.rollback(*batch.Rollback)
	}
	var touched []wire.Hash
	seen := map[wire.Hash]bool{}
	for _, e := range batch.Events {
		if err := t.addEvent(e); err != nil {
			return nil, err
		}
		if !seen[e.Task] {
			seen[e.Task] = true
			touched = append(touched, e.Task)
		}
	}
	return touched, nil
}
