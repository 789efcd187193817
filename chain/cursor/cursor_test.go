package cursor

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"log/slog"
	"math/big"
	"slices"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/gristmill-zk/gristmill/chain"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type fakeBlock struct {
	chain.BlockRef
	logs []types.Log
}

// fakeChain is a chain that may change at every call.
type fakeChain struct {
	blocks   []fakeBlock // by number, genesis first
	made     uint64
	maxRange uint64
	before   func() error // runs ahead of every call
	onQuery  func(from, to uint64)
	empty    int    // questions by hash that a lagging node answers with nothing
	behind   uint64 // blocks that the node answering for ranges does not have
}

type rangeError struct{}

func (rangeError) Error() string  { return "block range too wide" }
func (rangeError) ErrorCode() int { return -32005 }

func newFakeChain() *fakeChain {
	f := &fakeChain{}
	f.extend(0)
	return f
}

func (f *fakeChain) head() uint64 { return uint64(len(f.blocks) - 1) }

func (f *fakeChain) extend(logs int) {
	f.made++
	b := fakeBlock{BlockRef: chain.BlockRef{Number: uint64(len(f.blocks))}}
	if b.Number > 0 {
		b.Parent = f.blocks[b.Number-1].Hash
	}
	b.Hash = crypto.Keccak256Hash(b.Parent[:], binary.BigEndian.AppendUint64(nil, f.made))
	if logs > 0 {
		b.Bloom.Add([]byte("any"))
	}
	for i := range logs {
		b.logs = append(b.logs, types.Log{
			BlockNumber: b.Number, BlockHash: b.Hash, Index: uint(i),
			Data: binary.BigEndian.AppendUint64(nil, f.made<<8|uint64(i)),
		})
	}
	f.blocks = append(f.blocks, b)
}

func (f *fakeChain) drop(depth uint64) {
	f.blocks = f.blocks[:len(f.blocks)-int(min(depth, f.head()))]
}

func (f *fakeChain) call() error {
	if f.before == nil {
		return nil
	}
	return f.before()
}

func (f *fakeChain) BlockRef(_ context.Context, n *big.Int) (chain.BlockRef, error) {
	if err := f.call(); err != nil {
		return chain.BlockRef{}, err
	}
	if n == nil {
		return f.blocks[f.head()].BlockRef, nil
	}
	if n.Uint64() > f.head() {
		return chain.BlockRef{}, ethereum.NotFound
	}
	return f.blocks[n.Uint64()].BlockRef, nil
}

func (f *fakeChain) FilterLogs(_ context.Context, q ethereum.FilterQuery) ([]types.Log, error) {
	if err := f.call(); err != nil {
		return nil, err
	}
	if q.BlockHash != nil {
		if f.empty > 0 {
			f.empty--
			return nil, nil
		}
		for _, b := range f.blocks {
			if b.Hash == *q.BlockHash {
				return slices.Clone(b.logs), nil
			}
		}
		return nil, rangeError{} // geth says: unknown block
	}
	from, to := q.FromBlock.Uint64(), q.ToBlock.Uint64()
	if f.maxRange > 0 && to-from+1 > f.maxRange {
		return nil, rangeError{}
	}
	if f.onQuery != nil {
		f.onQuery(from, to)
	}
	var logs []types.Log
	for n := from; n <= min(to, f.head()-f.behind); n++ {
		logs = append(logs, f.blocks[n].logs...)
	}
	return logs, nil
}

// consumer keeps a position and effects together, as a store would.
type consumer struct {
	pos  Position
	logs []types.Log
}

func (c *consumer) apply(b Batch) {
	if b.Rollback != nil {
		c.logs = slices.DeleteFunc(c.logs, func(l types.Log) bool { return l.BlockNumber > *b.Rollback })
	}
	c.logs = append(c.logs, b.Logs...)
	c.pos = b.Next
}

func canonical(f *fakeChain, start, to uint64) []types.Log {
	var logs []types.Log
	for _, b := range f.blocks {
		if b.Number >= start && b.Number <= to {
			logs = append(logs, b.logs...)
		}
	}
	return logs
}

var quiet = slog.New(slog.DiscardHandler)

// TestFinalLogsAreTheCanonicalOnes: reorganisations of any depth at any call,
// endpoint errors, range limits, restarts.
func TestFinalLogsAreTheCanonicalOnes(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		f := newFakeChain()
		f.maxRange = rapid.Uint64Range(0, 20).Draw(t, "endpoint range")
		cfg := Config{
			Client: f, Logger: quiet,
			Start:         rapid.Uint64Range(0, 10).Draw(t, "start"),
			Confirmations: rapid.Uint64Range(0, 4).Draw(t, "confirmations"),
			MaxRange:      rapid.Uint64Range(1, 100).Draw(t, "range"),
		}
		mutate := func() {
			if rapid.IntRange(0, 2).Draw(t, "reorg") == 0 {
				f.drop(rapid.Uint64Range(1, 8).Draw(t, "depth"))
			}
			for range rapid.IntRange(0, 10).Draw(t, "new blocks") {
				f.extend(rapid.IntRange(0, 2).Draw(t, "logs"))
			}
		}
		f.before = func() error {
			switch rapid.IntRange(0, 120).Draw(t, "at call") {
			case 0:
				mutate()
			case 1:
				return errors.New("connection refused")
			}
			return nil
		}
		var con consumer
		cur, err := New(cfg)
		require.NoError(t, err)
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			mutate()
			b, err := cur.Next(context.Background(), con.pos)
			if err != nil {
				continue
			}
			if b.Rollback == nil && b.Next.Number > con.pos.Number && b.Next.Number+cfg.Confirmations > b.Head {
				t.Fatalf("passed head %d less %d: %d", b.Head, cfg.Confirmations, b.Next.Number)
			}
			con.apply(b)
			if rapid.Bool().Draw(t, "restart") {
				raw, err := con.pos.MarshalBinary()
				require.NoError(t, err)
				con.pos = Position{}
				require.NoError(t, con.pos.UnmarshalBinary(raw))
				cur, err = New(cfg)
				require.NoError(t, err)
			}
		}
		f.before = nil
		for f.head() <= con.pos.Number+cfg.Confirmations+10 {
			f.extend(1)
		}
		for more := true; more; {
			before := con.pos
			b, err := cur.Next(context.Background(), con.pos)
			require.NoError(t, err)
			con.apply(b)
			more = b.More || con.pos.Number != before.Number
		}
		want := canonical(f, cfg.Start, f.head()-cfg.Confirmations)
		require.Equal(t, len(want), len(con.logs))
		for i := range want {
			require.Equal(t, want[i], con.logs[i])
		}
	})
}

func TestReorgDeeperThanTheRingGoesBackToTheStart(t *testing.T) {
	t.Parallel()
	f := newFakeChain()
	for range 200 {
		f.extend(1)
	}
	cur, err := New(Config{Client: f, Start: 5, Logger: quiet})
	require.NoError(t, err)
	b, err := cur.Next(t.Context(), Position{})
	require.NoError(t, err)
	require.Len(t, b.Logs, 196)
	require.Len(t, b.Next.Recent, ringSize-1)
	f.drop(100)
	for range 101 {
		f.extend(1)
	}
	b, err = cur.Next(t.Context(), b.Next)
	require.NoError(t, err)
	require.NotNil(t, b.Rollback)
	require.EqualValues(t, 4, *b.Rollback)
	require.Zero(t, b.Next)
}

func TestShorterChainIsWaitedFor(t *testing.T) {
	t.Parallel()
	f := newFakeChain()
	for range 10 {
		f.extend(1)
	}
	cur, err := New(Config{Client: f, Logger: quiet})
	require.NoError(t, err)
	b, err := cur.Next(t.Context(), Position{})
	require.NoError(t, err)
	f.drop(3)
	again, err := cur.Next(t.Context(), b.Next)
	require.NoError(t, err)
	require.Nil(t, again.Rollback)
	require.Equal(t, b.Next, again.Next)
	f.drop(1)
	f.extend(1) // now a remembered block differs
	again, err = cur.Next(t.Context(), b.Next)
	require.NoError(t, err)
	require.EqualValues(t, 6, *again.Rollback)
}

func TestRangeShrinksAndGrows(t *testing.T) {
	t.Parallel()
	f := newFakeChain()
	for range 500 {
		f.extend(0)
	}
	f.maxRange = 7
	widest := uint64(0)
	f.onQuery = func(from, to uint64) { widest = max(widest, to-from+1) }
	cur, err := New(Config{Client: f, Logger: quiet})
	require.NoError(t, err)
	b, err := cur.Next(t.Context(), Position{})
	require.NoError(t, err)
	require.True(t, b.More)
	f.maxRange = 0
	for b.More {
		b, err = cur.Next(t.Context(), b.Next)
		require.NoError(t, err)
	}
	require.EqualValues(t, 500, b.Next.Number)
	require.Greater(t, widest, uint64(7))
}

// TestLaggingNode: behind one address, the node that answers for logs has not
// got the newest blocks.
func TestLaggingNode(t *testing.T) {
	t.Parallel()
	f := newFakeChain()
	for range 150 {
		f.extend(1)
	}
	f.behind = 20
	cur, err := New(Config{Client: f, Logger: quiet})
	require.NoError(t, err)
	b, err := cur.Next(t.Context(), Position{})
	require.NoError(t, err)
	require.Len(t, b.Logs, 150)

	f.extend(2)
	f.empty = 1 // answered with nothing once
	b, err = cur.Next(t.Context(), b.Next)
	require.NoError(t, err)
	require.Len(t, b.Logs, 2)

	f.extend(0) // really nothing
	b, err = cur.Next(t.Context(), b.Next)
	require.NoError(t, err)
	require.Empty(t, b.Logs)
	require.EqualValues(t, 152, b.Next.Number)
}

func TestEndpointErrorKeepsThePosition(t *testing.T) {
	t.Parallel()
	f := newFakeChain()
	f.extend(1)
	f.before = func() error { return errors.New("down") }
	cur, err := New(Config{Client: f, Logger: quiet})
	require.NoError(t, err)
	b, err := cur.Next(t.Context(), Position{})
	require.ErrorContains(t, err, "down")
	require.Zero(t, b.Next)
}

func TestFollow(t *testing.T) {
	t.Parallel()
	f := newFakeChain()
	for range 5 {
		f.extend(1)
	}
	calls := 0
	f.before = func() error {
		if calls++; calls == 2 {
			return errors.New("down once")
		}
		return nil
	}
	cur, err := New(Config{Client: f, Logger: quiet, MaxRange: 2, Poll: time.Millisecond})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	var con consumer
	err = cur.Follow(ctx, con.pos, func(_ context.Context, b Batch) error {
		con.apply(b)
		if con.pos.Number == 5 {
			cancel()
		}
		return nil
	})
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, canonical(f, 1, 5), con.logs)

	stop := errors.New("store is full")
	err = cur.Follow(t.Context(), Position{}, func(context.Context, Batch) error { return stop })
	require.ErrorIs(t, err, stop)
}

func TestPositionEncodings(t *testing.T) {
	t.Parallel()
	for _, p := range []Position{
		{}, {Number: 4, Hash: common.Hash{4}},
		{Number: 9, Hash: common.Hash{9}, Recent: []Block{{7, common.Hash{7}}, {8, common.Hash{8}}}},
	} {
		raw, err := p.MarshalBinary()
		require.NoError(t, err)
		var back Position
		require.NoError(t, back.UnmarshalBinary(raw))
		require.Equal(t, p, back)
		text, err := json.Marshal(p)
		require.NoError(t, err)
		back = Position{}
		require.NoError(t, json.Unmarshal(text, &back))
		require.Equal(t, p, back)
		for n := range 1 + blockSize {
			require.Error(t, back.UnmarshalBinary(raw[:n]), "%d bytes", n)
		}
		raw[0]++
		require.Error(t, back.UnmarshalBinary(raw))
	}
}

func FuzzPosition(f *testing.F) {
	raw, _ := Position{Number: 9, Hash: common.Hash{9}, Recent: []Block{{7, common.Hash{7}}}}.MarshalBinary()
	f.Add(raw)
	f.Fuzz(func(t *testing.T, raw []byte) {
		var p Position
		if p.UnmarshalBinary(raw) != nil {
			return
		}
		again, err := p.MarshalBinary()
		require.NoError(t, err)
		require.Equal(t, raw, again)
	})
}
