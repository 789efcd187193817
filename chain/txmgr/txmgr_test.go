package txmgr

import (
	"context"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"path/filepath"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"golang.org/x/sync/errgroup"

	"github.com/gristmill-zk/gristmill/chain"
	"github.com/gristmill-zk/gristmill/chain/devnet"
)

func TestMain(m *testing.M) {
	if runChildIfAsked() {
		return
	}
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction("github.com/ethereum/go-ethereum/core.(*txSenderCacher).cache"),
		goleak.IgnoreAnyFunction("github.com/syndtr/goleveldb/leveldb.(*DB).mpoolDrain"),
	)
}

var quiet = slog.New(slog.DiscardHandler)

// counterCode deploys a contract that counts calls without data in slot 0 and
// reverts any other with the data as the revert data.
var counterCode = common.FromHex("73" + "36600c575f546001015f55005b365f5f37365ffd" + "5f526014600cf3")

type bench struct {
	net    *devnet.Devnet
	client *chain.Client
	key    *ecdsa.PrivateKey
	dir    string
}

func newBench(t *testing.T) *bench {
	t.Helper()
	key, err := crypto.GenerateKey()
	require.NoError(t, err)
	return newBenchFor(t, key)
}

func newBenchFor(t *testing.T, key *ecdsa.PrivateKey) *bench {
	t.Helper()
	net, err := devnet.Start(t.Context(), devnet.Config{
		DataDir: t.TempDir(), Logger: quiet, EmptyAfter: time.Second,
		Alloc: map[common.Address]*big.Int{crypto.PubkeyToAddress(key.PublicKey): big.NewInt(1e18)},
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, net.Close()) })
	client, err := chain.Dial(t.Context(), net.URL())
	require.NoError(t, err)
	t.Cleanup(client.Close)
	return &bench{net: net, client: client, key: key, dir: t.TempDir()}
}

func (b *bench) config() Config {
	return Config{Client: b.client, DB: filepath.Join(b.dir, "tx.db"), Key: b.key, Logger: quiet, Poll: 50 * time.Millisecond}
}

// start runs a manager and gives the function that stops it.
func start(t *testing.T, cfg Config) (*Manager, func()) {
	t.Helper()
	m, err := New(t.Context(), cfg)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- m.Run(ctx, func() {}) }()
	stopped := false
	stop := func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		require.ErrorIs(t, <-ended, context.Canceled)
		require.NoError(t, m.Close())
	}
	t.Cleanup(stop)
	return m, stop
}

func (b *bench) deploy(t *testing.T, m *Manager) common.Address {
	t.Helper()
	r, err := m.Send(t.Context(), chain.Request{Key: "deploy", Data: counterCode})
	require.NoError(t, err)
	return r.ContractAddress
}

func (b *bench) count(t *testing.T, counter common.Address) int64 {
	t.Helper()
	v, err := b.client.StorageAt(t.Context(), counter, common.Hash{}, nil)
	require.NoError(t, err)
	return new(big.Int).SetBytes(v).Int64()
}

func (b *bench) eventually(t *testing.T, counter common.Address, want int64) {
	t.Helper()
	require.Eventually(t, func() bool { return b.count(t, counter) == want }, 2*time.Minute, 50*time.Millisecond)
}

// reorg has the chain lose its blocks from a number on. The chain may have sealed
// another one by the time it comes to that.
func (b *bench) reorg(t *testing.T, from uint64) {
	t.Helper()
	number := new(big.Int).SetUint64(from)
	lost, err := b.client.BlockRef(t.Context(), number)
	require.NoError(t, err)
	for {
		head, err := b.client.BlockNumber(t.Context())
		require.NoError(t, err)
		require.NoError(t, b.net.Reorg(head-from+1))
		now, err := b.client.BlockRef(t.Context(), number)
		if errors.Is(err, ethereum.NotFound) || (err == nil && now.Hash != lost.Hash) {
			return
		}
		require.NoError(t, err)
	}
}

func TestManySendersEachKeyOnce(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	m, _ := start(t, b.config())
	counter := b.deploy(t, m)
	var g errgroup.Group
	for i := range 80 {
		g.Go(func() error { // every key twice
			_, err := m.Send(t.Context(), chain.Request{Key: fmt.Sprint("call/", i/2), To: &counter})
			return err
		})
	}
	require.NoError(t, g.Wait())
	require.EqualValues(t, 40, b.count(t, counter))
	again, err := m.Send(t.Context(), chain.Request{Key: "deploy", Data: counterCode})
	require.NoError(t, err)
	require.Equal(t, counter, again.ContractAddress)
	_, err = m.Send(t.Context(), chain.Request{Key: "deploy", Data: counterCode, Value: big.NewInt(1)})
	require.ErrorIs(t, err, chain.ErrKeyReused)
	awaited, err := m.Await(t.Context(), "deploy")
	require.NoError(t, err)
	require.Equal(t, again.TxHash, awaited.TxHash)
	_, err = m.Await(t.Context(), "never sent")
	require.ErrorIs(t, err, chain.ErrUnknownKey)
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	m, _ := start(t, b.config())
	counter := b.deploy(t, m)

	// keccak("Error(string)") selector, and "no".
	reason := common.FromHex("08c379a0" + fmt.Sprintf("%064x%064x", 32, 2) + fmt.Sprintf("%x%060x", "no", 0))
	_, err := m.Send(t.Context(), chain.Request{Key: "refused", To: &counter, Data: reason})
	require.ErrorIs(t, err, chain.ErrReverted)
	var revert *chain.RevertError
	require.ErrorAs(t, err, &revert)
	require.Equal(t, "Error", revert.Name)
	require.Equal(t, []any{"no"}, revert.Args)
	nonce, err := b.client.PendingNonceAt(t.Context(), m.Address())
	require.NoError(t, err)
	require.EqualValues(t, 1, nonce, "a refused estimate spends no nonce")
	_, err = m.Send(t.Context(), chain.Request{Key: "refused", To: &counter})
	require.NoError(t, err, "and leaves its key free")

	_, err = m.Send(t.Context(), chain.Request{Key: "poor", To: &counter, Value: big.NewInt(2e18)})
	require.ErrorIs(t, err, chain.ErrInsufficientFunds)
	_, err = m.Send(t.Context(), chain.Request{To: &counter})
	require.ErrorContains(t, err, "Key")

	// With a gas limit there is no estimate: it is mined and fails.
	mined := chain.Request{Key: "mined", To: &counter, Data: []byte{1, 2, 3, 4, 5}, Gas: 100_000}
	for range 2 {
		r, err := m.Send(t.Context(), mined)
		require.ErrorAs(t, err, &revert)
		require.Equal(t, mined.Data, revert.Data)
		require.EqualValues(t, 0, r.Status)
	}
	require.Error(t, m.Forget(t.Context(), "deploy"), "succeeded")
	require.NoError(t, m.Forget(t.Context(), "unknown"))
	require.NoError(t, m.Forget(t.Context(), "mined"))
	_, err = m.Send(t.Context(), chain.Request{Key: "mined", To: &counter})
	require.NoError(t, err)
	require.EqualValues(t, 2, b.count(t, counter))
}

func TestRestartWithTransactionsInFlight(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	m, stop := start(t, b.config())
	counter := b.deploy(t, m)
	ctx, cancel := context.WithCancel(t.Context())
	for i := range 5 {
		_, err := m.begin(ctx, chain.Request{Key: fmt.Sprint(i), To: &counter})
		require.NoError(t, err)
	}
	waiting := make(chan error, 2)
	go func() {
		_, err := m.Send(ctx, chain.Request{Key: "4", To: &counter, Data: nil})
		waiting <- err
	}()
	cancel()
	err := <-waiting
	require.True(t, errors.Is(err, context.Canceled) || errors.Is(err, ErrStopped), "%v", err)
	stop()

	m, _ = start(t, b.config())
	for i := range 5 {
		_, err := m.Send(t.Context(), chain.Request{Key: fmt.Sprint(i), To: &counter})
		require.NoError(t, err)
	}
	require.EqualValues(t, 5, b.count(t, counter))
}

func TestJournalBelongsToOneAccountAndChain(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	_, stop := start(t, b.config())
	stop()
	cfg := b.config()
	cfg.Key, _ = crypto.GenerateKey()
	_, err := New(t.Context(), cfg)
	require.ErrorContains(t, err, "belongs to account")
	cfg = b.config()
	other := newBench(t)
	cfg.Client = other.client
	_, err = New(t.Context(), cfg)
	require.ErrorContains(t, err, "belongs to chain")
}

// TestChainLosesBlocks: confirmed transactions that the chain no longer has
// come back in nonce order, together with one sent meanwhile.
func TestChainLosesBlocks(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	m, _ := start(t, b.config())
	counter := b.deploy(t, m)
	before := map[string]common.Hash{}
	for i := range 3 {
		r, err := m.Send(t.Context(), chain.Request{Key: fmt.Sprint(i), To: &counter})
		require.NoError(t, err)
		before[fmt.Sprint(i)] = r.BlockHash
	}
	b.reorg(t, 2)
	_, err := m.Send(t.Context(), chain.Request{Key: "later", To: &counter})
	require.NoError(t, err)
	b.eventually(t, counter, 4)
	for key, block := range before {
		r, err := m.Send(t.Context(), chain.Request{Key: key, To: &counter})
		require.NoError(t, err)
		require.NotEqual(t, block, r.BlockHash)
	}
	require.EqualValues(t, 4, b.count(t, counter))
}

func TestConfirmationsAreWaitedFor(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	cfg := b.config()
	cfg.Confirmations = 3
	m, _ := start(t, cfg)
	r, err := m.Send(t.Context(), chain.Request{Key: "deploy", Data: counterCode})
	require.NoError(t, err)
	head, err := b.client.BlockNumber(t.Context())
	require.NoError(t, err)
	require.GreaterOrEqual(t, head, r.BlockNumber.Uint64()+2)
}

// stuck journals a call that bids too little to be mined.
func (b *bench) stuck(t *testing.T, counter common.Address, key string) entry {
	t.Helper()
	cfg := b.config()
	cfg.MaxFeePerGas = big.NewInt(1)
	m, err := New(t.Context(), cfg)
	require.NoError(t, err)
	e, err := m.begin(t.Context(), chain.Request{Key: key, To: &counter})
	require.NoError(t, err)
	require.NoError(t, m.Close())
	return e
}

func TestStuckTransactionIsReplaced(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	m, stop := start(t, b.config())
	counter := b.deploy(t, m)
	stop()
	b.stuck(t, counter, "call")
	cfg := b.config()
	cfg.StuckAfter, cfg.MaxFeePerGas = time.Second, big.NewInt(1e12)
	m, _ = start(t, cfg)
	_, err := m.Send(t.Context(), chain.Request{Key: "call", To: &counter})
	require.NoError(t, err)
	list, err := m.j.attempts(t.Context(), "call")
	require.NoError(t, err)
	require.Greater(t, len(list), 1)
	require.EqualValues(t, 1, b.count(t, counter))
}

// passes waits until the manager has looked at a number of further heads.
func (b *bench) passes(t *testing.T, m *Manager, heads uint64) {
	t.Helper()
	from, err := b.client.BlockNumber(t.Context())
	require.NoError(t, err)
	for {
		changed := m.changes()
		now, err := b.client.BlockNumber(t.Context())
		require.NoError(t, err)
		select {
		case <-changed:
		case <-t.Context().Done():
			t.Fatal("the manager does not look at the chain")
		}
		if now >= from+heads {
			return
		}
	}
}

func (b *bench) attempts(t *testing.T, m *Manager, key string) []attempt {
	t.Helper()
	list, err := m.j.attempts(t.Context(), key)
	require.NoError(t, err)
	return list
}

// TestOnlyTheFirstIsRaised queues three behind a bid that is never mined: only
// the first is made to pay more, and at the limit it stays as it is.
func TestOnlyTheFirstIsRaised(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	m, stop := start(t, b.config())
	counter := b.deploy(t, m)
	stop()
	for _, key := range []string{"first", "second", "third"} {
		b.stuck(t, counter, key)
	}
	cfg := b.config()
	cfg.StuckAfter, cfg.MaxFeePerGas = time.Millisecond, big.NewInt(3) // 1, then 3, then no more
	m, _ = start(t, cfg)
	require.Eventually(t, func() bool { return len(b.attempts(t, m, "first")) == 2 }, 2*time.Minute, 20*time.Millisecond)
	b.passes(t, m, 4)
	list := b.attempts(t, m, "first")
	require.Len(t, list, 2, "there is no third bid within the limit")
	require.EqualValues(t, 3, list[0].Tx.GasFeeCap().Int64())
	require.Len(t, b.attempts(t, m, "second"), 1)
	require.Len(t, b.attempts(t, m, "third"), 1)
	require.Zero(t, b.count(t, counter))
}

func TestLimitOfFees(t *testing.T) {
	t.Parallel()
	tx := func(tip, feeCap int64) *types.Transaction {
		return types.NewTx(&types.DynamicFeeTx{Gas: 10, Value: big.NewInt(5), GasTipCap: big.NewInt(tip), GasFeeCap: big.NewInt(feeCap)})
	}
	list := []attempt{{Tx: tx(8, 80)}, {Tx: tx(2, 20)}, {Tx: tx(1, 10)}}
	m := &Manager{}
	require.EqualValues(t, 10*limitFactor, m.limit(list).Int64(), "ten times the first bid")
	m.cfg.MaxFeePerGas = big.NewInt(7)
	require.EqualValues(t, 7, m.limit(list).Int64())

	market := fees{tip: big.NewInt(1), cap: big.NewInt(30)}
	f, ok := above(market, list[0].Tx, big.NewInt(100))
	require.True(t, ok)
	require.EqualValues(t, 91, f.cap.Int64(), "an eighth more and one")
	f, ok = above(market, list[2].Tx, big.NewInt(25))
	require.True(t, ok)
	require.EqualValues(t, 25, f.cap.Int64(), "the market asks more than the limit")
	_, ok = above(market, list[0].Tx, big.NewInt(90))
	require.False(t, ok, "a pool would not take it")

	for balance, want := range map[int64]int64{1000: 80, 804: 20, 205: 20, 204: 10, 0: 80} {
		require.Equal(t, want, affordable(list, big.NewInt(balance)).Tx.GasFeeCap().Int64(), balance)
	}
}

// TestReceiptOfAReorganisedBlock has the chain lose a block and include its
// transaction again in another before the manager looks.
func TestReceiptOfAReorganisedBlock(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	m, stop := start(t, b.config())
	counter := b.deploy(t, m)
	call := chain.Request{Key: "call", To: &counter}
	first, err := m.Send(t.Context(), call)
	require.NoError(t, err)
	again := b.attempts(t, m, "call")[0].Tx
	stop()
	b.reorg(t, first.BlockNumber.Uint64())
	b.foreign(t, again.Nonce()+1, common.Address{1}, again)
	m, _ = start(t, b.config())
	require.Eventually(t, func() bool {
		r, err := m.Send(t.Context(), call)
		return err == nil && r.BlockHash != first.BlockHash
	}, 2*time.Minute, 50*time.Millisecond)
	r, err := m.Send(t.Context(), call)
	require.NoError(t, err)
	stands, err := b.client.BlockRef(t.Context(), r.BlockNumber)
	require.NoError(t, err)
	require.Equal(t, stands.Hash, r.BlockHash)
	require.EqualValues(t, 1, b.count(t, counter))
}

// foreign sends a transaction of the same account past the manager, after those
// given, and waits until it is mined.
func (b *bench) foreign(t *testing.T, nonce uint64, to common.Address, before ...*types.Transaction) {
	t.Helper()
	for _, tx := range before {
		require.NoError(t, b.client.SendTransaction(t.Context(), tx))
	}
	id := new(big.Int).SetUint64(b.client.ID())
	tx, err := types.SignNewTx(b.key, types.LatestSignerForChainID(id), &types.DynamicFeeTx{
		ChainID: id, Nonce: nonce, To: &to, Gas: 100_000, GasTipCap: big.NewInt(1e9), GasFeeCap: big.NewInt(1e10),
	})
	require.NoError(t, err)
	require.NoError(t, b.client.SendTransaction(t.Context(), tx))
	require.Eventually(t, func() bool {
		_, err := b.client.TransactionReceipt(t.Context(), tx.Hash())
		return err == nil
	}, 2*time.Minute, 20*time.Millisecond)
}

func TestNonceTakenBySomebodyElse(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	m, stop := start(t, b.config())
	counter := b.deploy(t, m)
	stop()
	e := b.stuck(t, counter, "call")
	b.foreign(t, e.Nonce, common.Address{1})
	m, _ = start(t, b.config())
	_, err := m.Send(t.Context(), chain.Request{Key: "call", To: &counter})
	require.NoError(t, err)
	require.EqualValues(t, 1, b.count(t, counter))
}

// TestGapOfALostForeignTransaction: the chain loses a transaction that the
// journal does not know and that ours queue behind.
func TestGapOfALostForeignTransaction(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.foreign(t, 0, common.Address{1})
	m, _ := start(t, b.config())
	counter := b.deploy(t, m)
	_, err := m.Send(t.Context(), chain.Request{Key: "call", To: &counter})
	require.NoError(t, err)
	b.reorg(t, 1)
	require.Eventually(t, func() bool {
		code, err := b.client.CodeAt(t.Context(), counter, nil)
		return err == nil && len(code) > 0 && b.count(t, counter) == 1
	}, 2*time.Minute, 100*time.Millisecond)
}

func TestSharedJournal(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	first, _ := start(t, b.config())
	second, _ := start(t, b.config())
	counter := b.deploy(t, first)
	var g errgroup.Group
	for i := range 20 {
		for _, m := range []*Manager{first, second} {
			g.Go(func() error {
				_, err := m.Send(t.Context(), chain.Request{Key: fmt.Sprint(i), To: &counter})
				return err
			})
		}
	}
	require.NoError(t, g.Wait())
	require.EqualValues(t, 20, b.count(t, counter))
}

func TestConfigRefused(t *testing.T) {
	t.Parallel()
	_, err := New(t.Context(), Config{})
	require.ErrorContains(t, err, "Client")
	_, err = New(t.Context(), Config{Client: &chain.Client{}})
	require.ErrorContains(t, err, "DB")
	_, err = New(t.Context(), Config{Client: &chain.Client{}, DB: "x"})
	require.ErrorContains(t, err, "Key")
}
