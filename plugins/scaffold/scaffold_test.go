package scaffold_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gristmill-zk/gristmill/plugins/scaffold"
)

func source(t *testing.T) scaffold.SDK {
	t.Helper()
	sdk, err := scaffold.FindSDK("", "(devel)", ".")
	require.NoError(t, err)
	return sdk
}

// offline runs the go command without a network and without leave to change go.mod.
func offline(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOPROXY=off", "GOWORK=off", "GOFLAGS=-mod=readonly")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "go %s: %s", strings.Join(args, " "), out)
	return string(out)
}

// TestNewProjectWorks makes a project outside this module and vets, tests,
// builds and starts it as its team would.
func TestNewProjectWorks(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles a plugin")
	}
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "milk run") // go.mod has to quote nothing of it
	p, err := scaffold.New(t.Context(), scaffold.Config{Name: "milk-run", Dir: dir, Module: "example.org/farm/milk-run", SDK: source(t)})
	require.NoError(t, err)
	require.Equal(t, dir, p.Dir)
	for _, name := range []string{"go.mod", "go.sum", "main.go", "README.md", ".gitignore", "messages.json", "payload.template", "circuit/circuit.go", "circuit/circuit_test.go"} {
		require.Contains(t, p.Files, name)
		require.FileExists(t, filepath.Join(dir, name))
	}
	offline(t, dir, "vet", "./...")
	offline(t, dir, "test", "./...")
	offline(t, dir, "build", ".")
	out, err := exec.CommandContext(t.Context(), filepath.Join(dir, "milk-run"), "describe").Output()
	require.NoError(t, err)
	require.Contains(t, string(out), `"name": "milk-run"`)

	unformatted, err := exec.CommandContext(t.Context(), "gofmt", "-l", dir).CombinedOutput()
	require.NoError(t, err)
	require.Empty(t, string(unformatted))
	ignored, err := os.ReadFile(filepath.Join(dir, ".gitignore"))
	require.NoError(t, err)
	require.Contains(t, string(ignored), "/milk-run\n")
}

// Nothing of the template's own names is left in a project.
func TestNamesAreReplaced(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "p")
	p, err := scaffold.New(t.Context(), scaffold.Config{Name: "p", Dir: dir, SDK: source(t)})
	require.NoError(t, err)
	require.Equal(t, "example.com/p", p.Module)
	for _, name := range p.Files {
		text, err := os.ReadFile(filepath.Join(dir, name))
		require.NoError(t, err)
		require.NotContains(t, string(text), "coldchain", name)
		require.NotContains(t, string(text), "scaffold", name)
	}
}

func TestRefusesByName(t *testing.T) {
	t.Parallel()
	full := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(full, "mine.txt"), []byte("x"), 0o600))
	file := filepath.Join(full, "mine.txt")
	sdk := source(t)
	for name, test := range map[string]struct {
		cfg  scaffold.Config
		want string
	}{
		"no name":          {scaffold.Config{SDK: sdk}, `name ""`},
		"capitals":         {scaffold.Config{Name: "Milk", SDK: sdk}, `name "Milk"`},
		"path":             {scaffold.Config{Name: "../milk", SDK: sdk}, `name "../milk"`},
		"digit first":      {scaffold.Config{Name: "1milk", SDK: sdk}, `name "1milk"`},
		"dash last":        {scaffold.Config{Name: "milk-", SDK: sdk}, `name "milk-"`},
		"too long":         {scaffold.Config{Name: strings.Repeat("a", 41), SDK: sdk}, "at most 40"},
		"reserved":         {scaffold.Config{Name: "vendor", SDK: sdk}, "go command"},
		"module":           {scaffold.Config{Name: "m", Module: "a b", SDK: sdk}, `module path "a b"`},
		"module above":     {scaffold.Config{Name: "m", Module: "a/../b", SDK: sdk}, `module path "a/../b"`},
		"module is ours":   {scaffold.Config{Name: "m", Module: "github.com/gristmill-zk/gristmill/x", SDK: sdk}, "belongs to gristmill"},
		"folder is full":   {scaffold.Config{Name: "m", Dir: full, SDK: sdk}, `"mine.txt"`},
		"folder is a file": {scaffold.Config{Name: "m", Dir: file, SDK: sdk}, "mine.txt"},
		"no sdk":           {scaffold.Config{Name: "m", Dir: filepath.Join(full, "m")}, "exactly one of Source and Version"},
		"wrong sdk":        {scaffold.Config{Name: "m", Dir: filepath.Join(full, "m"), SDK: scaffold.SDK{Source: full}}, "has no go.mod"},
	} {
		_, err := scaffold.New(t.Context(), test.cfg)
		require.ErrorContains(t, err, test.want, name)
	}
	entries, err := os.ReadDir(full)
	require.NoError(t, err)
	require.Len(t, entries, 1, "a refusal writes nothing")
}

func TestFindSDK(t *testing.T) {
	t.Parallel()
	root := source(t).Source
	for version, want := range map[string]scaffold.SDK{
		"v1.2.3":                             {Version: "v1.2.3"},
		"v1.2.3-rc.1":                        {Version: "v1.2.3-rc.1"},
		"v1.2.3+dirty":                       {Source: root},
		"(devel)":                            {Source: root},
		"unknown":                            {Source: root},
		"v0.0.0-20261129040451-0123456789ab": {Source: root},
	} {
		got, err := scaffold.FindSDK("", version, "", t.TempDir(), ".")
		require.NoError(t, err, version)
		require.Equal(t, want, got, version)
	}
	_, err := scaffold.FindSDK("", "(devel)", t.TempDir())
	require.ErrorIs(t, err, scaffold.ErrNoSDK)
	require.ErrorContains(t, err, "--sdk")
	_, err = scaffold.FindSDK(t.TempDir(), "v1.2.3", ".")
	require.ErrorContains(t, err, "--sdk")
	named, err := scaffold.FindSDK(root, "v1.2.3")
	require.NoError(t, err)
	require.Equal(t, scaffold.SDK{Source: root}, named)
}

// A new project speaks the Go of the module that it builds on.
func TestGoVersion(t *testing.T) {
	t.Parallel()
	directive := func(path string) string {
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		for line := range bytes.SplitSeq(text, []byte("\n")) {
			if version, ok := bytes.CutPrefix(line, []byte("go ")); ok {
				return string(version)
			}
		}
		return "none"
	}
	sdk := source(t)
	dir := filepath.Join(t.TempDir(), "v")
	_, err := scaffold.New(t.Context(), scaffold.Config{Name: "v", Dir: dir, SDK: sdk})
	require.NoError(t, err)
	require.Equal(t, directive(filepath.Join(sdk.Source, "go.mod")), directive(filepath.Join(dir, "go.mod")))
}
