package node

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gristmill-zk/gristmill/plugins/bundle"
	"github.com/gristmill-zk/gristmill/plugins/bundle/fetch"
	"github.com/gristmill-zk/gristmill/plugins/bundle/oci"
	"github.com/gristmill-zk/gristmill/wire"
)

func TestBundleSourcesAreValidated(t *testing.T) {
	t.Parallel()
	for want, c := range map[string]struct {
		sources BundleSources
		trust   string
	}{
		"--trust FILE":         {BundleSources{Names: []string{"registry.example/x"}}, ""},
		"contradict":           {BundleSources{Names: []string{"registry.example/x"}, AllowUntrusted: true}, "file"},
		"--bundle-max-bytes":   {BundleSources{MaxBytes: -1}, ""},
		"--bundle-timeout -1s": {BundleSources{Timeout: -time.Second}, ""},
	} {
		require.ErrorContains(t, c.sources.validate(c.trust), want)
	}
	require.NoError(t, (&BundleSources{}).validate(""))
	require.NoError(t, (&BundleSources{Names: []string{"x"}}).validate("file"))

	layout := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(layout, "oci-layout"), []byte(`{"imageLayoutVersion":"1.0.0"}`), 0o600))
	sources := BundleSources{Names: []string{"registry.example/team/x", "oci:./here:1", layout, t.TempDir(), "./bundles"}}
	all, err := sources.open()
	require.NoError(t, err)
	require.Equal(t, "registry.example/team/x", all[0].String())
	for i, want := range []bundle.Source{&oci.Source{}, &oci.Source{}, &oci.Source{}, fetch.Folder(""), fetch.Folder("")} {
		require.IsType(t, want, all[i], i)
	}
	sources.Names = []string{"nonsense"}
	_, err = sources.open()
	require.ErrorContains(t, err, "--bundle-source nonsense")
}

func TestOwnBundleNeedsNoSigner(t *testing.T) {
	t.Parallel()
	allowOwn(nil, wire.Hash{1})
	policy, err := bundle.ParsePolicy(strings.NewReader(wire.Hash{9}.String()))
	require.NoError(t, err)
	allowOwn(policy, wire.Hash{})
	allowOwn(policy, wire.Hash{1})
	require.NoError(t, policy.Allow(wire.Hash{1}, nil))
	for _, other := range []wire.Hash{{}, {2}} {
		require.ErrorIs(t, policy.Allow(other, nil), bundle.ErrUntrusted)
	}
}

func TestDoctorLooksAtBundleSources(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	opts := DoctorOptions{Bundles: BundleSources{Names: []string{t.TempDir()}}}
	checks, healthy := verdicts(t, opts)
	require.False(t, healthy)
	require.Contains(t, checks["bundle source"].Detail, "--trust FILE")

	opts.Bundles.AllowUntrusted = true
	checks, healthy = verdicts(t, opts)
	require.True(t, healthy)
	require.Equal(t, OK, checks["bundle source"].Verdict, checks["bundle source"].Detail)

	opts.Bundles.Names = []string{"127.0.0.1:1/team/meter"}
	checks, healthy = verdicts(t, opts)
	require.False(t, healthy)
	require.Contains(t, checks["bundle source"].Detail, "connection refused")
	require.NotEmpty(t, checks["bundle source"].Advice)
}

func TestDoctorNamesBundlesThatCouldNotBeFetched(t *testing.T) {
	t.Parallel()
	dir, err := OpenDataDir(t.TempDir())
	require.NoError(t, err)
	f, err := fetch.New(fetch.Config{Store: dir.Path("bundles"), Sources: []bundle.Source{fetch.Folder(t.TempDir())}, AllowUntrusted: true})
	require.NoError(t, err)
	missing := wire.Hash{7}
	require.Eventually(t, func() bool { return f.Want(missing).Failure != nil }, time.Minute, time.Millisecond)
	require.NoError(t, f.Close())
	d := &doctor{opts: DoctorOptions{Dir: dir}}
	d.bundles(t.Context())
	require.Len(t, d.checks, 1)
	require.Equal(t, Warn, d.checks[0].Verdict)
	require.Contains(t, d.checks[0].Detail, missing.String())
	require.Contains(t, d.checks[0].Detail, "has no such bundle")
	require.Contains(t, d.checks[0].Advice, "--bundle-source")
}
