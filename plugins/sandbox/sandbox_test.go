package sandbox_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/gristmill-zk/gristmill/plugins/sandbox"
)

// The tests have a temporary directory that nobody else uses, so that what is
// left in it is theirs.
func TestMain(m *testing.M) {
	sandbox.Main()
	dir, err := os.MkdirTemp("", "sandbox-test-")
	if err == nil {
		err = os.Setenv("TMPDIR", dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		_ = os.RemoveAll(dir)
		os.Exit(code)
	}))
}

// Which layers there are is the machine's business; that each is accounted for
// is ours.
func TestProbeAccountsForEveryLayer(t *testing.T) {
	t.Parallel()
	s, err := sandbox.Probe(t.Context())
	require.NoError(t, err)
	require.Len(t, s.Layers, len(sandbox.Layers()))
	for i, l := range sandbox.Layers() {
		status := s.Layers[i]
		t.Logf("%+v", status)
		require.Equal(t, l, status.Layer)
		require.NotEmpty(t, status.Detail, l)
		require.Equal(t, !status.InForce, status.Advice != "", l)
	}
	again, err := sandbox.Probe(t.Context())
	require.NoError(t, err)
	require.Same(t, s, again, "it is found out once")
	left, err := filepath.Glob(filepath.Join(os.TempDir(), "gm-*"))
	require.NoError(t, err)
	require.Empty(t, left)
}

func TestModes(t *testing.T) {
	t.Parallel()
	var support sandbox.Support
	for _, l := range sandbox.Layers() {
		support.Layers = append(support.Layers, sandbox.Status{
			Layer: l, InForce: l != sandbox.Files, Detail: "the kernel is old", Advice: "take a new one",
		})
	}
	chosen, missing, err := support.Choose(sandbox.BestEffort)
	require.NoError(t, err)
	require.Len(t, chosen.Layers(), len(sandbox.Layers())-1)
	require.NotContains(t, chosen.Layers(), sandbox.Files)
	require.Len(t, missing, 1)

	_, _, err = support.Choose(sandbox.Require)
	var lacks *sandbox.MissingError
	require.ErrorAs(t, err, &lacks)
	require.ErrorContains(t, err, "files is missing: the kernel is old (take a new one)")

	chosen, missing, err = support.Choose(sandbox.Off)
	require.NoError(t, err)
	require.Nil(t, chosen)
	require.Empty(t, missing)

	var mode sandbox.Mode
	require.NoError(t, mode.UnmarshalText([]byte("require")))
	require.Equal(t, sandbox.Require, mode)
	require.ErrorContains(t, mode.UnmarshalText([]byte("strict")), `"strict" is no sandbox mode`)
}

// A shim that can not do what it was told must not run the plugin.
func TestShimThatFailsRunsNothing(t *testing.T) {
	t.Parallel()
	support, err := sandbox.Probe(t.Context())
	require.NoError(t, err)
	chosen, _, err := support.Choose(sandbox.BestEffort)
	require.NoError(t, err)
	for name, start := range map[string]sandbox.Start{
		"no directory":  {Dir: filepath.Join(t.TempDir(), "missing"), Binary: 3},
		"no executable": {Dir: t.TempDir(), Binary: 3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd := exec.Command("plugin")
			cmd.Env = []string{}
			var text bytes.Buffer
			cmd.Stderr = &text
			require.NoError(t, chosen.Prepare(cmd, start))
			err := cmd.Run()
			var exit *exec.ExitError
			require.True(t, errors.As(err, &exit), "%v", err)
			require.Equal(t, 125, exit.ExitCode())
			require.Contains(t, text.String(), "sandbox: ")
		})
	}
}
