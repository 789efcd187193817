package txmgr

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/stretchr/testify/require"

	"github.com/gristmill-zk/gristmill/chain"
	"github.com/gristmill-zk/gristmill/internal/failpoint"
)

// The test binary with childURL set sends calls and ends.
const (
	childURL     = "GRISTMILL_TXMGR_CHILD_URL"
	childDB      = "GRISTMILL_TXMGR_CHILD_DB"
	childCalls   = "GRISTMILL_TXMGR_CHILD_CALLS"
	childCounter = "GRISTMILL_TXMGR_CHILD_COUNTER"
	childForget  = "GRISTMILL_TXMGR_CHILD_FORGET"
)

var childKey, _ = crypto.HexToECDSA("00000000000000000000000000000000000000000000000000000000000000b2")

func runChildIfAsked() bool {
	if os.Getenv(childURL) == "" {
		return false
	}
	if err := runChild(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	return true
}

func runChild(ctx context.Context) error {
	client, err := chain.Dial(ctx, os.Getenv(childURL))
	if err != nil {
		return err
	}
	m, err := New(ctx, Config{Client: client, DB: os.Getenv(childDB), Key: childKey,
		Logger: slog.New(slog.DiscardHandler), StuckAfter: time.Second, MaxFeePerGas: big.NewInt(1e12)})
	if err != nil {
		return err
	}
	go func() { _ = m.Run(ctx, func() {}) }()
	calls, err := strconv.Atoi(os.Getenv(childCalls))
	if err != nil {
		return err
	}
	counter := common.HexToAddress(os.Getenv(childCounter))
	if key := os.Getenv(childForget); key != "" {
		if err := m.Forget(ctx, key); err != nil {
			return err
		}
	}
	for i := range calls {
		if _, err := m.Send(ctx, chain.Request{Key: fmt.Sprint("call/", i), To: &counter}); err != nil {
			return err
		}
	}
	return nil
}

// prepare brings the chain and the journal to where the failpoint is reached
// by a child that then makes the calls "call/0" and so on; it says how many.
func (b *bench) prepare(t *testing.T, what string, counter common.Address, child func(failpoint string, calls int) error) int {
	t.Helper()
	switch what {
	case "bump":
		b.stuck(t, counter, "call/0")
	case "move":
		b.foreign(t, b.stuck(t, counter, "call/0").Nonce, common.Address{1})
	case "reopen":
		require.NoError(t, child("", 2))
		b.reorg(t, b.lastFull(t))
		return 3 // so that the child stays until the lost one is back
	case "forget": // what failed goes, and its key may be used for a good call
		m, stop := start(t, b.config())
		_, err := m.Send(t.Context(), chain.Request{Key: "call/0", To: &counter, Data: []byte{1}, Gas: 100_000})
		require.ErrorIs(t, err, chain.ErrReverted)
		stop()
	case "gap":
		before, err := b.client.BlockNumber(t.Context())
		require.NoError(t, err)
		b.foreign(t, 1, common.Address{1})
		require.NoError(t, child("", 1))
		b.reorg(t, before+1)
	}
	return 2
}

// lastFull is the number of the last block with transactions.
func (b *bench) lastFull(t *testing.T) uint64 {
	t.Helper()
	number, err := b.client.BlockNumber(t.Context())
	require.NoError(t, err)
	for {
		block, err := b.client.BlockByNumber(t.Context(), new(big.Int).SetUint64(number))
		require.NoError(t, err)
		if len(block.Transactions()) > 0 {
			return number
		}
		number--
	}
}

// TestKilledAtEveryFailpoint: the calls are made once each whatever moment the
// process dies at.
func TestKilledAtEveryFailpoint(t *testing.T) {
	t.Parallel()
	if !failpoint.Enabled {
		t.Skip("built without the tag failpoints")
	}
	names := failpointsIn(t, "journal.go", "send.go")
	require.Len(t, names, 16)
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBenchFor(t, childKey)
			m, stop := start(t, b.config())
			counter := b.deploy(t, m)
			stop()
			child := func(failpoint string, calls int) error {
				cmd := exec.Command(os.Args[0])
				cmd.Env = append(os.Environ(), childURL+"="+b.net.URL(), childDB+"="+b.config().DB,
					childCounter+"="+counter.Hex(), childCalls+"="+strconv.Itoa(calls), "GRISTMILL_FAILPOINT="+failpoint)
				if strings.Contains(name, ".forget.") {
					cmd.Env = append(cmd.Env, childForget+"=call/0")
				}
				cmd.Stderr = os.Stderr
				return cmd.Run()
			}
			calls := b.prepare(t, strings.Split(name, ".")[1], counter, child)
			var exit *exec.ExitError
			require.True(t, errors.As(child(name, calls), &exit), "the failpoint was not reached")
			require.Equal(t, syscall.SIGKILL, exit.Sys().(syscall.WaitStatus).Signal())
			require.NoError(t, child("", calls))
			b.eventually(t, counter, int64(calls))
		})
	}
}

// failpointsIn lists the names from the source, so that none goes untested.
func failpointsIn(t *testing.T, files ...string) []string {
	t.Helper()
	var names []string
	for _, file := range files {
		source, err := os.ReadFile(file)
		require.NoError(t, err)
		for _, m := range regexp.MustCompile(`failpoint\.Hit\("([^"]+)"\)`).FindAllStringSubmatch(string(source), -1) {
			names = append(names, m[1])
		}
	}
	return names
}
