package node

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gristmill-zk/gristmill/plugins/bundle"
	"github.com/gristmill-zk/gristmill/plugins/scaffold"
	"github.com/gristmill-zk/gristmill/wire"
)

// TestPluginFromNothing goes the way of a team: a new project, tried out, put
// on a running deployment, settled, edited and put there again.
func TestPluginFromNothing(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles plugins and runs a deployment")
	}
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	dir := newDir(t)
	sdk, err := scaffold.FindSDK("", "(devel)", ".")
	require.NoError(t, err)
	project, err := scaffold.New(ctx, scaffold.Config{Name: "cold", Dir: filepath.Join(t.TempDir(), "cold"), SDK: sdk})
	require.NoError(t, err)

	// A smaller circuit: the whole one is tested beside its template.
	replaceIn(t, filepath.Join(project.Dir, "circuit", "circuit.go"), "New:  ", "UncheckedSignatures: true, New: ")

	binary := checkProject(ctx, t, dir, project.Dir)

	opts := DemoLocal()
	// Whatever plugin is named serves as the local project's: this one's bundle
	// is there already.
	opts.Mining.Bits, opts.Terms.MaxWait, opts.Plugin = "1e7fffff", time.Second, binary
	role := RoleOptions{Dir: dir, Logger: slog.New(slog.DiscardHandler)}
	require.NoError(t, serveOnce(ctx, role, func(ctx context.Context, g *group) error {
		l, err := startLocal(ctx, g, opts, observers{})
		if err != nil {
			return err
		}
		s, err := Connect(ctx, RoleOptions{Dir: dir, Logger: g.opts.Logger})
		if err != nil {
			return err
		}
		defer s.Close()
		return develop(ctx, t, s, l.state.Project, project.Dir)
	}))
}

func replaceIn(t *testing.T, path, old, replacement string) {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Contains(t, string(text), old)
	require.NoError(t, os.WriteFile(path, []byte(strings.Replace(string(text), old, replacement, 1)), 0o600))
}

// checkProject runs a new project through everything, then with golden messages
// that lie, and returns its plugin.
func checkProject(ctx context.Context, t *testing.T, dir DataDir, source string) string {
	opts := CheckOptions{PluginSource: PluginSource{Source: source}, Bundles: dir.Path("bundles"), Logger: slog.New(slog.DiscardHandler), NoTests: true}
	report, err := CheckPlugin(ctx, opts)
	require.NoError(t, err)
	require.True(t, report.OK)
	require.Equal(t, "cold", report.Name)
	var names []string
	for _, step := range report.Steps {
		require.True(t, step.OK, step.Name)
		names = append(names, step.Name)
	}
	require.Equal(t, []string{"bundle", "protocol", "solve", "good messages", "wrong messages", "prove", "verify", "contracts"}, names)
	require.Contains(t, report.Steps[0].Result, "new development keys")
	require.Contains(t, report.Steps[2].Result, "warmest 2821, tooWarm 1, readings 2")

	b, err := bundle.Open(ctx, report.Dir)
	require.NoError(t, err)
	lie(ctx, t, opts, b)
	binary, err := b.Path(bundle.PartPlugin)
	require.NoError(t, err)
	return binary
}

// lie gives the plugin golden messages that say what is not so.
func lie(ctx context.Context, t *testing.T, opts CheckOptions, b *bundle.Bundle) {
	t.Helper()
	c := &pluginCheck{opts: opts, bundle: b}
	defer c.close()
	var err error
	c.payload, err = samplePayloads(ctx, b)
	require.NoError(t, err)
	_, err = c.solve(ctx)
	require.NoError(t, err)
	path := filepath.Join(opts.Source, "messages.json")
	honest, err := os.ReadFile(path)
	require.NoError(t, err)
	for said, want := range map[[2]string]string{
		{`"warmest": "2900"`, `"warmest": "2901"`}: `"one cold, one too warm": output warmest is 2900, want 2901`,
		{`"warmest": "2900"`, `"coldest": "2900"`}: "has no output coldest",
		{`"020ae6`, `"010ae6`}:                     `"unknown format": the plugin solved it`,
	} {
		require.NoError(t, os.WriteFile(path, []byte(strings.Replace(string(honest), said[0], said[1], 1)), 0o600))
		_, good := c.good(ctx)
		_, wrong := c.wrong(ctx)
		require.ErrorContains(t, errors.Join(good, wrong), want)
	}
	require.NoError(t, os.WriteFile(path, honest, 0o600))
}

// A check ends with the step that fails.
func TestCheckStopsAtTheFirstFailure(t *testing.T) {
	t.Parallel()
	var told []string
	report, err := CheckPlugin(t.Context(), CheckOptions{
		PluginSource: PluginSource{Binary: "/bin/false"}, Bundles: t.TempDir(), Logger: slog.New(slog.DiscardHandler),
		Step: func(s CheckStep) { told = append(told, s.Name) },
	})
	require.ErrorContains(t, err, "bundle: ")
	require.False(t, report.OK)
	require.Equal(t, []string{"bundle"}, told)
	require.False(t, report.Steps[0].OK)
}

// develop puts the project on the deployment, edits it and puts it there again.
func develop(ctx context.Context, t *testing.T, s *Session, meter uint64, source string) error {
	opts := DevOptions{PluginSource: PluginSource{Source: source}, Send: -1, Terms: DemoLocal().Terms}
	first, err := s.DevPlugin(ctx, opts)
	if err != nil {
		return err
	}
	require.True(t, first.NewProject)
	require.NotEqual(t, meter, first.Project)
	require.EqualValues(t, 1, first.Version)
	require.Equal(t, []string{"cold-1", "cold-2"}, first.Devices)
	require.Len(t, first.Sent, 2)
	require.Len(t, first.Tasks, 1)
	require.Equal(t, "settled", first.Tasks[0].Status)
	require.NotEqual(t, wire.Hash{}, first.Tasks[0].SettledTx)
	require.Equal(t, map[string]string{"warmest": "2821", "tooWarm": "1", "readings": "2"}, first.Outputs[0])
	require.Equal(t, "gristmill send --project 2 --device cold-1 --set temperature=… --wait", first.SendHint())
	payload, err := s.TemplatePayload(first.Project, []string{"temperature=2800"})
	if err != nil {
		return err
	}
	require.Len(t, payload, 11)

	opts.Send = 0
	again, err := s.DevPlugin(ctx, opts)
	if err != nil {
		return err
	}
	require.False(t, again.NewProject)
	require.False(t, again.NewVersion)
	require.Equal(t, first.Bundle.Digest, again.Bundle.Digest)

	replaceIn(t, filepath.Join(source, "circuit", "circuit.go"), `"0.1.0"`, `"0.2.0"`)
	edited, err := s.DevPlugin(ctx, opts)
	if err != nil {
		return err
	}
	require.Equal(t, first.Project, edited.Project)
	require.True(t, edited.NewVersion)
	require.EqualValues(t, 2, edited.Version)
	require.NotEqual(t, first.Bundle.Digest, edited.Bundle.Digest)
	return nil
}

func TestDevNeedsALocalDeployment(t *testing.T) {
	t.Parallel()
	s := &Session{opts: RoleOptions{Dir: newDir(t)}}
	_, err := s.DevPlugin(t.Context(), DevOptions{PluginSource: PluginSource{Binary: "x"}})
	require.ErrorContains(t, err, "gristmill up")
	_, err = s.DevPlugin(t.Context(), DevOptions{})
	require.ErrorContains(t, err, "nothing to run")
}

func TestSendHintWithoutTemplate(t *testing.T) {
	t.Parallel()
	d := Dev{Project: 3, Devices: []string{"x-1"}, Sample: "00ff"}
	require.Equal(t, "gristmill send --project 3 --device x-1 --hex 00ff --wait", d.SendHint())
}

func TestOnceLeavesOutRepetitions(t *testing.T) {
	t.Parallel()
	var said []string
	say := once(func(line string) { said = append(said, line) })
	for _, line := range []string{"message 1", "message 1", "  0.1 s  mined", "  2.0 s  settled", "  0.0 s  settled"} {
		say(line)
	}
	require.Equal(t, []string{"message 1", "message 1", "  0.1 s  mined", "  2.0 s  settled"}, said)
}
