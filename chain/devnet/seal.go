package devnet

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/ethereum/go-ethereum/beacon/engine"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core"
	"github.com/ethereum/go-ethereum/core/txpool"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/miner"

	"github.com/gristmill-zk/gristmill/internal/failpoint"
)

const (
	gather      = 30 * time.Millisecond // lets transactions sent together share a block
	buildLimit  = 3 * time.Second
	retrySealIn = time.Second
)

func (d *Devnet) startSealing() {
	wake := make(chan struct{}, 1)
	wake <- struct{}{} // restoring may have put transactions back into the pool
	events := make(chan core.NewTxsEvent, 128)
	sub := d.eth.TxPool().SubscribeTransactions(events, true)
	d.done.Go(func() {
		// The pool blocks on a full channel and sealing waits for the pool, so
		// the channel is emptied apart from the sealing goroutine.
		defer sub.Unsubscribe()
		for {
			select {
			case <-events:
				select {
				case wake <- struct{}{}:
				default:
				}
			case <-d.stop:
				return
			}
		}
	})
	d.done.Go(func() { d.sealLoop(wake) })
}

func (d *Devnet) sealLoop(wake <-chan struct{}) {
	timer := time.NewTimer(d.untilEmpty())
	defer timer.Stop()
	soon := false // a block for waiting transactions is already due
	for {
		select {
		case <-d.stop:
			return
		case <-wake:
			if !soon && d.waiting() {
				soon = true
				timer.Reset(max(gather, d.untilNextSecond()))
			}
		case <-timer.C:
			soon = false
			timer.Reset(d.cfg.EmptyAfter)
			if err := d.seal(); err != nil {
				d.cfg.Logger.Error("no block sealed", "error", err)
				soon = true
				timer.Reset(retrySealIn)
			} else if d.waiting() {
				soon = true
				timer.Reset(max(gather, d.untilNextSecond()))
			}
		}
	}
}

// untilEmpty is how long until an empty block is due. On a chain that stood
// still for long that is at once: its clock must catch up with the wall's, or
// calls are estimated in the past.
func (d *Devnet) untilEmpty() time.Duration {
	head := time.Unix(int64(d.eth.BlockChain().CurrentBlock().Time), 0)
	return max(gather, min(time.Until(head)+d.cfg.EmptyAfter, d.cfg.EmptyAfter))
}

// untilNextSecond is how long until a block may be timed after the head's.
func (d *Devnet) untilNextSecond() time.Duration {
	next := time.Unix(int64(d.eth.BlockChain().CurrentBlock().Time)+1, 0)
	// A clock that was set back must not stop the chain.
	return min(time.Until(next), time.Second)
}

func (d *Devnet) waiting() bool {
	_, n := d.eth.TxPool().Pending(txpool.PendingFilter{})
	return n > 0
}

// seal makes the next block of what the pool holds: log first, then visible.
func (d *Devnet) seal() error {
	d.sealing.Lock()
	defer d.sealing.Unlock()
	return d.sealOn(d.eth.BlockChain().CurrentBlock())
}

func (d *Devnet) sealOn(parent *types.Header) error {
	if err := d.eth.TxPool().Sync(); err != nil {
		return fmt.Errorf("devnet: transaction pool: %w", err)
	}
	block, err := d.build(parent)
	if err != nil {
		return err
	}
	if err := d.log.append(block); err != nil {
		return err
	}
	bc := d.eth.BlockChain()
	if _, err := bc.InsertBlockWithoutSetHead(context.Background(), block, false); err != nil {
		return errors.Join(fmt.Errorf("devnet: execute block %d: %w", block.NumberU64(), err), d.log.dropLast())
	}
	failpoint.Hit("devnet.head.before")
	if _, err := bc.SetCanonical(block); err != nil {
		return errors.Join(fmt.Errorf("devnet: set head to block %d: %w", block.NumberU64(), err), d.log.dropLast())
	}
	failpoint.Hit("devnet.head.after")
	d.cfg.Logger.Debug("sealed a block", "number", block.NumberU64(), "hash", block.Hash(),
		"transactions", len(block.Transactions()), "gas", block.GasUsed())
	return nil
}

func (d *Devnet) build(parent *types.Header) (*types.Block, error) {
	var random common.Hash
	if _, err := rand.Read(random[:]); err != nil {
		return nil, fmt.Errorf("devnet: %w", err)
	}
	payload, err := d.eth.Miner().BuildPayload(context.Background(), &miner.BuildPayloadArgs{
		Parent:      parent.Hash(),
		Timestamp:   max(uint64(time.Now().Unix()), parent.Time+1),
		Random:      random,
		Withdrawals: types.Withdrawals{},
		BeaconRoot:  &common.Hash{},
		Version:     engine.PayloadV3,
	}, false)
	if err != nil {
		return nil, fmt.Errorf("devnet: build block %d: %w", parent.Number.Uint64()+1, err)
	}
	defer payload.Resolve() // ends the builder's goroutine
	// Payload.ResolveFull would wait for ever if building failed.
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	limit := time.NewTimer(buildLimit)
	defer limit.Stop()
	for {
		if block, _, _, _ := payload.FullBlockAndReceipts(); block != nil {
			return block, nil
		}
		select {
		case <-tick.C:
		case <-limit.C:
			return nil, fmt.Errorf("devnet: build block %d: nothing within %s", parent.Number.Uint64()+1, buildLimit)
		}
	}
}

// Reorg drops the newest depth blocks and seals another one in place of the
// first of them. The transaction pool is emptied, so the transactions of the
// dropped blocks are gone until somebody sends them again: it rehearses what a
// chain that lost its newest blocks looks like to its users.
func (d *Devnet) Reorg(depth uint64) error {
	d.sealing.Lock()
	defer d.sealing.Unlock()
	bc := d.eth.BlockChain()
	head := bc.CurrentBlock().Number.Uint64()
	if depth == 0 || depth > head {
		return fmt.Errorf("devnet: cannot drop %d of %d blocks", depth, head)
	}
	ancestor := bc.GetBlockByNumber(head - depth)
	if ancestor == nil {
		return fmt.Errorf("devnet: block %d is missing", head-depth)
	}
	if _, err := bc.SetCanonical(ancestor); err != nil {
		return fmt.Errorf("devnet: set head to block %d: %w", head-depth, err)
	}
	if err := d.eth.TxPool().Sync(); err != nil {
		return fmt.Errorf("devnet: transaction pool: %w", err)
	}
	d.eth.TxPool().Clear()
	return d.sealOn(ancestor.Header())
}
