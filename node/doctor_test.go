package node

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gristmill-zk/gristmill/gpu/health"
	"github.com/gristmill-zk/gristmill/internal/redistest"
	"github.com/gristmill-zk/gristmill/plugins/sandbox"
)

// verdicts are a doctor's by what was looked at.
func verdicts(t *testing.T, opts DoctorOptions) (map[string]Check, bool) {
	t.Helper()
	var err error
	opts.Dir, err = OpenDataDir(t.TempDir())
	require.NoError(t, err)
	told := 0
	opts.Each = func(Check) { told++ }
	checks, err := Doctor(t.Context(), opts)
	require.NoError(t, err)
	require.Len(t, checks, told)
	by := map[string]Check{}
	for _, c := range checks {
		by[c.What] = c
	}
	return by, Healthy(checks)
}

func TestDoctorFindsAHealthyProcessor(t *testing.T) {
	t.Setenv("PATH", t.TempDir()) // no nvidia-smi, no engine programs
	checks, healthy := verdicts(t, DoctorOptions{})
	require.True(t, healthy, "%v", checks)
	require.Equal(t, OK, checks["engine cpu"].Verdict)
	require.Contains(t, checks["engine cpu"].Detail, "known answer proved")
	require.Equal(t, Note, checks["cards"].Verdict)
	require.Equal(t, Note, checks["ICICLE"].Verdict)
	for _, l := range sandbox.Layers() {
		require.Contains(t, []Verdict{OK, Warn}, checks["sandbox: "+string(l)].Verdict, l)
	}
}

func TestDoctorNamesWhatWasAskedForAndIsNotThere(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	checks, healthy := verdicts(t, DoctorOptions{Engines: Engines{Names: []string{"icicle:1", "cpu"}}, Redis: "127.0.0.1:1"})
	require.False(t, healthy)
	for _, what := range []string{"cards", "ICICLE", "engine icicle:1", "queue"} {
		require.Equal(t, Fail, checks[what].Verdict, what)
	}
	require.Equal(t, OK, checks["engine cpu"].Verdict)
	require.Contains(t, checks["engine icicle:1"].Detail, "not there")
	require.Contains(t, checks["queue"].Detail, "does not answer")
}

func TestDoctorJudgesCards(t *testing.T) {
	fake := filepath.Join(t.TempDir(), "gpus.json")
	require.NoError(t, os.WriteFile(fake, []byte(`{"gpus": [
		{"uuid": "GPU-1", "index": 0, "name": "H100", "temperature": 45},
		{"uuid": "GPU-2", "index": 1, "name": "H100", "temperature": 97}]}`), 0o600))
	t.Setenv(health.FakeEnv, fake)
	checks, healthy := verdicts(t, DoctorOptions{})
	require.False(t, healthy)
	require.Equal(t, OK, checks["card 0 (FAKE)"].Verdict)
	require.Equal(t, Fail, checks["card 1 (FAKE)"].Verdict)
	require.Contains(t, checks["card 1 (FAKE)"].Detail, "97 °C")

	bad, err := unfit(health.Open(os.Getenv, nil), []string{"GPU-1", "GPU-2", "GPU-3"})(t.Context())
	require.NoError(t, err)
	require.Len(t, bad, 2)
	require.Contains(t, bad["GPU-2"], "97 °C")
	require.Contains(t, bad["GPU-3"], "does not list it")
}

func TestDoctorLooksAtTheQueue(t *testing.T) {
	server := redistest.Start(t)
	checks, _ := verdicts(t, DoctorOptions{Redis: server.Addr})
	require.Equal(t, OK, checks["queue"].Verdict, checks["queue"].Detail)
}

func TestEnginesAreValidated(t *testing.T) {
	t.Parallel()
	require.ErrorContains(t, (&Engines{Slots: -1}).validate(), "--slots")
	require.ErrorContains(t, (&Engines{Memory: -1}).validate(), "--engine-memory")
	require.ErrorContains(t, (&Engines{Stall: -1}).validate(), "--engine-stall")
	require.NoError(t, (&Engines{}).validate())
}
