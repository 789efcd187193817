package devnet

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"log/slog"
	"math/big"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/ethclient"
	"github.com/stretchr/testify/require"

	"github.com/gristmill-zk/gristmill/internal/failpoint"
)

func start(t *testing.T, cfg Config) *Devnet {
	t.Helper()
	if cfg.Alloc == nil {
		cfg.Alloc = alloc()
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	d, err := Start(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, d.Close()) })
	return d
}

func dial(t *testing.T, url string) *ethclient.Client {
	t.Helper()
	c, err := ethclient.Dial(url)
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c
}

// pay sends one wei from the payer to a fresh account.
func pay(t *testing.T, c *ethclient.Client, nonce uint64) (*types.Transaction, common.Address) {
	t.Helper()
	to := common.BigToAddress(new(big.Int).SetUint64(0x1000_0000 + nonce))
	tx, err := types.SignNewTx(payer, types.LatestSignerForChainID(big.NewInt(DefaultChainID)), &types.DynamicFeeTx{
		ChainID: big.NewInt(DefaultChainID), Nonce: nonce, To: &to, Value: big.NewInt(1), Gas: 21000,
		GasTipCap: big.NewInt(1e6), GasFeeCap: big.NewInt(3e9),
	})
	require.NoError(t, err)
	require.NoError(t, c.SendTransaction(t.Context(), tx))
	return tx, to
}

func awaitReceipt(t *testing.T, c *ethclient.Client, h common.Hash) *types.Receipt {
	t.Helper()
	var r *types.Receipt
	require.Eventually(t, func() bool {
		var err error
		r, err = c.TransactionReceipt(t.Context(), h)
		return err == nil
	}, time.Minute, 20*time.Millisecond)
	return r
}

func TestSealsPendingOncePerSecondByTheClock(t *testing.T) {
	t.Parallel()
	began := time.Now()
	d := start(t, Config{DataDir: t.TempDir()})
	t.Logf("started in %s", time.Since(began))
	c := dial(t, d.URL())
	last := uint64(0)
	for nonce := range uint64(3) {
		sent := time.Now().Unix()
		tx, _ := pay(t, c, nonce)
		r := awaitReceipt(t, c, tx.Hash())
		h, err := c.HeaderByHash(t.Context(), r.BlockHash)
		require.NoError(t, err)
		require.Greater(t, h.Time, last)
		require.GreaterOrEqual(t, int64(h.Time), sent-1, "a block under way may take it in")
		require.LessOrEqual(t, int64(h.Time), time.Now().Unix()+1)
		last = h.Time
	}
	n, err := c.BlockNumber(t.Context())
	require.NoError(t, err)
	require.LessOrEqual(t, n, uint64(time.Since(began)/time.Second)+2)
}

func TestSealsEmptyBlocks(t *testing.T) {
	t.Parallel()
	d := start(t, Config{DataDir: t.TempDir(), EmptyAfter: time.Second})
	c := dial(t, d.URL())
	require.Eventually(t, func() bool {
		n, err := c.BlockNumber(t.Context())
		return err == nil && n >= 2
	}, time.Minute, 50*time.Millisecond)
}

func TestConfigRefused(t *testing.T) {
	t.Parallel()
	for name, cfg := range map[string]Config{
		"DataDir":  {},
		"HTTPAddr": {DataDir: t.TempDir(), HTTPAddr: "0.0.0.0:0"},
		"Alloc":    {DataDir: t.TempDir(), Alloc: map[common.Address]*big.Int{{}: nil}},
	} {
		_, err := Start(t.Context(), cfg)
		require.ErrorContains(t, err, name)
	}
}

func TestPortInUse(t *testing.T) {
	t.Parallel()
	first := start(t, Config{DataDir: t.TempDir()})
	dir := t.TempDir()
	_, err := Start(t.Context(), Config{DataDir: dir, Alloc: alloc(), HTTPAddr: strings.TrimPrefix(first.URL(), "http://")})
	require.ErrorContains(t, err, "address already in use")
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, first.URL(), strings.NewReader("{}"))
	require.NoError(t, err)
	r.Host = "rebound.example"
	answer, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	require.NoError(t, answer.Body.Close())
	require.Equal(t, http.StatusForbidden, answer.StatusCode)
	start(t, Config{DataDir: dir}) // and the directory is free again
}

func TestStartCancelled(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d := start(t, Config{DataDir: dir})
	c := dial(t, d.URL())
	tx, _ := pay(t, c, 0)
	awaitReceipt(t, c, tx.Hash())
	require.NoError(t, d.Close())
	require.NoError(t, os.RemoveAll(filepath.Join(dir, "evm", "chaindata")))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := Start(ctx, Config{DataDir: dir, Logger: slog.New(slog.DiscardHandler)})
	require.ErrorIs(t, err, context.Canceled)
	c = dial(t, start(t, Config{DataDir: dir}).URL())
	awaitReceipt(t, c, tx.Hash())
}

func TestPinnedGenesis(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d := start(t, Config{DataDir: dir})
	_, err := Start(t.Context(), Config{DataDir: dir, Alloc: alloc()})
	require.Error(t, err, "two nodes on one directory")
	require.NoError(t, d.Close())

	more := alloc()
	more[payerAddr] = big.NewInt(2)
	_, err = Start(t.Context(), Config{DataDir: dir, Alloc: more})
	require.ErrorContains(t, err, payerAddr.Hex())
	more = alloc()
	more[common.Address{9}] = big.NewInt(2)
	_, err = Start(t.Context(), Config{DataDir: dir, Alloc: more})
	require.ErrorContains(t, err, common.Address{9}.Hex())
	_, err = Start(t.Context(), Config{DataDir: dir, ChainID: 5})
	require.ErrorContains(t, err, "chain id")
	start(t, Config{DataDir: dir})
}

func TestReorgSurvivesARestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d := start(t, Config{DataDir: dir})
	c := dial(t, d.URL())
	tx, to := pay(t, c, 0)
	awaitReceipt(t, c, tx.Hash())
	require.NoError(t, d.Reorg(1))
	_, err := c.TransactionReceipt(t.Context(), tx.Hash())
	require.Error(t, err)
	head, err := c.HeaderByNumber(t.Context(), nil)
	require.NoError(t, err)
	require.NoError(t, d.Close())

	c = dial(t, start(t, Config{DataDir: dir}).URL())
	again, err := c.HeaderByNumber(t.Context(), nil)
	require.NoError(t, err)
	require.Equal(t, head.Hash(), again.Hash())
	balance, err := c.BalanceAt(t.Context(), to, nil)
	require.NoError(t, err)
	require.Zero(t, balance.Sign())
}

type child struct {
	cmd *exec.Cmd
	url string
}

func startChild(t *testing.T, dir string, env ...string) *child {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(append(os.Environ(), childDir+"="+dir), env...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { _, _ = cmd.Process.Kill(), cmd.Wait() })
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	return &child{cmd: cmd, url: strings.TrimSpace(line)}
}

func (c *child) kill(t *testing.T) {
	t.Helper()
	require.NoError(t, c.cmd.Process.Kill())
	_ = c.cmd.Wait()
}

// TestKilledMidTraffic kills the chain under load several times: whatever a
// client has seen in a block is there afterwards.
func TestKilledMidTraffic(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	seen := map[common.Hash]common.Hash{} // transaction to block
	paid := map[common.Address]bool{}
	nonce := uint64(0)
	for round := range 4 {
		p := startChild(t, dir)
		c := dial(t, p.url)
		for tx, block := range seen {
			r, err := c.TransactionReceipt(t.Context(), tx)
			require.NoError(t, err, "round %d", round)
			require.Equal(t, block, r.BlockHash)
		}
		var err error
		nonce, err = c.NonceAt(t.Context(), payerAddr, nil)
		require.NoError(t, err)
		require.GreaterOrEqual(t, nonce, uint64(len(seen)))
		for range 2 {
			tx, to := pay(t, c, nonce)
			nonce++
			r := awaitReceipt(t, c, tx.Hash())
			seen[tx.Hash()], paid[to] = r.BlockHash, true
		}
		pay(t, c, nonce) // may or may not make it
		deadline := time.After(time.Duration(rand.IntN(1200)) * time.Millisecond)
		<-deadline
		p.kill(t)
	}

	d := start(t, Config{DataDir: dir})
	c := dial(t, d.URL())
	for to := range paid {
		balance, err := c.BalanceAt(t.Context(), to, nil)
		require.NoError(t, err)
		require.Equal(t, "1", balance.String())
	}
	d.sealing.Lock()
	defer d.sealing.Unlock()
	for _, r := range d.log.records {
		h, err := c.HeaderByNumber(t.Context(), new(big.Int).SetUint64(r.number))
		require.NoError(t, err)
		require.Equal(t, r.hash, h.Hash())
	}
}

// TestDatabaseLost takes go-ethereum's database away: the log is enough.
func TestDatabaseLost(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d := start(t, Config{DataDir: dir})
	c := dial(t, d.URL())
	tx, to := pay(t, c, 0)
	r := awaitReceipt(t, c, tx.Hash())
	require.NoError(t, d.Close())
	require.NoError(t, os.RemoveAll(filepath.Join(dir, "evm", "chaindata")))

	c = dial(t, start(t, Config{DataDir: dir}).URL())
	again := awaitReceipt(t, c, tx.Hash())
	require.Equal(t, r.BlockHash, again.BlockHash)
	balance, err := c.BalanceAt(t.Context(), to, nil)
	require.NoError(t, err)
	require.Equal(t, "1", balance.String())
}

// TestLogCutShort gives the database a block more than the log has.
func TestLogCutShort(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d := start(t, Config{DataDir: dir})
	c := dial(t, d.URL())
	first, _ := pay(t, c, 0)
	kept := awaitReceipt(t, c, first.Hash())
	second, _ := pay(t, c, 1)
	awaitReceipt(t, c, second.Hash())
	require.NoError(t, d.Close())
	path := filepath.Join(dir, "blocks.log")
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.NoError(t, os.Truncate(path, info.Size()-3))

	var logged bytes.Buffer
	d = start(t, Config{DataDir: dir, Logger: slog.New(slog.NewTextHandler(&logged, &slog.HandlerOptions{Level: slog.LevelWarn}))})
	require.Contains(t, logged.String(), "torn record")
	c = dial(t, d.URL())
	head, err := c.HeaderByNumber(t.Context(), nil)
	require.NoError(t, err)
	require.Equal(t, kept.BlockHash, head.Hash())
	_ = c.SendTransaction(t.Context(), second) // the reorganisation may have put it back already
	awaitReceipt(t, c, second.Hash())
}

func testBlocks(n int) []*types.Block {
	var blocks []*types.Block
	parent := common.Hash{1}
	for i := range n {
		tx := types.NewTx(&types.LegacyTx{Nonce: uint64(i), Data: bytes.Repeat([]byte{byte(i)}, 50)})
		b := types.NewBlockWithHeader(&types.Header{Number: big.NewInt(int64(i + 1)), ParentHash: parent, Difficulty: new(big.Int)}).
			WithBody(types.Body{Transactions: types.Transactions{tx}})
		parent = b.Hash()
		blocks = append(blocks, b)
	}
	return blocks
}

func writeLog(t *testing.T, blocks []*types.Block) (string, []byte) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "blocks.log")
	l, err := openLog(path, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	for _, b := range blocks {
		require.NoError(t, l.append(b))
	}
	require.NoError(t, l.close())
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	return path, data
}

func TestLogRefusesEveryFlippedByteButTheLastRecords(t *testing.T) {
	t.Parallel()
	blocks := testBlocks(3)
	path, data := writeLog(t, blocks)
	l, err := openLog(path, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	lastAt := int(l.records[2].offset) - recordHeader
	require.NoError(t, l.close())
	for i := range data {
		bad := bytes.Clone(data)
		bad[i] ^= 1 << (i % 8)
		require.NoError(t, os.WriteFile(path, bad, 0o600))
		l, err := openLog(path, slog.New(slog.DiscardHandler))
		if i < lastAt {
			require.Error(t, err, "byte %d", i)
			if i >= len(logTitle) {
				require.ErrorContains(t, err, "record ", "byte %d", i)
			}
			continue
		}
		require.NoError(t, err, "byte %d", i)
		require.Len(t, l.records, 2)
		require.NoError(t, l.close())
	}
}

func TestLogCutsATornTailAtEveryByte(t *testing.T) {
	t.Parallel()
	blocks := testBlocks(2)
	path, data := writeLog(t, blocks)
	l, err := openLog(path, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	first := l.records[0].end()
	require.NoError(t, l.close())
	for size := range len(data) {
		require.NoError(t, os.WriteFile(path, data[:size], 0o600))
		l, err := openLog(path, slog.New(slog.DiscardHandler))
		require.NoError(t, err, "size %d", size)
		want := 0
		if int64(size) >= first {
			want = 1
		}
		require.Len(t, l.records, want, "size %d", size)
		for _, b := range blocks[want:] {
			require.NoError(t, l.append(b))
		}
		_, err = l.file.Seek(0, io.SeekStart)
		require.NoError(t, err)
		whole, err := io.ReadAll(l.file)
		require.NoError(t, err)
		require.Equal(t, data, whole, "size %d", size)
		require.NoError(t, l.close())
	}
}

func TestFullBlockOfManySenders(t *testing.T) {
	t.Parallel()
	rich := map[common.Address]*big.Int{}
	keys := 60
	d := (*Devnet)(nil)
	for i := range keys {
		k, err := crypto.ToECDSA(common.BigToHash(big.NewInt(int64(i + 1))).Bytes())
		require.NoError(t, err)
		rich[crypto.PubkeyToAddress(k.PublicKey)] = big.NewInt(1e18)
	}
	d = start(t, Config{DataDir: t.TempDir(), Alloc: rich})
	c := dial(t, d.URL())
	var last common.Hash
	for i := range keys {
		k, err := crypto.ToECDSA(common.BigToHash(big.NewInt(int64(i + 1))).Bytes())
		require.NoError(t, err)
		tx, err := types.SignNewTx(k, types.LatestSignerForChainID(big.NewInt(DefaultChainID)), &types.DynamicFeeTx{
			ChainID: big.NewInt(DefaultChainID), To: &common.Address{7}, Value: big.NewInt(1), Gas: 21000,
			GasTipCap: big.NewInt(1e6), GasFeeCap: big.NewInt(3e9),
		})
		require.NoError(t, err)
		require.NoError(t, c.SendTransaction(t.Context(), tx))
		last = tx.Hash()
	}
	awaitReceipt(t, c, last)
	require.Eventually(t, func() bool {
		b, err := c.BalanceAt(t.Context(), common.Address{7}, nil)
		return err == nil && b.Cmp(big.NewInt(int64(keys))) == 0
	}, time.Minute, 50*time.Millisecond)
}

// TestKilledAtEveryFailpoint: what was seen is there after a death at any
// moment of sealing, and sealing goes on.
func TestKilledAtEveryFailpoint(t *testing.T) {
	t.Parallel()
	if !failpoint.Enabled {
		t.Skip("built without the tag failpoints")
	}
	var names []string
	for _, file := range []string{"log.go", "seal.go"} {
		source, err := os.ReadFile(file)
		require.NoError(t, err)
		for _, m := range regexp.MustCompile(`failpoint\.Hit\("([^"]+)"\)`).FindAllStringSubmatch(string(source), -1) {
			names = append(names, m[1])
		}
	}
	require.Len(t, names, 4)
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			p := startChild(t, dir, "GRISTMILL_FAILPOINT="+name+":2")
			c := dial(t, p.url)
			tx, _ := pay(t, c, 0)
			seen := awaitReceipt(t, c, tx.Hash())
			next, to := pay(t, c, 1)
			require.Error(t, p.cmd.Wait(), "the failpoint was not reached")

			c = dial(t, start(t, Config{DataDir: dir}).URL())
			again := awaitReceipt(t, c, tx.Hash())
			require.Equal(t, seen.BlockHash, again.BlockHash)
			_ = c.SendTransaction(t.Context(), next) // it may have made it
			awaitReceipt(t, c, next.Hash())
			balance, err := c.BalanceAt(t.Context(), to, nil)
			require.NoError(t, err)
			require.Equal(t, "1", balance.String())
		})
	}
}
