package health_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gristmill-zk/gristmill/gpu/health"
)

// reader is a program that prints an answer.
func reader(t *testing.T, script string) *health.Program {
	t.Helper()
	path := filepath.Join(t.TempDir(), "reader")
	require.NoError(t, os.WriteFile(path, []byte(script), 0o600))
	return &health.Program{Command: []string{"/bin/sh", path, "--health"}, KernelLog: "-"}
}

func TestProgram(t *testing.T) {
	t.Parallel()
	want := []health.Reading{{Fingerprint: health.Fingerprint{UUID: "GPU-1", Name: "H100"}, Temperature: health.Known(40)}, {Fault: "lost"}}
	raw, err := json.Marshal(health.NewAnswer(want, nil))
	require.NoError(t, err)
	got, err := reader(t, `test "$1" = --health && echo '`+string(raw)+`'`).Read(t.Context())
	require.NoError(t, err)
	require.Equal(t, want, got)

	raw, err = json.Marshal(health.NewAnswer(nil, fmt.Errorf("%w: no library", health.ErrNoDriver)))
	require.NoError(t, err)
	said := filepath.Join(t.TempDir(), "said")
	require.NoError(t, os.WriteFile(said, raw, 0o600))
	_, err = reader(t, "cat "+said).Read(t.Context())
	require.ErrorIs(t, err, health.ErrNoDriver)
	require.ErrorContains(t, err, "no library")

	for script, kind := range map[string]error{
		"exit 1":                        health.ErrNoTool, // such as an older program
		"true":                          health.ErrUnreadable,
		"echo '{'":                      health.ErrUnreadable,
		"echo '{} {}'":                  health.ErrUnreadable,
		"echo '{}'":                     health.ErrNoDevices,
		`echo '{"readings": [{}]}'`:     health.ErrUnreadable,
		`echo '{"kind": "fire"}'`:       health.ErrUnreadable,
		`echo '{"kind": "no devices"}'`: health.ErrNoDevices,
		"head -c 3000000 /dev/zero | tr '\\0' '['": health.ErrUnreadable,
	} {
		_, err := reader(t, script).Read(t.Context())
		require.ErrorIs(t, err, kind, script)
	}

	slow := reader(t, "sleep 1000")
	slow.Timeout = 50 * time.Millisecond
	_, err = slow.Read(t.Context())
	require.ErrorIs(t, err, health.ErrTimeout)
}

// TestToolWhereTheProgramCanNotTell: the answer is nvidia-smi's.
func TestToolWhereTheProgramCanNotTell(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("PATH", dir)
	source := health.Open(func(string) string { return "" }, []string{"/nowhere/reader"})
	_, err := source.Read(t.Context())
	require.ErrorIs(t, err, health.ErrNoTool)
	require.ErrorContains(t, err, "nvidia-smi", "it is the tool that comes with a driver")

	tool := "#!/bin/sh\necho 'No devices were found'\nexit 6\n"
	require.NoError(t, os.WriteFile(filepath.Join(dir, "nvidia-smi"), []byte(tool), 0o700))
	_, err = source.Read(t.Context())
	require.ErrorIs(t, err, health.ErrNoDevices)
}
