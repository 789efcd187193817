package bundle_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gristmill-zk/gristmill/internal/groth16vk"
	"github.com/gristmill-zk/gristmill/plugins/bundle"
	_ "github.com/gristmill-zk/gristmill/plugins/internal/faulty" // what source is made of
)

// source is a plugin with a small circuit.
var source = filepath.Join("..", "internal", "faulty", "cmd")

var store string // holds one built bundle
var built *bundle.Bundle

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (int, error) {
	dir, err := os.MkdirTemp("", "gm-bundle-test-")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(dir)
	store = dir
	built, err = bundle.Build(context.Background(), bundle.BuildConfig{
		Source: source, OutDir: dir, AllowInsecure: true, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return 1, err
	}
	return m.Run(), nil
}

// clone is a copy of the bundle to spoil. It shares its files with the original:
// replace changes one.
func clone(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	entries, err := os.ReadDir(built.Dir)
	require.NoError(t, err)
	for _, e := range entries {
		require.NoError(t, os.Link(filepath.Join(built.Dir, e.Name()), filepath.Join(dir, e.Name())))
	}
	return dir
}

func replace(t *testing.T, path string, content []byte) {
	t.Helper()
	require.NoError(t, os.Remove(path))
	require.NoError(t, os.WriteFile(path, content, 0o644))
}

func TestBuildMakesAWholeBundle(t *testing.T) {
	require.Equal(t, filepath.Join(store, bundle.DirName(built.Digest)), built.Dir)
	b, err := bundle.OpenDigest(t.Context(), built.Dir, built.Digest)
	require.NoError(t, err)
	require.Equal(t, built.Manifest, b.Manifest)
	require.Equal(t, bundle.KeysInsecureDev, b.Manifest.Keys)
	require.NoError(t, b.KnownAnswer(t.Context()))

	key, err := b.VerifyingKeyBytes()
	require.NoError(t, err)
	require.Equal(t, groth16vk.ID(key), b.Manifest.VKID)
	vk, err := b.VerifyingKey()
	require.NoError(t, err)
	for i := range vk.G1.K {
		require.False(t, vk.G1.K[i].IsInfinity(), "public input %d is bound to nothing", i)
	}
	left, err := filepath.Glob(filepath.Join(store, ".build-*"))
	require.NoError(t, err)
	require.Empty(t, left)
}

func TestBuildReusesAndTakesABinary(t *testing.T) {
	path, err := built.Path(bundle.PartPlugin)
	require.NoError(t, err)
	var stages []string
	b, err := bundle.Build(t.Context(), bundle.BuildConfig{
		Binary: path, OutDir: store, AllowInsecure: true, Reuse: true,
		Progress: func(stage string) { stages = append(stages, stage) },
	})
	require.NoError(t, err)
	require.Equal(t, built.Digest, b.Digest)
	require.NotContains(t, stages, "make keys")
}

// What a killed build left behind goes away, what another build is at does not.
func TestBuildClearsOldLeftovers(t *testing.T) {
	old, fresh := filepath.Join(store, ".build-old"), filepath.Join(store, ".build-fresh")
	for _, dir := range []string{old, fresh} {
		require.NoError(t, os.Mkdir(dir, 0o755))
	}
	defer os.RemoveAll(fresh)
	past := time.Now().Add(-48 * time.Hour)
	require.NoError(t, os.Chtimes(old, past, past))
	_, err := bundle.Build(t.Context(), bundle.BuildConfig{Binary: "missing", OutDir: store, AllowInsecure: true})
	require.Error(t, err)
	require.NoDirExists(t, old)
	require.DirExists(t, fresh)
}

func TestBuildRefuses(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		cfg  bundle.BuildConfig
		text string
	}{
		"insecure":    {bundle.BuildConfig{Source: source, OutDir: "x"}, "insecure development setup"},
		"nothing":     {bundle.BuildConfig{OutDir: "x", AllowInsecure: true}, "exactly one of Source and Binary"},
		"both":        {bundle.BuildConfig{Source: "a", Binary: "b", OutDir: "x", AllowInsecure: true}, "exactly one of"},
		"no out":      {bundle.BuildConfig{Source: source, AllowInsecure: true}, "OutDir"},
		"no source":   {bundle.BuildConfig{Source: "missing", OutDir: t.TempDir(), AllowInsecure: true}, "go build in missing"},
		"no binary":   {bundle.BuildConfig{Binary: "missing", OutDir: t.TempDir(), AllowInsecure: true}, "plugin executable"},
		"not plugin":  {bundle.BuildConfig{Binary: "/bin/false", OutDir: t.TempDir(), AllowInsecure: true}, "export failed"},
		"wrong batch": {bundle.BuildConfig{Source: source, OutDir: "x", AllowInsecure: true, BatchSize: 1 << 20}, "BatchSize"},
	} {
		_, err := bundle.Build(t.Context(), test.cfg)
		require.ErrorContains(t, err, test.text, name)
		if dir := test.cfg.OutDir; filepath.IsAbs(dir) {
			left, err := os.ReadDir(dir)
			require.NoError(t, err)
			require.Empty(t, left, name)
		}
	}
	_, err := bundle.Build(t.Context(), bundle.BuildConfig{Source: source, OutDir: "x"})
	require.ErrorIs(t, err, bundle.ErrInsecure)
}

func TestEveryPartIsChecked(t *testing.T) {
	t.Parallel()
	for _, part := range built.Manifest.Parts {
		for how, spoil := range map[string]func(raw []byte) []byte{
			"first byte": func(raw []byte) []byte { raw[0] ^= 1; return raw },
			"last byte":  func(raw []byte) []byte { raw[len(raw)-1] ^= 0x80; return raw },
			"truncated":  func(raw []byte) []byte { return raw[:len(raw)-1] },
			"emptied":    func([]byte) []byte { return nil },
			"extended":   func(raw []byte) []byte { return append(raw, 0) },
		} {
			t.Run(part.Name+" "+how, func(t *testing.T) {
				t.Parallel()
				dir := clone(t)
				path := filepath.Join(dir, part.Path)
				raw, err := os.ReadFile(path)
				require.NoError(t, err)
				replace(t, path, spoil(raw))
				_, err = bundle.Open(t.Context(), dir)
				require.ErrorIs(t, err, bundle.ErrAltered)
				require.ErrorContains(t, err, part.Name)
			})
		}
		t.Run(part.Name+" missing", func(t *testing.T) {
			t.Parallel()
			dir := clone(t)
			require.NoError(t, os.Remove(filepath.Join(dir, part.Path)))
			_, err := bundle.Open(t.Context(), dir)
			require.ErrorIs(t, err, bundle.ErrMissing)
			require.ErrorContains(t, err, part.Name)
		})
		t.Run(part.Name+" link", func(t *testing.T) {
			t.Parallel()
			dir := clone(t)
			path := filepath.Join(dir, part.Path)
			outside := filepath.Join(t.TempDir(), "outside")
			require.NoError(t, os.Rename(path, outside))
			require.NoError(t, os.Symlink(outside, path))
			_, err := bundle.Open(t.Context(), dir)
			require.ErrorIs(t, err, bundle.ErrAltered)
			require.ErrorContains(t, err, part.Name)
		})
	}
}

func TestBadManifests(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		spoil func(m *bundle.Manifest)
		kind  error
		text  string
	}{
		"format":        {func(m *bundle.Manifest) { m.Format = 2 }, bundle.ErrFormat, "it is 2"},
		"no name":       {func(m *bundle.Manifest) { m.Name = "" }, bundle.ErrMalformed, "name"},
		"control name":  {func(m *bundle.Manifest) { m.Name = "a\x1b[0m" }, bundle.ErrMalformed, "name"},
		"keys":          {func(m *bundle.Manifest) { m.Keys = "trust me" }, bundle.ErrMalformed, "keys"},
		"curve":         {func(m *bundle.Manifest) { m.Circuit.Curve = "bls12-381" }, bundle.ErrMalformed, "bls12-381"},
		"device scheme": {func(m *bundle.Manifest) { m.Circuit.DeviceScheme = "rsa" }, bundle.ErrMalformed, "rsa"},
		"outputs":       {func(m *bundle.Manifest) { m.Circuit.Outputs = nil }, bundle.ErrMalformed, "outputs"},
		"constraints":   {func(m *bundle.Manifest) { m.Circuit.Constraints = 1 << 40 }, bundle.ErrSize, "constraints"},
		"wires":         {func(m *bundle.Manifest) { m.Circuit.Wires = 1 << 50 }, bundle.ErrSize, "wires"},
		"batch":         {func(m *bundle.Manifest) { m.Circuit.BatchSize = 0 }, bundle.ErrSize, "batch_size"},
		"parent path":   {func(m *bundle.Manifest) { m.Parts[1].Path = "../circuit.r1cs" }, bundle.ErrPath, "circuit"},
		"absolute path": {func(m *bundle.Manifest) { m.Parts[1].Path = "/etc/passwd" }, bundle.ErrPath, "circuit"},
		"inner parent":  {func(m *bundle.Manifest) { m.Parts[1].Path = "a/../../b" }, bundle.ErrPath, "circuit"},
		"backslash":     {func(m *bundle.Manifest) { m.Parts[1].Path = `..\b` }, bundle.ErrPath, "circuit"},
		"absurd size":   {func(m *bundle.Manifest) { m.Parts[2].Size = 1 << 62 }, bundle.ErrSize, "proving-key"},
		"negative size": {func(m *bundle.Manifest) { m.Parts[2].Size = -1 }, bundle.ErrSize, "proving-key"},
		"unknown part":  {func(m *bundle.Manifest) { m.Parts[2].Name = "readme" }, bundle.ErrMalformed, "readme"},
		"part twice":    {func(m *bundle.Manifest) { m.Parts = append(m.Parts, m.Parts[1]) }, bundle.ErrMalformed, "twice"},
		"shared path":   {func(m *bundle.Manifest) { m.Parts[1].Path = m.Parts[2].Path }, bundle.ErrMalformed, "another part"},
		"no circuit":    {func(m *bundle.Manifest) { m.Parts = append(m.Parts[:1], m.Parts[2:]...) }, bundle.ErrMissing, "circuit"},
		"no ceremony":   {func(m *bundle.Manifest) { m.Keys = bundle.KeysCeremony }, bundle.ErrMalformed, "ceremony"},
		"dev ceremony":  {func(m *bundle.Manifest) { m.Ceremony = &bundle.CeremonyInfo{} }, bundle.ErrMalformed, "ceremony"},
		"nobody": {func(m *bundle.Manifest) {
			m.Keys, m.Ceremony = bundle.KeysCeremony, &bundle.CeremonyInfo{}
		}, bundle.ErrMalformed, "contributors"},
		"control contributor": {func(m *bundle.Manifest) {
			m.Keys, m.Ceremony = bundle.KeysCeremony, &bundle.CeremonyInfo{Contributors: []string{"a\x1b[0m"}}
		}, bundle.ErrMalformed, "contributor"},
		"signatures' path": {func(m *bundle.Manifest) { m.Parts[1].Path = bundle.SignaturesName }, bundle.ErrMalformed, "path"},
		"no platform":      {func(m *bundle.Manifest) { m.Parts[0].OS = "" }, bundle.ErrMalformed, "platform"},
		"key id":           {func(m *bundle.Manifest) { m.VKID[0] ^= 1 }, bundle.ErrMismatch, "verifying-key-evm"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := clone(t)
			rewrite(t, dir, test.spoil)
			_, err := bundle.Open(t.Context(), dir)
			require.ErrorIs(t, err, test.kind)
			require.ErrorContains(t, err, test.text)
			var blamed *bundle.Error
			require.ErrorAs(t, err, &blamed)
		})
	}
	for name, text := range map[string]string{
		"not json":      "#!",
		"unknown field": `{"format":1,"nmae":"x"}`,
		"trailing":      "", // filled below
	} {
		dir := clone(t)
		path := filepath.Join(dir, bundle.ManifestName)
		if name == "trailing" {
			raw, err := os.ReadFile(path)
			require.NoError(t, err)
			text = string(raw) + "{}"
		}
		replace(t, path, []byte(text))
		_, err := bundle.Open(t.Context(), dir)
		require.ErrorIs(t, err, bundle.ErrMalformed, name)
	}
	dir := clone(t)
	path := filepath.Join(dir, bundle.ManifestName)
	replace(t, path, []byte(strings.Repeat(" ", 2<<20)))
	_, err := bundle.Open(t.Context(), dir)
	require.ErrorIs(t, err, bundle.ErrSize)
	require.NoError(t, os.Remove(path))
	_, err = bundle.Open(t.Context(), dir)
	require.ErrorIs(t, err, bundle.ErrMissing)
}

func rewrite(t *testing.T, dir string, change func(*bundle.Manifest)) {
	t.Helper()
	path := filepath.Join(dir, bundle.ManifestName)
	raw, err := os.ReadFile(path)
	require.NoError(t, err)
	var m bundle.Manifest
	require.NoError(t, json.Unmarshal(raw, &m))
	change(&m)
	raw, err = json.Marshal(&m)
	require.NoError(t, err)
	replace(t, path, raw)
}

func TestOtherDigestIsRefused(t *testing.T) {
	t.Parallel()
	want := built.Digest
	want[0] ^= 1
	_, err := bundle.OpenDigest(t.Context(), built.Dir, want)
	require.ErrorIs(t, err, bundle.ErrAltered)
	require.ErrorContains(t, err, bundle.ManifestName)
}

// A part that changes after Open is found when it is read.
func TestPartIsHashedWhileRead(t *testing.T) {
	t.Parallel()
	dir := clone(t)
	b, err := bundle.Open(t.Context(), dir)
	require.NoError(t, err)
	path, err := b.Path(bundle.PartProvingKey)
	require.NoError(t, err)
	raw, err := os.ReadFile(path)
	require.NoError(t, err)
	raw[len(raw)/2] ^= 1
	replace(t, path, raw)
	r, err := b.OpenPart(bundle.PartProvingKey)
	require.NoError(t, err)
	defer r.Close()
	_, err = io.Copy(io.Discard, r)
	require.ErrorIs(t, err, bundle.ErrAltered)
	_, err = b.ProvingKey()
	require.ErrorIs(t, err, bundle.ErrAltered)
}

// Keys of another setup pass every digest; the known answer finds them.
func TestKnownAnswerFindsForeignKeys(t *testing.T) {
	t.Parallel()
	other, err := bundle.Build(t.Context(), bundle.BuildConfig{
		Source: source, OutDir: t.TempDir(), AllowInsecure: true, Logger: slog.New(slog.DiscardHandler),
	})
	require.NoError(t, err)
	require.NotEqual(t, built.Digest, other.Digest)
	for _, name := range []string{bundle.PartPlugin, bundle.PartCircuit, bundle.PartKnownAnswer} {
		first, err := built.Part(name)
		require.NoError(t, err)
		second, err := other.Part(name)
		require.NoError(t, err)
		require.Equal(t, first, second, "all but the keys is the same from build to build")
	}
	for _, name := range []string{bundle.PartProvingKey, bundle.PartVerifyingKey, bundle.PartVerifyingKeyEVM} {
		dir := clone(t)
		from, err := other.Part(name)
		require.NoError(t, err)
		raw, err := os.ReadFile(filepath.Join(other.Dir, from.Path))
		require.NoError(t, err)
		replace(t, filepath.Join(dir, from.Path), raw)
		rewrite(t, dir, func(m *bundle.Manifest) {
			for i := range m.Parts {
				if m.Parts[i].Name == name {
					m.Parts[i] = from
				}
			}
			if name == bundle.PartVerifyingKeyEVM {
				m.VKID = other.Manifest.VKID
			}
		})
		b, err := bundle.Open(t.Context(), dir)
		require.NoError(t, err)
		err = b.KnownAnswer(t.Context())
		require.ErrorIs(t, err, bundle.ErrMismatch, name)
		require.ErrorContains(t, err, "key", name)
	}
}

func TestOpenHonoursItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := bundle.Open(ctx, built.Dir)
	require.True(t, errors.Is(err, context.Canceled), "%v", err)
}

func FuzzManifest(f *testing.F) {
	f.Add([]byte(`{"format":1}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		dir := t.TempDir()
		require.NoError(t, os.WriteFile(filepath.Join(dir, bundle.ManifestName), text, 0o644))
		_, err := bundle.Open(t.Context(), dir)
		require.Error(t, err)
	})
}
