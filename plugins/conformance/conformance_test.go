package conformance_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/gristmill-zk/gristmill/plugins/bundle"
	"github.com/gristmill-zk/gristmill/plugins/conformance"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const example = "../examples/node"

func build(t *testing.T, cfg bundle.BuildConfig) *bundle.Bundle {
	t.Helper()
	cfg.OutDir, cfg.AllowInsecure, cfg.Logger = t.TempDir(), true, slog.New(slog.DiscardHandler)
	b, err := bundle.Build(t.Context(), cfg)
	require.NoError(t, err)
	return b
}

// first is the circuit of the example in Go or in JavaScript.
func first(b *bundle.Bundle) conformance.Plugin {
	return conformance.Plugin{Bundle: b, Good: [][]byte{{42, 1}}, Wrong: [][][]byte{{{}}}}
}

func requirePasses(t *testing.T, p conformance.Plugin) {
	t.Helper()
	results, err := conformance.Run(t.Context(), p)
	require.NoError(t, err)
	require.NoError(t, conformance.Failed(results))
	require.Len(t, results, 8)
}

func TestPluginOfTheSDK(t *testing.T) {
	if testing.Short() {
		t.Skip("builds a plugin")
	}
	t.Parallel()
	requirePasses(t, first(build(t, bundle.BuildConfig{Source: filepath.Join(example, "circuit")})))
}

func TestPluginInNode(t *testing.T) {
	if testing.Short() {
		t.Skip("builds a plugin")
	}
	t.Parallel()
	require.DirExists(t, filepath.Join(example, "node_modules"), "scripts/deps.sh installs them")
	out := t.TempDir()
	said, err := exec.CommandContext(t.Context(), "node", filepath.Join(example, "build.js"), out).CombinedOutput()
	require.NoError(t, err, string(said))
	requirePasses(t, first(build(t, bundle.BuildConfig{Binary: filepath.Join(out, "first")})))
}

// The plugin of the host's tests does not end with its host.
func TestMisbehaviourIsNamed(t *testing.T) {
	if testing.Short() {
		t.Skip("builds a plugin")
	}
	t.Parallel()
	b := build(t, bundle.BuildConfig{Source: filepath.Join("..", "internal", "faulty", "cmd")})
	failed := func(p conformance.Plugin) map[string]string {
		p.Bundle = b
		results, err := conformance.Run(t.Context(), p)
		require.NoError(t, err)
		found := map[string]string{}
		for _, r := range results {
			if r.Err != nil {
				found[r.Name] = r.Err.Error()
			}
		}
		return found
	}
	found := failed(conformance.Plugin{Good: [][]byte{{0}}})
	require.Equal(t, map[string]string{"ends with its standard input": "the process still runs 5s later"}, found)
}

func TestWhatFailedIsJoined(t *testing.T) {
	t.Parallel()
	_, err := conformance.Run(context.Background(), conformance.Plugin{})
	require.ErrorContains(t, err, "Good")
	require.NoError(t, conformance.Failed([]conformance.Result{{Name: "a"}}))
	require.ErrorContains(t, conformance.Failed([]conformance.Result{{Name: "a", Err: fmt.Errorf("b: %w", os.ErrClosed)}}), "a: b")
}
