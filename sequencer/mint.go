package sequencer

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/gristmill-zk/gristmill/internal/failpoint"
	"github.com/gristmill-zk/gristmill/internal/store"
	"github.com/gristmill-zk/gristmill/wire"
)

// minter sends the journalled blocks. A block's outcome may be unknown for any
// time, restarts included: as long as it is, its batches stay out of templates.
type minter struct {
	cfg   *Config
	db    *store.DB
	log   *slog.Logger
	tell  func(Event)
	moved func()                 // the desk may have something new
	lost  func(parent wire.Hash) // a block on it was refused: it may be mined on again
	kick  chan struct{}
}

// mintRow is a block on its way.
type mintRow struct {
	hash   wire.Hash
	height uint64
	block  SolvedBlock
}

// journal writes a solved block down before it is sent.
func (m *minter) journal(ctx context.Context, t *template, header wire.Header, coinbase []byte) error {
	tasks := make([]wire.Task, len(t.tasks))
	for i := range t.tasks {
		tasks[i] = t.tasks[i].task
	}
	encodedTasks, err := json.Marshal(tasks)
	if err != nil {
		return err
	}
	hash, raw := header.Hash(), header.Encode()
	failpoint.Hit("sequencer.solution.before")
	err = m.db.Update(ctx, func(tx *sql.Tx) error {
		if err := execute(ctx, tx, `INSERT INTO mints (hash, parent, height, header, coinbase, tasks, state) VALUES (?, ?, ?, ?, ?, ?, 'sending')`,
			hash[:], header.Prev[:], int64(t.base.Height), raw[:], coinbase, string(encodedTasks)); err != nil {
			return err
		}
		for i := range t.tasks {
			if err := execute(ctx, tx, `INSERT INTO mint_batches (mint, batch) VALUES (?, ?)`, hash[:], t.tasks[i].id); err != nil {
				return err
			}
		}
		return nil
	})
	failpoint.Hit("sequencer.solution.after")
	if err != nil {
		return fmt.Errorf("sequencer: journal block: %w", err)
	}
	ids := make([]wire.Hash, len(tasks))
	for i := range tasks {
		ids[i] = tasks[i].ID(t.d, header.Prev)
	}
	m.log.InfoContext(ctx, "block found", "block", hash.BlockString(), "height", t.base.Height, "tasks", len(tasks))
	m.tell(BlockFound{Hash: hash, Height: t.base.Height, Bits: header.Bits, Tasks: ids})
	signal(m.kick)
	return nil
}

// run sends every journalled block, each in its own goroutine, until ctx ends.
func (m *minter) run(ctx context.Context) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	var mu sync.Mutex
	sending := map[wire.Hash]bool{}
	for {
		rows, err := m.unsent(ctx)
		if err != nil && ctx.Err() == nil {
			return fmt.Errorf("sequencer: journalled blocks: %w", err)
		}
		mu.Lock()
		for _, r := range rows {
			if sending[r.hash] {
				continue
			}
			sending[r.hash] = true
			wg.Go(func() {
				m.send(ctx, r)
				mu.Lock()
				defer mu.Unlock()
				delete(sending, r.hash)
			})
		}
		mu.Unlock()
		select {
		case <-m.kick:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (m *minter) unsent(ctx context.Context) ([]mintRow, error) {
	return collect(ctx, m.db.Read(), func(row func(...any) error) (r mintRow, err error) {
		var header, tasks []byte
		if err := row(hashArg{&r.hash}, &r.height, &header, &r.block.Coinbase, &tasks); err != nil {
			return r, err
		}
		if r.block.Header, err = wire.ParseHeader(header); err != nil {
			return r, err
		}
		return r, json.Unmarshal(tasks, &r.block.Tasks)
	}, `SELECT hash, height, header, coinbase, tasks FROM mints WHERE state = 'sending'`)
}

// send brings one block to its end.
func (m *minter) send(ctx context.Context, r mintRow) {
	log := m.log.With("block", r.hash.BlockString(), "height", r.height)
	for pause := m.cfg.RetryFirst; ; pause = min(2*pause, m.cfg.RetryMost) {
		failpoint.Hit("sequencer.mint.before")
		receipt, err := m.cfg.Chain.Mint(ctx, "mint/"+r.hash.String(), r.block)
		failpoint.Hit("sequencer.mint.after")
		var refused *BlockError
		switch {
		case ctx.Err() != nil && err != nil:
			return // the journal knows
		case err == nil:
			err = m.landed(ctx, r, receipt)
		case errors.As(err, &refused):
			err = m.refused(ctx, r, refused)
		}
		if err == nil {
			m.moved()
			return
		}
		log.WarnContext(ctx, "block not minted yet", "error", err, "retry_in", pause)
		if !sleep(ctx, pause) {
			return
		}
	}
}

func (m *minter) landed(ctx context.Context, r mintRow, receipt Receipt) error {
	err := m.end(ctx, `UPDATE mints SET state = 'landed', evm_block = ?, tx = ?, gas = ? WHERE hash = ?`,
		int64(receipt.Block), receipt.Tx[:], int64(receipt.Gas), r.hash[:])
	if err != nil {
		return err
	}
	m.log.InfoContext(ctx, "block minted", "block", r.hash.BlockString(), "height", r.height,
		"tasks", len(r.block.Tasks), "gas", receipt.Gas, "tx", receipt.Tx)
	m.tell(BlockLanded{Hash: r.hash, Height: r.height, Tasks: len(r.block.Tasks), Tx: receipt.Tx, Gas: receipt.Gas})
	return nil
}

func (m *minter) refused(ctx context.Context, r mintRow, why *BlockError) error {
	if err := m.end(ctx, `UPDATE mints SET state = 'lost', reason = ? WHERE hash = ?`, why.Error(), r.hash[:]); err != nil {
		return err
	}
	m.log.WarnContext(ctx, "block lost", "block", r.hash.BlockString(), "height", r.height, "reason", why)
	m.lost(r.block.Header.Prev)
	m.tell(BlockLost{Hash: r.hash, Height: r.height, Reason: why.Name})
	return nil
}

func (m *minter) end(ctx context.Context, query string, args ...any) error {
	failpoint.Hit("sequencer.minted.before")
	err := m.db.Update(ctx, func(tx *sql.Tx) error {
		if err := execute(ctx, tx, query, args...); err != nil {
			return err
		}
		return closeLanded(ctx, tx)
	})
	failpoint.Hit("sequencer.minted.after")
	return err
}

// closeLanded ends the blocks whose events the cursor has passed: from there
// on the facts speak for their batches.
func closeLanded(ctx context.Context, tx *sql.Tx) error {
	_, number, err := loadPosition(ctx, tx)
	if err != nil {
		return err
	}
	return execute(ctx, tx, `UPDATE mints SET state = 'done' WHERE state = 'landed' AND evm_block <= ?`, int64(number))
}

// signal wakes the reader of a channel of capacity one.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// sleep pauses; it returns false when ctx ends.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
