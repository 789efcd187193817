package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gristmill-zk/gristmill/internal/tinybundle"
	"github.com/gristmill-zk/gristmill/node"
	"github.com/gristmill-zk/gristmill/plugins/bundle"
)

// TestFromACircuitToATrustedBundle goes the way of docs/bundles.md: a ceremony,
// a bundle with its keys for two platforms, a signature, a registry, an operator.
func TestFromACircuitToATrustedBundle(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	at := func(names ...string) string { return filepath.Join(append([]string{dir}, names...)...) }
	require.NoError(t, os.WriteFile(at("password"), []byte("secret\n"), 0o600))
	require.NoError(t, os.Mkdir(at("source"), 0o755))
	require.NoError(t, tinybundle.Source(at("source"), 8))
	team := func(args ...string) string {
		t.Helper()
		out, err := run(t, "", append(args, "--data-dir", at("team"), "--password-file", at("password"), "--json")...)
		require.NoError(t, err)
		return out
	}
	read := func(out string, v any) { require.NoError(t, json.Unmarshal([]byte(out), v), out) }

	var dev, real, again node.BundleView
	read(team("plugin", "build", at("source")), &dev)
	require.Equal(t, bundle.KeysInsecureDev, dev.Manifest.Keys)
	team("plugin", "ceremony", "init", at("ceremony"), "--circuit", dev.Dir)
	for phase, beacon := range map[string]string{"1": strings.Repeat("5f", 16)} {
		team("plugin", "ceremony", "contribute", at("ceremony"), "--name", "Alice")
		team("plugin", "ceremony", "finalize", at("ceremony"), "--phase", phase, "--beacon", beacon, "--source", "block 1")
	}
	team("plugin", "ceremony", "contribute", at("ceremony"), "--name", "Bob")
	team("plugin", "ceremony", "finalize", at("ceremony"), "--phase", "2", "--beacon", "0x"+strings.Repeat("81", 16), "--source", "block 2")
	require.Contains(t, team("plugin", "ceremony", "verify", at("ceremony")), `"transcript":"0x`)

	build := []string{"plugin", "build", at("source"), "--keys", at("ceremony"), "--platform", "linux/arm64,linux/amd64"}
	read(team(build...), &real)
	read(team(append(build, "--out", at("elsewhere"))...), &again)
	require.Equal(t, real.Digest, again.Digest)
	require.Equal(t, []string{"Alice", "Bob"}, real.Manifest.Ceremony.Contributors)

	var signer, other node.SignerKey
	read(team("key", "signer", "new", "team"), &signer)
	read(team("key", "signer", "new", "other"), &other)
	require.Contains(t, team("key", "signer", "ls"), signer.Public)
	stored, err := os.ReadFile(at("team", "signers", "team.json"))
	require.NoError(t, err)
	require.NotContains(t, string(stored), "PRIVATE")
	team("plugin", "sign", real.Dir, "--key", "team")
	var verified node.Verified
	read(team("plugin", "verify", real.Dir, "--key", signer.Public, "--transcript", at("ceremony")), &verified)
	require.Len(t, verified.Signed, 1)
	require.True(t, verified.Transcript)
	_, err = run(t, "", "plugin", "verify", real.Dir, "--key", other.Public)
	require.ErrorContains(t, err, "none of the 1 keys signed the bundle")
	_, err = run(t, "", "plugin", "verify", dev.Dir, "--transcript", at("ceremony"))
	require.ErrorContains(t, err, "insecure-dev-setup")

	ref := "oci:" + at("layout") + ":1.0.0"
	require.Contains(t, team("plugin", "push", real.Dir, ref), "@sha256:")
	require.NoError(t, os.WriteFile(at("allowed"), []byte("# ours\n"+signer.Public+"\n"), 0o600))
	require.NoError(t, os.WriteFile(at("refused"), []byte(other.Public+"\n"), 0o600))
	operator := func(args ...string) (string, error) {
		return run(t, "", append(args, "--data-dir", at("operator"), "--json")...)
	}
	_, err = operator("plugin", "pull", ref, "--trust", at("refused"))
	require.ErrorIs(t, err, bundle.ErrUntrusted)
	_, err = operator("plugin", "pull", ref, "--digest", dev.Digest.String())
	require.ErrorIs(t, err, bundle.ErrAltered)
	out, err := operator("plugin", "pull", ref, "--trust", at("allowed"), "--digest", real.Digest.String())
	require.NoError(t, err)
	var pulled node.PulledBundle
	read(out, &pulled)
	require.Equal(t, at("operator", "bundles", bundle.DirName(real.Digest)), pulled.Dir)
	out, err = run(t, "", "plugin", "inspect", pulled.Dir)
	require.NoError(t, err)
	for _, want := range []string{"by Alice, Bob", "signatures by  team+", "plugin linux/arm64", "proving key loaded in"} {
		require.Contains(t, out, want)
	}
}

func TestMistakesWithBundlesAreNamed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, c := range []struct {
		want string
		args []string
	}{
		{"neither a ceremony", []string{"plugin", "build", ".", "--keys", dir}},
		{"want os/arch", []string{"plugin", "build", ".", "--platform", "amiga"}},
		{"there is no", []string{"plugin", "sign", dir, "--key", "nobody"}},
		{"neither a public key", []string{"plugin", "verify", dir, "--key", "nobody"}},
		{"is no reference to a bundle", []string{"plugin", "pull", "meter"}},
		{"--digest", []string{"plugin", "pull", "oci:x", "--digest", "1"}},
		{"--trust", []string{"plugin", "pull", "oci:x", "--trust", filepath.Join(dir, "missing")}},
		{"manifest.json is missing", []string{"plugin", "push", dir, "oci:x"}},
		{"there is none in", []string{"plugin", "ceremony", "verify", dir}},
		{"is no bundle", []string{"plugin", "ceremony", "init", filepath.Join(dir, "c"), "--circuit", dir}},
		{"size must be named", []string{"plugin", "ceremony", "init", filepath.Join(dir, "c")}},
	} {
		_, err := run(t, "", append(c.args, "--data-dir", filepath.Join(dir, "data"))...)
		require.ErrorContains(t, err, c.want, "%v", c.args)
	}
}
