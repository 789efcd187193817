package node

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gristmill-zk/gristmill/wire"
)

// TestDemo runs the whole way twice on one data directory: real chain, proof of
// work, plugin, proofs and contracts; the second run goes on where the first
// ended.
func TestDemo(t *testing.T) {
	if testing.Short() {
		t.Skip("runs for about a minute")
	}
	t.Parallel()
	dir, err := OpenDataDir(t.TempDir())
	require.NoError(t, err)
	run := func(tasks, blocks int) (DemoResult, string) {
		var out bytes.Buffer
		opts := DemoOptions{RoleOptions: RoleOptions{Dir: dir, Out: &out, Logger: slog.New(slog.DiscardHandler)}, LocalOptions: DemoLocal(), Tasks: tasks, Blocks: blocks}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
		defer cancel()
		result, err := Demo(ctx, opts)
		require.NoError(t, err, out.String())
		return result, out.String()
	}
	first, out := run(2, 10)
	require.True(t, first.AuditOK, out)
	require.Equal(t, 8, first.Messages)
	require.Equal(t, 2, first.Settled)
	require.GreaterOrEqual(t, first.Tasks, 2)
	require.GreaterOrEqual(t, first.Blocks, 10)
	require.Contains(t, out, "\n1      ", "the first block is mined before the devices are ready, and belongs to the run")
	require.Len(t, first.Proofs, 2)
	require.Equal(t, "17.6", first.ProverReward, "two tasks at 10, less 10 %% and 2 %%")
	for _, p := range first.Proofs {
		require.Equal(t, "cpu", p.Engine)
		require.NotEqual(t, wire.Hash{}, p.TxHash)
		require.Positive(t, p.GasUsed)
		require.Positive(t, p.ProveMS)
	}
	require.Contains(t, out, "1e1fffff", "the first block's bits")
	require.True(t, bitsMoved(out), out)

	_, err = os.Stat(dir.Path("node.json"))
	require.ErrorIs(t, err, fs.ErrNotExist)
	_, err = LoadInfo(dir)
	require.True(t, errors.Is(err, ErrNotRunning))

	second, out := run(1, 1)
	require.True(t, second.AuditOK, out)
	require.Equal(t, 1, second.Settled)
	require.NotContains(t, out, "deploying")
	require.NotContains(t, out, "compiling")
	require.NotContains(t, out, "\n1      ", "the second run's table does not start at block 1")
}

// bitsMoved says whether the table of blocks shows more than one difficulty.
func bitsMoved(out string) bool {
	_, table, _ := strings.Cut(out, "BLOCK  HASH")
	seen := map[string]bool{}
	for line := range strings.SplitSeq(table, "\n") {
		if fields := strings.Fields(line); len(fields) == 7 && len(fields[2]) == 8 {
			seen[fields[2]] = true
		}
	}
	return len(seen) > 1
}
