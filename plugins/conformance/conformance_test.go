package conformance_test

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"golang.org/x/sync/errgroup"

	"github.com/gristmill-zk/gristmill/plugins/bundle"
	"github.com/gristmill-zk/gristmill/plugins/conformance"
	"github.com/gristmill-zk/gristmill/plugins/internal/faulty"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		_ = os.RemoveAll(faultyDir)
		os.Exit(code)
	}))
}

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

// faultyPlugin is the executable of the host's tests, built with its circuit
// that uses no commitment.
var faultyPlugin = sync.OnceValues(func() (*bundle.Bundle, error) {
	dir, err := os.MkdirTemp("", "gm-conf-test-")
	if err != nil {
		return nil, err
	}
	faultyDir = dir
	return bundle.Build(context.Background(), bundle.BuildConfig{
		Source: filepath.Join("..", "internal", "faulty", "cmd"), OutDir: dir, AllowInsecure: true, Logger: slog.New(slog.DiscardHandler),
	})
})

// faultyDir is where it lies; TestMain removes it.
var faultyDir string

func faultyOf(t *testing.T, batch int) *bundle.Bundle {
	t.Helper()
	if testing.Short() {
		t.Skip("builds a plugin")
	}
	b, err := faultyPlugin()
	require.NoError(t, err)
	if batch == 1 {
		return b
	}
	path, err := b.Path(bundle.PartPlugin)
	require.NoError(t, err)
	return build(t, bundle.BuildConfig{Binary: path, BatchSize: batch})
}

// found runs the suite over the faulty plugin, whose tasks have this mode, and
// says what it found.
func found(t *testing.T, b *bundle.Bundle, m faulty.Mode) (map[string]string, error) {
	t.Helper()
	results, err := conformance.Run(t.Context(), conformance.Plugin{Bundle: b, Good: [][]byte{{byte(m)}}})
	failed := map[string]string{}
	for _, r := range results {
		if r.Err != nil {
			failed[r.Name] = r.Err.Error()
		}
	}
	return failed, err
}

// goesOn is what the plugin of the host's tests does always: it does not end
// with its host.
var goesOn = map[string]string{"ends with its standard input": "the process still runs 5s later"}

func TestMisbehaviourIsNamed(t *testing.T) {
	t.Parallel()
	got, err := found(t, faultyOf(t, 1), faulty.Honest)
	require.NoError(t, err)
	require.Equal(t, goesOn, got)
}

// A circuit of the SDK's with a commitment, whose answer differs each time.
func TestPluginWithACommitment(t *testing.T) {
	t.Parallel()
	b := faultyOf(t, faulty.Conforming)
	require.EqualValues(t, 1, b.Manifest.Circuit.Commitments)
	requirePasses(t, conformance.Plugin{Bundle: b, Good: [][]byte{{42}, {}, {7}}, Wrong: [][][]byte{{{byte(faulty.Unsatisfied)}}}})
}

func TestMisbehaviourAboutACommitmentIsNamed(t *testing.T) {
	t.Parallel()
	none, one := faultyOf(t, 1), faultyOf(t, faulty.Committing)
	const solve, again, after, drain = "solve", "solve again, with another ticket", "refuses what is wrong, and goes on", "refuses while draining"
	always := []string{solve, again, after}
	var all errgroup.Group // each waits for the plugin's end, and needs little of the machine
	for _, test := range []struct {
		mode   faulty.Mode
		bundle *bundle.Bundle
		text   string
		checks []string
	}{
		{faulty.Honest, one, "", nil},
		{faulty.CommitOther, one, "is not the value that the plugin committed to", always},
		{faulty.CommitGarbage, one, "committed values: element 1 is not below the modulus", always},
		{faulty.CommitFewer, one, "values, the circuit to", always},
		{faulty.CommitTwice, one, "the plugin asks for a commitment a second time", always},
		{faulty.CommitNever, one, "the circuit uses a commitment, and the plugin did not ask for it", always},
		{faulty.WrongChallenge, one, "is not the challenge that follows from the host's point", always},
		{faulty.CommitKept, one, "is not the challenge that follows from the host's point", []string{again}},
		{faulty.CommitUnasked, none, "the plugin asks for a commitment, and the circuit uses none", []string{solve, again, after, drain}},
	} {
		all.Go(func() error {
			got, err := found(t, test.bundle, test.mode)
			if err != nil {
				return err
			}
			want := append([]string{"ends with its standard input"}, test.checks...)
			if names := slices.Sorted(maps.Keys(got)); !slices.Equal(names, slices.Sorted(slices.Values(want))) {
				return fmt.Errorf("mode %d: the checks that failed are %q: %v", test.mode, names, got)
			}
			for _, name := range test.checks {
				if !strings.Contains(got[name], test.text) {
					return fmt.Errorf("mode %d: %s: %s", test.mode, name, got[name])
				}
			}
			return nil
		})
	}
	require.NoError(t, all.Wait())
}

func TestWhatFailedIsJoined(t *testing.T) {
	t.Parallel()
	_, err := conformance.Run(context.Background(), conformance.Plugin{})
	require.ErrorContains(t, err, "Good")
	require.NoError(t, conformance.Failed([]conformance.Result{{Name: "a"}}))
	require.ErrorContains(t, conformance.Failed([]conformance.Result{{Name: "a", Err: fmt.Errorf("b: %w", os.ErrClosed)}}), "a: b")
}
