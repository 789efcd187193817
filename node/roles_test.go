package node

import (
	"context"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestWaitingForTheChainTellsNoKey waits for an endpoint that is away and reads
// what is logged meanwhile.
func TestWaitingForTheChainTellsNoKey(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	log := &told{tell: cancel}
	g := &group{opts: RoleOptions{Logger: slog.New(slog.NewTextHandler(log, nil))}}
	_, err := dialChain(ctx, g, "http://s3cret:s3cret@127.0.0.1:1/v3/s3cret?key=s3cret")
	require.ErrorIs(t, err, context.Canceled)
	require.Contains(t, log.String(), "http://127.0.0.1:1")
	require.NotContains(t, log.String()+err.Error(), "s3cret")
}
