// Package cursor follows the logs of a chain in order, each canonical log
// once, over reorganisations and restarts.
//
// A cursor holds no state that matters: the caller keeps a [Position] and
// stores it in the same transaction as the effects of the batch it came with.
// The chain is the authority. When the block at the position is no longer
// canonical, Next answers with a Rollback instead of logs: the caller undoes
// everything above that block and goes on from the position given.
//
// Failures: an endpoint error leaves the position untouched and may be
// retried; an endpoint that limits ranges is asked for smaller ones; an
// endpoint behind the position is waited for, since a lagging endpoint and a
// chain that lost its newest blocks look the same until there is another block
// at that height. Logs of recent blocks are asked for by block hash, so that a
// lagging node cannot answer for blocks that it does not have.
package cursor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"slices"
	"time"

	"github.com/ethereum/go-ethereum"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/rpc"

	"github.com/gristmill-zk/gristmill/chain"
)

const (
	defaultRange = 1000
	defaultPoll  = 500 * time.Millisecond
	// stableTries is how often Next starts over when the chain changes under it.
	stableTries = 5
)

// ErrUnstable says that the chain changed again and again while it was read.
var ErrUnstable = errors.New("cursor: the chain keeps changing while it is read")

// These start a read over.
var (
	errMoved   = errors.New("cursor: the chain changed while it was read")
	errSmaller = errors.New("cursor: the endpoint refused the range")
)

// Client is what a cursor needs of a chain; *chain.Client has it.
type Client interface {
	BlockRef(ctx context.Context, number *big.Int) (chain.BlockRef, error)
	FilterLogs(ctx context.Context, q ethereum.FilterQuery) ([]types.Log, error)
}

// Config says which logs to follow.
type Config struct {
	Client Client
	// Addresses whose logs are wanted; empty means all.
	Addresses []common.Address
	// Topics as in eth_getLogs; nil means all.
	Topics [][]common.Hash
	// Start is the first block of interest, usually the deployment's; 0 means 1.
	Start uint64
	// Confirmations is how many blocks must follow one before its logs are
	// given out; 0 gives out the head's.
	Confirmations uint64
	// MaxRange is the most blocks asked for at once; 0 means 1000.
	MaxRange uint64
	// Poll is how often Follow asks for a new head; 0 means 500 ms.
	Poll time.Duration
	// Logger receives rollbacks and reduced ranges; nil means slog.Default().
	Logger *slog.Logger
}

// Batch is what Next found.
type Batch struct {
	// Logs in chain order; empty when Rollback is set.
	Logs []types.Log
	// Next is the position to store together with the effects of Logs, or of
	// the rollback.
	Next Position
	// Rollback, when set: undo everything above this block.
	Rollback *uint64
	// Head is the chain's head when Next looked.
	Head uint64
	// More says that further blocks are ready at once.
	More bool
}

// Cursor gives out logs in order. It may be used by one goroutine at a time.
type Cursor struct {
	cfg  Config
	span uint64 // blocks asked for at once, lowered by an endpoint that refuses
}

// New checks cfg.
func New(cfg Config) (*Cursor, error) {
	if cfg.Client == nil {
		return nil, errors.New("cursor: Config.Client is nil")
	}
	cfg.Start = max(cfg.Start, 1) // the genesis block has no logs
	if cfg.MaxRange == 0 {
		cfg.MaxRange = defaultRange
	}
	if cfg.Poll <= 0 {
		cfg.Poll = defaultPoll
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	return &Cursor{cfg: cfg, span: cfg.MaxRange}, nil
}

// Next gives the logs after pos, or a rollback. With nothing new it returns at
// once with Next equal to pos.
func (c *Cursor) Next(ctx context.Context, pos Position) (Batch, error) {
	var last error
	for tries := 0; tries < stableTries; {
		b, err := c.read(ctx, pos)
		switch {
		case errors.Is(err, errMoved):
			tries++
			last = err
		case !errors.Is(err, errSmaller):
			return b, err
		}
	}
	return Batch{Next: pos}, fmt.Errorf("%w (%w)", ErrUnstable, last)
}

func (c *Cursor) read(ctx context.Context, pos Position) (Batch, error) {
	b := Batch{Next: pos}
	head, err := c.cfg.Client.BlockRef(ctx, nil)
	if err != nil {
		return b, fmt.Errorf("cursor: head: %w", err)
	}
	b.Head = head.Number
	if pos.begun() {
		ok, err := c.stillCanonical(ctx, pos, head)
		if err != nil {
			return b, err
		}
		if !ok {
			return c.rollback(ctx, pos, b)
		}
	}
	from := c.cfg.Start
	if pos.begun() {
		from = max(from, pos.Number+1)
	}
	if head.Number < c.cfg.Confirmations || head.Number-c.cfg.Confirmations < from {
		return b, nil
	}
	return c.forward(ctx, pos, b, from, head.Number-c.cfg.Confirmations)
}

// stillCanonical says whether the chain still has pos. For a head below pos it
// looks at the newest remembered block the chain could have.
func (c *Cursor) stillCanonical(ctx context.Context, pos Position, head chain.BlockRef) (bool, error) {
	known := Block{pos.Number, pos.Hash}
	for i := len(pos.Recent) - 1; known.Number > head.Number; i-- {
		if i < 0 {
			return true, nil // nothing comparable: wait for the chain to grow
		}
		known = pos.Recent[i]
	}
	return c.has(ctx, known)
}

func (c *Cursor) has(ctx context.Context, b Block) (bool, error) {
	ref, err := c.cfg.Client.BlockRef(ctx, new(big.Int).SetUint64(b.Number))
	if errors.Is(err, ethereum.NotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("cursor: %w", err)
	}
	return ref.Hash == b.Hash, nil
}

// rollback finds the newest remembered block that is still canonical.
func (c *Cursor) rollback(ctx context.Context, pos Position, b Batch) (Batch, error) {
	target, ring := c.cfg.Start-1, pos.Recent
	b.Next = Position{}
	for i := len(ring) - 1; i >= 0; i-- {
		ok, err := c.has(ctx, ring[i])
		if err != nil {
			return Batch{Next: pos}, err
		}
		if ok {
			target = ring[i].Number
			b.Next = Position{Number: ring[i].Number, Hash: ring[i].Hash, Recent: slices.Clone(ring[:i])}
			break
		}
	}
	b.Rollback, b.More = &target, true
	c.cfg.Logger.WarnContext(ctx, "the chain reorganised", "from", pos.Number, "back_to", target)
	return b, nil
}

// forward reads the logs of the blocks from one to at most safe.
func (c *Cursor) forward(ctx context.Context, pos Position, b Batch, from, safe uint64) (Batch, error) {
	to := min(safe, from+c.span-1)
	blocks, blooms, err := c.blocks(ctx, pos, from, to, safe)
	if err != nil {
		return b, err
	}
	// The last block's hash commits to everything below it. As long as it is
	// the same after the logs were read, they are its chain's, and so is pos.
	if pos.begun() {
		ok, err := c.has(ctx, Block{pos.Number, pos.Hash})
		if err != nil {
			return b, err
		}
		if !ok {
			return b, errMoved
		}
	}
	var logs []types.Log
	if safe-to >= ringSize {
		logs, err = c.logsOfRange(ctx, from, to)
	} else {
		logs, err = c.logsNearHead(ctx, from, blocks, blooms)
	}
	if err != nil {
		if c.shrink(ctx, err) {
			return b, errSmaller
		}
		return b, err
	}
	ok, err := c.has(ctx, blocks[len(blocks)-1])
	if err != nil {
		return b, err
	}
	if !ok || !agree(logs, blocks) {
		return b, errMoved
	}
	c.span = min(c.cfg.MaxRange, c.span+max(1, c.span/8))
	b.Logs, b.Next, b.More = logs, pos.advance(blocks), to < safe
	return b, nil
}

// blocks names the last block of a range and, near the head where they may
// still be reorganised, those before it; each is the parent of the next.
func (c *Cursor) blocks(ctx context.Context, pos Position, from, to, safe uint64) ([]Block, []types.Bloom, error) {
	first := to
	if safe-to < ringSize {
		first = max(from, safe-min(safe, ringSize-1))
		first = min(first, to)
	}
	var blocks []Block
	var blooms []types.Bloom
	var parent common.Hash
	for n := to; ; n-- {
		ref, err := c.cfg.Client.BlockRef(ctx, new(big.Int).SetUint64(n))
		if errors.Is(err, ethereum.NotFound) || err == nil && n != to && ref.Hash != parent {
			return nil, nil, errMoved
		}
		if err != nil {
			return nil, nil, fmt.Errorf("cursor: %w", err)
		}
		blocks, blooms, parent = append(blocks, Block{n, ref.Hash}), append(blooms, ref.Bloom), ref.Parent
		if n == first {
			break
		}
	}
	if pos.begun() && first == pos.Number+1 && parent != pos.Hash {
		return nil, nil, errMoved
	}
	slices.Reverse(blocks)
	slices.Reverse(blooms)
	return blocks, blooms, nil
}

// logsNearHead reads the logs of a range that ends with these blocks. Behind
// one address there may be several nodes, and one that has not heard of the
// newest blocks answers a range with the logs of those it has, as if there were
// no others. A block named by its hash it can only answer for or refuse.
func (c *Cursor) logsNearHead(ctx context.Context, from uint64, blocks []Block, blooms []types.Bloom) (logs []types.Log, err error) {
	if first := blocks[0].Number; from < first {
		if logs, err = c.logsOfRange(ctx, from, first-1); err != nil {
			return nil, err
		}
	}
	for i, b := range blocks {
		more, err := c.logsOfBlock(ctx, b)
		if err == nil && len(more) == 0 && c.mayHaveLogs(blooms[i]) {
			more, err = c.logsOfBlock(ctx, b) // one that does not know it may even so have answered
		}
		if err != nil {
			return nil, err
		}
		logs = append(logs, more...)
	}
	return logs, nil
}

func (c *Cursor) logsOfBlock(ctx context.Context, b Block) ([]types.Log, error) {
	logs, err := c.cfg.Client.FilterLogs(ctx, ethereum.FilterQuery{BlockHash: &b.Hash, Addresses: c.cfg.Addresses, Topics: c.cfg.Topics})
	var refused rpc.Error
	if errors.As(err, &refused) {
		return nil, fmt.Errorf("%w: logs of block %d: %w", errMoved, b.Number, err)
	}
	if err != nil {
		return nil, fmt.Errorf("cursor: logs of block %d: %w", b.Number, err)
	}
	return inOrder(logs), nil
}

// mayHaveLogs says whether a block's bloom filter has one of the addresses.
func (c *Cursor) mayHaveLogs(bloom types.Bloom) bool {
	if len(c.cfg.Addresses) == 0 {
		return bloom != types.Bloom{}
	}
	return slices.ContainsFunc(c.cfg.Addresses, func(a common.Address) bool { return bloom.Test(a[:]) })
}

func (c *Cursor) logsOfRange(ctx context.Context, from, to uint64) ([]types.Log, error) {
	logs, err := c.cfg.Client.FilterLogs(ctx, ethereum.FilterQuery{
		FromBlock: new(big.Int).SetUint64(from), ToBlock: new(big.Int).SetUint64(to),
		Addresses: c.cfg.Addresses, Topics: c.cfg.Topics,
	})
	if err != nil {
		return nil, fmt.Errorf("cursor: logs of blocks %d to %d: %w", from, to, err)
	}
	for _, l := range logs {
		if l.BlockNumber < from || l.BlockNumber > to {
			return nil, fmt.Errorf("cursor: asked for logs of blocks %d to %d, got one of block %d", from, to, l.BlockNumber)
		}
	}
	return inOrder(logs), nil
}

func inOrder(logs []types.Log) []types.Log {
	logs = slices.DeleteFunc(logs, func(l types.Log) bool { return l.Removed })
	slices.SortFunc(logs, func(a, b types.Log) int {
		return cmp.Or(cmp.Compare(a.BlockNumber, b.BlockNumber), cmp.Compare(a.Index, b.Index))
	})
	return logs
}

// shrink asks for half the range after the endpoint itself refused it.
func (c *Cursor) shrink(ctx context.Context, err error) bool {
	var refused rpc.Error
	var status rpc.HTTPError
	if c.span == 1 || errors.Is(err, errMoved) || !errors.As(err, &refused) && !errors.As(err, &status) {
		return false
	}
	c.span /= 2
	c.cfg.Logger.DebugContext(ctx, "asking for fewer blocks at once", "blocks", c.span, "error", err)
	return true
}

// agree says whether every log is of a block we know by that hash.
func agree(logs []types.Log, blocks []Block) bool {
	first := blocks[0].Number
	for _, l := range logs {
		if l.BlockNumber >= first && l.BlockHash != blocks[l.BlockNumber-first].Hash {
			return false
		}
	}
	return true
}

// Follow calls apply for every batch from pos on until ctx ends or apply
// fails. apply must store Batch.Next together with its effects. Endpoint
// errors are logged and retried.
func (c *Cursor) Follow(ctx context.Context, pos Position, apply func(context.Context, Batch) error) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-timer.C:
		}
		wait := c.cfg.Poll
		b, err := c.Next(ctx, pos)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			c.cfg.Logger.WarnContext(ctx, "cannot read the chain, will try again", "error", err)
		case b.Rollback != nil || b.Next.Number != pos.Number || b.Next.Hash != pos.Hash:
			if err := apply(ctx, b); err != nil {
				return err
			}
			pos = b.Next
			if b.More {
				wait = 0
			}
		}
		timer.Reset(wait)
	}
}
