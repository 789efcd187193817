package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"

	"github.com/gristmill-zk/gristmill/audit"
	"github.com/gristmill-zk/gristmill/node"
	"github.com/gristmill-zk/gristmill/wire"
)

// run runs the command line as a user would and returns what it printed.
func run(t *testing.T, stdin string, args ...string) (stdout string, err error) {
	t.Helper()
	var out, errs bytes.Buffer
	root := newRoot(strings.NewReader(stdin), &out, &errs)
	root.SetArgs(args)
	err = root.ExecuteContext(t.Context())
	return out.String(), err
}

func walk(cmd *cobra.Command, visit func(*cobra.Command)) {
	visit(cmd)
	for _, c := range cmd.Commands() {
		if c.Name() != "help" && c.Name() != "completion" {
			walk(c, visit)
		}
	}
}

func TestEveryCommandTeaches(t *testing.T) {
	t.Parallel()
	walk(newRoot(nil, os.Stdout, os.Stderr), func(cmd *cobra.Command) {
		require.NotEmpty(t, cmd.Short, cmd.CommandPath())
		require.NotContains(t, strings.TrimSuffix(cmd.Short, "."), ". ", "%s: Short is one sentence", cmd.CommandPath())
		if cmd.HasSubCommands() || !cmd.HasLocalFlags() {
			return
		}
		require.NotEmpty(t, cmd.Example, "%s has flags and no example", cmd.CommandPath())
		for line := range strings.SplitSeq(cmd.Example, "\n") {
			require.True(t, strings.HasPrefix(line, "  "), "%s: examples are indented by two: %q", cmd.CommandPath(), line)
		}
	})
}

// TestExamplesParse runs every example's flags through its command's parser.
func TestExamplesParse(t *testing.T) {
	t.Parallel()
	seen := 0
	walk(newRoot(nil, os.Stdout, os.Stderr), func(cmd *cobra.Command) {
		for line := range strings.SplitSeq(cmd.Example+"\n"+cmd.Long, "\n") {
			line, is := strings.CutPrefix(line, "  gristmill ")
			if !is {
				continue
			}
			line, _, _ = strings.Cut(line, " | ")
			line, _, _ = strings.Cut(line, " < ")
			line, _, _ = strings.Cut(line, "   #")
			root := newRoot(nil, os.Stdout, os.Stderr)
			found, rest, err := root.Find(strings.Fields(line))
			require.NoError(t, err, line)
			require.NotEqual(t, root, found, line)
			require.NoError(t, found.ParseFlags(rest), line)
			seen++
		}
	})
	require.Greater(t, seen, 30)
}

func TestEveryPromisedCommandIsThere(t *testing.T) {
	t.Parallel()
	have := map[string]bool{}
	walk(newRoot(nil, os.Stdout, os.Stderr), func(cmd *cobra.Command) { have[commandKey(cmd)] = true })
	for _, want := range []string{
		"demo", "up", "devnet", "deploy", "sequencer", "miner", "scheduler", "worker", "key new", "key import", "key ls",
		"project create", "project deposit", "project device add", "project show", "prover join", "prover stake",
		"prover optin", "prover claim", "prover status", "device new", "send", "task ls", "task show", "proof export",
		"audit", "plugin new", "plugin test", "plugin dev", "plugin build", "plugin inspect", "version",
	} {
		require.True(t, have[want], want)
	}
}

func TestSettingsPrecedence(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "config.yaml"), []byte("log-level: info\nworker:\n  slots: 7\n  name: from-file\n"), 0o600))
	flags := func(args ...string) *cobra.Command {
		root := newRoot(nil, os.Stdout, os.Stderr)
		cmd, rest, err := root.Find(append([]string{"worker"}, args...))
		require.NoError(t, err)
		require.NoError(t, cmd.ParseFlags(append(rest, "--data-dir", dir)))
		require.NoError(t, applySettings(cmd))
		return cmd
	}
	value := func(cmd *cobra.Command, name string) string { return cmd.Flags().Lookup(name).Value.String() }
	cmd := flags()
	require.Equal(t, "7", value(cmd, "slots"), "file")
	require.Equal(t, "info", value(cmd, "log-level"), "file, top level")
	require.Equal(t, "", value(cmd, "redis"), "default")
	t.Setenv("GRISTMILL_SLOTS", "8")
	require.Equal(t, "8", value(flags(), "slots"), "environment over file")
	require.Equal(t, "9", value(flags("--slots", "9"), "slots"), "flag over environment")
	require.Equal(t, "from-file", value(flags("--slots", "9"), "name"))
}

func TestMistakesInTheConfigFileAreNamed(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"slotz: 1":                   "slotz is no setting",
		"worker:\n  listen: x":       "listen is no setting",
		"wroker:\n  slots: 1":        "wroker is no command",
		"worker:\n  slots: many":     "slots",
		"data-dir: /elsewhere":       "data-dir cannot be set",
		"log-level: [":               "config.yaml",
		"worker:\n  drain: 10 weeks": "drain",
	} {
		dir := t.TempDir()
		require.NoError(t, os.WriteFile(filepath.Join(dir, "config.yaml"), []byte(text), 0o600))
		_, err := run(t, "", "worker", "--data-dir", dir, "--redis", "127.0.0.1:1")
		require.ErrorContains(t, err, want, text)
	}
}

func TestKeysAreMadeImportedAndListed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	password := filepath.Join(t.TempDir(), "password")
	require.NoError(t, os.WriteFile(password, []byte("secret\n"), 0o600))
	const secret = "0x4c0883a69102937d6231471b5dbb6204fe5129617082792ae468d01a3f362318"
	const address = "0x2c7536E3605D9C16a7a3D7b1898e529396a65c23"
	out, err := run(t, secret+"\n", "key", "import", "old", "--data-dir", dir, "--password-file", password, "--json")
	require.NoError(t, err)
	require.Contains(t, strings.ToLower(out), strings.ToLower(address))
	_, err = run(t, secret+"\n", "key", "import", "old", "--data-dir", dir, "--password-file", password)
	require.ErrorContains(t, err, "already there")
	_, err = run(t, "nonsense", "key", "import", "other", "--data-dir", dir, "--password-file", password)
	require.ErrorContains(t, err, "64 hexadecimal digits")
	_, err = run(t, "", "key", "new", "Bad Name", "--data-dir", dir, "--password-file", password)
	require.ErrorContains(t, err, "name")
	out, err = run(t, "", "key", "ls", "--data-dir", dir, "--json")
	require.NoError(t, err)
	var accounts []node.Account
	require.NoError(t, json.Unmarshal([]byte(out), &accounts))
	require.Len(t, accounts, 1)
	require.Equal(t, address, accounts[0].Address.Hex())
	stored, err := os.ReadFile(filepath.Join(dir, "keys", "old.json"))
	require.NoError(t, err)
	require.NotContains(t, string(stored), secret[2:])
}

func TestClearErrors(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, c := range []struct {
		want string
		args []string
	}{
		{"no node is running", []string{"task", "ls"}},
		{"no node is running", []string{"audit"}},
		{"--registry", []string{"audit", "--rpc", "http://127.0.0.1:1"}},
		{"unknown command", []string{"taks"}},
		{`unknown command "x"`, []string{"task", "x"}},
		{"takes no arguments", []string{"audit", "now"}},
		{"--log-level", []string{"version", "--log-level", "loud"}},
		{"at least 1", []string{"demo", "--tasks", "0"}},
		{"hex", []string{"send"}},
		{"required flag", []string{"proof", "export", "0x00"}},
		{"nothing to build", []string{"plugin", "build"}},
		{`name "Cold Chain"`, []string{"plugin", "new", "Cold Chain"}},
		{"no Go file", []string{"plugin", "test", dir}},
		{"no such file", []string{"plugin", "test", filepath.Join(dir, "none")}},
		{"name one of them", []string{"plugin", "test", dir, "--binary", "x"}},
		{"no node is running", []string{"plugin", "dev", dir}},
		{"no queue", []string{"worker"}},
		{"--slots -1", []string{"worker", "--slots", "-1", "--redis", "127.0.0.1:1"}},
		{"engine is not available", []string{"bench", "prove", "--engines", "abacus"}},
		{"easier than 1e7fffff", []string{"demo", "--genesis-bits", "1f00ffff"}},
		{"unknown flag: --registry", []string{"deploy", "--registry", "0x0000000000000000000000000000000000000001"}},
		{"scheme", []string{"device", "new", "x", "--scheme", "rsa"}},
	} {
		_, err := run(t, "", append(c.args, "--data-dir", dir)...)
		require.ErrorContains(t, err, c.want, "%v", c.args)
	}
}

func TestErrorsAreForPeople(t *testing.T) {
	t.Parallel()
	for have, want := range map[string]string{
		`command/prover join/0123456789abcdef01234567: txmgr: "command/prover join/0123456789abcdef01234567": the prover joined already`: "prover join: the prover joined already",
		`command/project create/0123456789abcdef01234567/version: txmgr: no`:                                                             "project create: txmgr: no",
		"worker: worker: worker: the queue does not answer":                                                                              "worker: the queue does not answer",
		`invalid argument "x" for "--slots" flag: strconv.ParseInt: parsing "x": invalid syntax`:                                         `invalid argument "x" for "--slots" flag: "x" is no number of that kind`,
		"insufficient funds: 0x01 has 1500000000000000000 wei and needs up to 20000000000000000000":                                      "insufficient funds: 0x01 has 1.5 coins and needs up to 20",
		"audit: header of block 2: bits": "audit: header of block 2: bits",
	} {
		require.Equal(t, want, plain(errors.New(have)))
	}
}

func TestExitCodesOfAnAudit(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		err  error
		code int
		json string
	}{
		"all is well":        {nil, 0, `"audit_ok":true`},
		"something is wrong": {fmt.Errorf("audit: %w", &audit.Finding{Stage: audit.StageData, Height: 3, Task: &wire.Hash{1}, What: "other bytes"}), 1, `"finding":{"stage":"data","height":3,"task":"0x0100`},
		"nobody to ask":      {errors.New("connection refused"), 2, `"error":"connection refused"`},
	} {
		var out, errs bytes.Buffer
		a := &app{stdout: &out, stderr: &errs, json: true}
		err := a.auditResult(audit.Report{}, c.err)
		require.Equal(t, c.code, exitCode(&errs, err), name)
		require.Contains(t, out.String(), c.json, name)
		require.Equal(t, c.code == 0, errs.Len() == 0, name)
	}
}

func TestVersionNamesItsParts(t *testing.T) {
	t.Parallel()
	out, err := run(t, "", "version", "--json", "--data-dir", t.TempDir())
	require.NoError(t, err)
	var v versionInfo
	require.NoError(t, json.Unmarshal([]byte(out), &v))
	require.NotEmpty(t, v.Go)
	require.NotEmpty(t, v.Platform)
}
