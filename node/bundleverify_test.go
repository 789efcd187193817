package node

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gristmill-zk/gristmill/plugins/bundle"
)

// Keys that one machine made are for chains that nobody else relies on.
func TestInsecureKeysStayOnDevelopmentChains(t *testing.T) {
	t.Parallel()
	dev := &bundle.Bundle{Manifest: bundle.Manifest{Keys: bundle.KeysInsecureDev}}
	real := &bundle.Bundle{Manifest: bundle.Manifest{Keys: bundle.KeysCeremony}}
	err := checkKeys(dev, 1, false, false)
	require.ErrorIs(t, err, bundle.ErrInsecure)
	require.ErrorContains(t, err, "--allow-insecure-keys")
	require.NoError(t, checkKeys(dev, 1, true, false))
	require.NoError(t, checkKeys(dev, 1, false, true))
	require.NoError(t, checkKeys(real, 1, false, false))

	dir, err := OpenDataDir(t.TempDir())
	require.NoError(t, err)
	require.False(t, ownChain(dir))
	require.NoError(t, os.Mkdir(dir.Path("chain"), 0o700))
	require.True(t, ownChain(dir))
}

func TestPolicyFilesAreNamedInErrors(t *testing.T) {
	t.Parallel()
	none, err := LoadPolicy("")
	require.NoError(t, err)
	require.Nil(t, none)
	path := filepath.Join(t.TempDir(), "allowed")
	_, err = LoadPolicy(path)
	require.ErrorIs(t, err, os.ErrNotExist)
	require.NoError(t, os.WriteFile(path, []byte("everybody\n"), 0o600))
	_, err = LoadPolicy(path)
	require.ErrorContains(t, err, path)
}
