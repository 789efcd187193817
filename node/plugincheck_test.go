package node

import (
	"context"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A circuit with a gnark commitment goes the whole way: keys, a plugin that asks
// the host for its commitment, a proof by the engine, and the contracts on an
// EVM.
func TestCheckOfAPluginWithACommitment(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles a plugin")
	}
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	const committing = 3 // the batch size for which this plugin has a commitment and breaks no rule
	report, err := CheckPlugin(ctx, CheckOptions{
		PluginSource: PluginSource{Source: filepath.Join("..", "plugins", "internal", "faulty", "cmd"), BatchSize: committing},
		Bundles:      t.TempDir(), NoTests: true, Logger: slog.New(slog.DiscardHandler),
	})
	require.NoError(t, err)
	require.True(t, report.OK)
	var steps []string
	for _, step := range report.Steps {
		steps = append(steps, step.Name)
	}
	require.Equal(t, []string{"bundle", "protocol", "solve", "wrong messages", "prove", "verify", "contracts"}, steps)
	t.Log(report)
}
