package bundle_test

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gristmill-zk/gristmill/internal/tinybundle"
	"github.com/gristmill-zk/gristmill/plugins/bundle"
	"github.com/gristmill-zk/gristmill/wire"
)

// echo is the source of a program that exports what the built bundle's plugin
// did. It compiles fast, also for other machines.
func echo(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	m := built.Manifest
	description, err := json.Marshal(struct {
		Name    string `json:"name"`
		Version string `json:"version"`
		bundle.CircuitInfo
	}{m.Name, m.Version, m.Circuit})
	require.NoError(t, err)
	part := func(name string) io.WriterTo {
		path, err := built.Path(name)
		require.NoError(t, err)
		content, err := os.ReadFile(path)
		require.NoError(t, err)
		return bytes.NewBuffer(content)
	}
	require.NoError(t, tinybundle.WriteSource(dir, description, part(bundle.PartCircuit), part(bundle.PartKnownAnswer)))
	return dir
}

// The same source and keys give the same digest, wherever and in whatever order
// of platforms they are built.
func TestBuildsWithGivenKeysAreTheSame(t *testing.T) {
	t.Parallel()
	keys, err := built.KeySource()
	require.NoError(t, err)
	first := bundle.Platform{OS: "linux", Arch: "amd64"}
	second := bundle.Platform{OS: "linux", Arch: "arm64"}
	build := func(platforms ...bundle.Platform) *bundle.Bundle {
		b, err := bundle.Build(t.Context(), bundle.BuildConfig{
			Source: echo(t), OutDir: t.TempDir(), Keys: keys, Platforms: platforms, AllowInsecure: true,
			Logger: slog.New(slog.DiscardHandler),
		})
		require.NoError(t, err)
		return b
	}
	a, b := build(first, second), build(second, first, second)
	require.Equal(t, a.Digest, b.Digest)
	require.Equal(t, a.Manifest, b.Manifest)
	require.Equal(t, built.Manifest.VKID, a.Manifest.VKID)
	var platforms []string
	for _, p := range a.Manifest.Parts {
		if p.Name == bundle.PartPlugin {
			platforms = append(platforms, p.OS+"/"+p.Arch)
		}
	}
	require.Contains(t, platforms, "linux/amd64")
	require.Contains(t, platforms, "linux/arm64")
	require.NoError(t, a.KnownAnswer(t.Context()))

	// Whoever has keys of a local setup keeps being told so.
	require.Equal(t, bundle.KeysInsecureDev, a.Manifest.Keys)
	_, err = bundle.Build(t.Context(), bundle.BuildConfig{Source: "x", OutDir: "x", Keys: keys})
	require.ErrorIs(t, err, bundle.ErrInsecure)
}

func TestBuildRefusesForeignKeys(t *testing.T) {
	t.Parallel()
	plugin, err := built.Path(bundle.PartPlugin)
	require.NoError(t, err)
	for name, test := range map[string]struct {
		spoil func(k *bundle.KeySource)
		kind  error
		text  string
	}{
		"circuit":          {func(k *bundle.KeySource) { k.Circuit = wire.Hash{1} }, bundle.ErrMismatch, "circuit"},
		"proving digest":   {func(k *bundle.KeySource) { k.ProvingKey.SHA256 = wire.Hash{1} }, bundle.ErrAltered, "proving-key"},
		"verifying digest": {func(k *bundle.KeySource) { k.VerifyingKey.SHA256 = wire.Hash{1} }, bundle.ErrAltered, "verifying-key"},
		"missing":          {func(k *bundle.KeySource) { k.ProvingKey.Path += "x" }, os.ErrNotExist, "proving-key"},
		"not a key":        {func(k *bundle.KeySource) { k.VerifyingKey = k.ProvingKey }, bundle.ErrMalformed, "verifying-key"},
		"no ceremony":      {func(k *bundle.KeySource) { k.Origin = bundle.KeysCeremony }, bundle.ErrMalformed, "ceremony"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			keys, err := built.KeySource()
			require.NoError(t, err)
			test.spoil(keys)
			out := t.TempDir()
			_, err = bundle.Build(t.Context(), bundle.BuildConfig{
				Binary: plugin, OutDir: out, Keys: keys, AllowInsecure: true, Logger: slog.New(slog.DiscardHandler),
			})
			require.ErrorIs(t, err, test.kind)
			require.ErrorContains(t, err, test.text)
			left, err := os.ReadDir(out)
			require.NoError(t, err)
			require.Empty(t, left)
		})
	}
}

func TestPlatforms(t *testing.T) {
	t.Parallel()
	p, err := bundle.ParsePlatform("linux/arm64")
	require.NoError(t, err)
	require.Equal(t, "linux/arm64", p.String())
	for _, bad := range []string{"", "linux", "linux/", "/arm64", "linux/arm64/v8", "Linux/arm64", "linux/../x", "linux/arm 64"} {
		_, err := bundle.ParsePlatform(bad)
		require.ErrorContains(t, err, "want os/arch", bad)
	}
	_, err = bundle.Build(t.Context(), bundle.BuildConfig{
		Binary: "x", OutDir: "x", AllowInsecure: true, Platforms: []bundle.Platform{{OS: "linux", Arch: "arm64"}},
	})
	require.ErrorContains(t, err, "Platforms need Source")
	_, err = bundle.Build(t.Context(), bundle.BuildConfig{
		Source: "x", OutDir: "x", AllowInsecure: true, Platforms: []bundle.Platform{{OS: "../x", Arch: "arm64"}},
	})
	require.ErrorContains(t, err, "no platform")
	_, err = bundle.Build(t.Context(), bundle.BuildConfig{
		Source: echo(t), OutDir: t.TempDir(), AllowInsecure: true, Platforms: []bundle.Platform{{OS: "linux", Arch: "pdp11"}},
	})
	require.ErrorContains(t, err, "for linux/pdp11")
}
