package main

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gristmill-zk/gristmill/node"
	"github.com/gristmill-zk/gristmill/plugins/scaffold"
)

// A program built from source says that the project works on this machine only.
func TestPluginNewSaysWhereTheSDKIs(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "cold")
	out, err := run(t, "", "plugin", "new", "cold", "--dir", dir, "--data-dir", t.TempDir())
	require.NoError(t, err)
	require.Contains(t, out, "source tree")
	require.Contains(t, out, "this machine only")
	require.Contains(t, out, "gristmill plugin test")
	require.FileExists(t, filepath.Join(dir, "go.mod"))

	_, err = run(t, "", "plugin", "new", "cold", "--dir", dir, "--data-dir", t.TempDir())
	require.ErrorContains(t, err, "is there already")

	out, err = run(t, "", "plugin", "new", "cold", "--dir", filepath.Join(t.TempDir(), "c"), "--sdk", "../..", "--json", "--data-dir", t.TempDir())
	require.NoError(t, err)
	var p scaffold.Project
	require.NoError(t, json.Unmarshal([]byte(out), &p))
	require.Equal(t, "example.com/cold", p.Module)
	require.NotEmpty(t, p.SDK.Source)
}

func TestStepsAndVerdict(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	writeStep(&out, node.CheckStep{Name: "go test", Result: "exit status 1\nFAIL x", MS: 1500})
	require.Equal(t, "FAILED  go test             1.5 s  exit status 1\n        FAIL x\n", out.String())
	out.Reset()
	require.NoError(t, writeVerdict(&out, node.PluginReport{Steps: []node.CheckStep{{Name: "prove"}}, MS: 2000}))
	require.Equal(t, "failed: prove, after 2.0 s\n", out.String())
	out.Reset()
	require.NoError(t, writeVerdict(&out, node.PluginReport{Name: "cold", Version: "1", OK: true, MS: 2000}))
	require.Equal(t, "ok: cold 1 in 2.0 s\n", out.String())
}
