package engines_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/gristmill-zk/gristmill/gpu/engines"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestNames(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"", "gpu", "cpu:1", "icicle:", "icicle:x", "icicle:-1", "ICICLE"} {
		_, err := engines.Open(name, engines.Options{})
		require.ErrorIs(t, err, engines.ErrUnknown, "%q", name)
	}
	e, err := engines.Open("cpu", engines.Options{Cores: 1})
	require.NoError(t, err)
	require.Equal(t, "cpu", e.Info().Name)
	require.NoError(t, e.Close())
}

func TestOnCard(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]bool{"icicle": true, "icicle:1": true, "icicle-cpu": false, "cpu": false, "": false} {
		require.Equal(t, want, engines.OnCard(name), "%q", name)
	}
}

// TestEngineThatIsNotThere: no other engine takes its place.
func TestEngineThatIsNotThere(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	for _, name := range []string{"icicle", "icicle:1", "icicle-cpu"} {
		_, err := engines.Open(name, engines.Options{})
		require.ErrorContains(t, err, engines.ICICLEProgram)
	}
	_, _, err := engines.ICICLEDevices(t.Context())
	require.ErrorContains(t, err, "neither next to gristmill nor in PATH")
}
