package node

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// A project pins a bundle's digest, so building its circuit again gives the
// same bundle, unless new keys are asked for.
func TestBuildBundleKeepsKeys(t *testing.T) {
	if testing.Short() {
		t.Skip("builds a plugin and sets up its keys")
	}
	opts := BuildOptions{Source: filepath.Join("..", "plugins", "internal", "faulty", "cmd"), Out: t.TempDir()}
	first, err := BuildBundle(t.Context(), opts)
	require.NoError(t, err)
	again, err := BuildBundle(t.Context(), opts)
	require.NoError(t, err)
	require.Equal(t, first, again)

	opts.Fresh = true
	fresh, err := BuildBundle(t.Context(), opts)
	require.NoError(t, err)
	require.NotEqual(t, first.Digest, fresh.Digest)
	require.NotEqual(t, first.Manifest.VKID, fresh.Manifest.VKID)
	require.DirExists(t, first.Dir, "the old one stays")
}
