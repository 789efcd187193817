package node

import (
	"errors"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gristmill-zk/gristmill/chain"
)

// TestConfirmationsReachTheTransactions sends from a role that waits for two
// more blocks while another, which does not wait, has blocks made.
func TestConfirmationsReachTheTransactions(t *testing.T) {
	t.Parallel()
	dir, err := OpenDataDir(t.TempDir())
	require.NoError(t, err)
	opts := RoleOptions{Dir: dir, Logger: slog.New(slog.DiscardHandler)}
	opts.defaults()
	quick := &group{opts: opts}
	t.Cleanup(func() { require.NoError(t, quick.end()) })
	ring, err := newOwnKeyring(dir, opts.Password)
	require.NoError(t, err)
	net, err := startDevnet(t.Context(), quick, ring, "127.0.0.1:0", 0, nil)
	require.NoError(t, err)
	client, err := dialChain(t.Context(), quick, net.URL())
	require.NoError(t, err)

	opts.Confirmations = 2
	careful := &group{opts: opts}
	t.Cleanup(func() { require.NoError(t, careful.end()) })
	slow, err := startSender(t.Context(), careful, client, ring, keyOwner)
	require.NoError(t, err)
	fast, err := startSender(t.Context(), quick, client, ring, keyProver)
	require.NoError(t, err)

	to := fast.Address()
	done := make(chan error, 1)
	go func() {
		receipt, err := slow.Send(t.Context(), chain.Request{Key: "slow", To: &to})
		if err == nil {
			var head uint64
			if head, err = client.BlockNumber(t.Context()); err == nil && head < receipt.BlockNumber.Uint64()+2 {
				err = errTooEarly
			}
		}
		done <- err
	}()
	for sent := 0; ; sent++ {
		select {
		case err := <-done:
			require.NoError(t, err)
			require.GreaterOrEqual(t, sent, 2)
			return
		default:
		}
		_, err := fast.Send(t.Context(), chain.Request{Key: intent("block"), To: &to})
		require.NoError(t, err)
	}
}

var errTooEarly = errors.New("believed before two blocks followed")
