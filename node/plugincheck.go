package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/consensys/gnark-crypto/ecc/bn254"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr"

	"github.com/gristmill-zk/gristmill/gpu"
	"github.com/gristmill-zk/gristmill/gpu/cpu"
	"github.com/gristmill-zk/gristmill/internal/groth16vk"
	"github.com/gristmill-zk/gristmill/plugins/bundle"
	"github.com/gristmill-zk/gristmill/plugins/conformance"
	"github.com/gristmill-zk/gristmill/plugins/host"
	"github.com/gristmill-zk/gristmill/plugins/sandbox"
	"github.com/gristmill-zk/gristmill/plugins/sdk/golden"
	"github.com/gristmill-zk/gristmill/wire"
	"github.com/gristmill-zk/gristmill/worker"
)

// CheckOptions is `gristmill plugin test`.
type CheckOptions struct {
	PluginSource
	Bundles string       // where bundles are kept, so that keys are made once
	NoTests bool         // leave out the plugin's own Go tests
	Sandbox sandbox.Mode // what to do about layers that this machine lacks; empty: sandbox.BestEffort
	Logger  *slog.Logger
	// Step is told each step when it is done. Nil: nobody listens.
	Step func(CheckStep)
}

// CheckStep is one step of a check.
type CheckStep struct {
	Name   string  `json:"step"`
	Result string  `json:"result"` // what was found, or what went wrong
	OK     bool    `json:"ok"`
	MS     float64 `json:"ms"`
}

// PluginReport is what a check of a plugin found.
type PluginReport struct {
	Name    string      `json:"name"`
	Version string      `json:"version"`
	Digest  wire.Hash   `json:"bundle_digest"`
	Dir     string      `json:"bundle"`
	Steps   []CheckStep `json:"steps"`
	OK      bool        `json:"ok"`
	MS      float64     `json:"ms"`
}

// CheckPlugin runs a plugin through everything that a task goes through: its own
// tests, the bundle with development keys, the subprocess that solves good
// messages and refuses wrong ones, a proof, and the check of the proof by this
// program and by the contracts. It ends with the first step that fails, whose
// error it returns.
func CheckPlugin(ctx context.Context, opts CheckOptions) (PluginReport, error) {
	if err := opts.validate(); err != nil {
		return PluginReport{}, err
	}
	if opts.Logger == nil {
		opts.Logger = slog.Default()
	}
	c := &pluginCheck{opts: opts}
	defer c.close()
	start := time.Now()
	err := c.run(ctx)
	c.OK, c.MS = err == nil, milliseconds(time.Since(start))
	return c.PluginReport, err
}

// pluginCheck is one under way.
type pluginCheck struct {
	PluginReport
	opts    CheckOptions
	bundle  *bundle.Bundle
	host    *host.Host
	circuit *host.Circuit
	engine  gpu.Engine
	key     gpu.Key
	payload [][]byte // of the plugin's own sample
	trial   *trial
	sample  host.Task
	solved  *host.Solution
	proof   wire.Proof
	inputs  []fr.Element
}

func (c *pluginCheck) close() {
	if c.solved != nil {
		c.solved.Release()
	}
	if c.host != nil {
		if err := c.host.Close(); err != nil {
			c.opts.Logger.Warn("plugin host ended badly", slog.Any("error", err))
		}
	}
	if c.engine != nil {
		if err := c.engine.Close(); err != nil {
			c.opts.Logger.Warn("engine ended badly", slog.Any("error", err))
		}
	}
}

func (c *pluginCheck) run(ctx context.Context) error {
	for _, step := range []struct {
		name string
		do   func(context.Context) (string, error)
	}{
		{"go test", c.goTest},
		{"bundle", c.build},
		{"protocol", c.protocol},
		{"solve", c.solve},
		{"good messages", c.good},
		{"wrong messages", c.wrong},
		{"prove", c.prove},
		{"verify", c.verify},
		{"contracts", c.onChain},
	} {
		start := time.Now()
		result, err := step.do(ctx)
		if err == nil && result == "" {
			continue // nothing of this kind to do
		}
		done := CheckStep{Name: step.name, Result: result, OK: err == nil, MS: milliseconds(time.Since(start))}
		if err != nil {
			done.Result = err.Error()
		}
		c.Steps = append(c.Steps, done)
		if c.opts.Step != nil {
			c.opts.Step(done)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", step.name, err)
		}
	}
	return nil
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func (c *pluginCheck) goTest(ctx context.Context) (string, error) {
	if c.opts.Source == "" || c.opts.NoTests {
		return "", nil
	}
	cmd := exec.CommandContext(ctx, "go", "test", "./...")
	cmd.Dir = c.opts.Source
	cmd.Env = os.Environ()
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%w\n%s", err, shortened(out))
	}
	packages := 0
	for line := range bytes.Lines(out) {
		if bytes.HasPrefix(line, []byte("ok ")) {
			packages++
		}
	}
	if packages == 0 {
		return "no package has tests", nil
	}
	return fmt.Sprintf("%d packages pass", packages), nil
}

func (c *pluginCheck) build(ctx context.Context) (string, error) {
	fresh := false
	b, err := bundle.Build(ctx, bundle.BuildConfig{
		Source: c.opts.Source, Binary: c.opts.Binary, BatchSize: c.opts.BatchSize, OutDir: c.opts.Bundles,
		AllowInsecure: true, Reuse: true, Logger: c.opts.Logger,
		Progress: func(stage string) { fresh = fresh || stage == "make keys" },
	})
	if err != nil {
		return "", err
	}
	c.bundle = b
	m := &b.Manifest
	c.Name, c.Version, c.Digest, c.Dir = m.Name, m.Version, b.Digest, b.Dir
	keys := "keys as before"
	if fresh {
		keys = "new development keys"
	}
	return fmt.Sprintf("%s %s: %d constraints, %d outputs, %d messages of at most %d bytes; %s",
		m.Name, m.Version, m.Circuit.Constraints, len(m.Circuit.Outputs), m.Circuit.BatchSize, m.Circuit.PayloadLimit, keys), nil
}

// protocol speaks to the plugin without the host in between.
func (c *pluginCheck) protocol(ctx context.Context) (string, error) {
	var err error
	if c.payload, err = samplePayloads(ctx, c.bundle); err != nil {
		return "", err
	}
	results, err := conformance.Run(ctx, conformance.Plugin{Bundle: c.bundle, Good: c.payload})
	if err == nil {
		err = conformance.Failed(results)
	}
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%d checks of docs/plugin-protocol.md pass", len(results)), nil
}

// solve has the plugin solve its own sample, in a process as a worker runs it.
func (c *pluginCheck) solve(ctx context.Context) (string, error) {
	var err error
	if c.trial, err = newTrial(&c.bundle.Manifest.Circuit); err != nil {
		return "", err
	}
	if err := c.openEngine(); err != nil {
		return "", err
	}
	if c.sample, err = c.trial.task(c.payload, nil); err != nil {
		return "", fmt.Errorf("the sample messages: %w", err)
	}
	if c.host, err = host.New(host.Config{Sandbox: c.opts.Sandbox, Logger: slog.New(expected{c.opts.Logger.Handler()})}); err != nil {
		return "", err
	}
	if c.circuit, err = c.host.Open(ctx, c.bundle); err != nil {
		return "", err
	}
	if c.solved, err = c.circuit.Solve(ctx, c.sample); err != nil {
		return "", fmt.Errorf("the sample messages: %w", err)
	}
	return fmt.Sprintf("sample solved in %.0f ms: %s", c.solved.SolveMS, c.named(c.solved.Outputs)), nil
}

// named writes outputs with their names.
func (c *pluginCheck) named(outputs []fr.Element) string {
	const most = 6
	names := c.bundle.Manifest.Circuit.Outputs
	var parts []string
	for i := range outputs {
		if i == most {
			parts = append(parts, "…")
			break
		}
		parts = append(parts, names[i]+" "+outputs[i].String())
	}
	return strings.Join(parts, ", ")
}

// good solves the golden messages and compares the outputs.
func (c *pluginCheck) good(ctx context.Context) (string, error) {
	cases, err := c.opts.goldenCases()
	if err != nil || cases == nil {
		return "", err
	}
	for i := range cases.Good {
		if err := c.solveCase(ctx, &cases.Good[i]); err != nil {
			return "", fmt.Errorf("%q: %w", cases.Good[i].Name, err)
		}
	}
	return fmt.Sprintf("%d of %s give their outputs", len(cases.Good), golden.FileName), nil
}

func (c *pluginCheck) solveCase(ctx context.Context, g *golden.Case) error {
	task, err := c.trial.task(g.Bytes(), nil)
	if err != nil {
		return err
	}
	s, err := c.circuit.Solve(ctx, task)
	if err != nil {
		return err
	}
	names := c.bundle.Manifest.Circuit.Outputs
	known := map[string]bool{}
	for i, name := range names {
		known[name] = true
		if want, given := g.Outputs[name]; given && want != s.Outputs[i].String() {
			return fmt.Errorf("output %s is %s, want %s", name, s.Outputs[i].String(), want)
		}
	}
	for name := range g.Outputs {
		if !known[name] {
			return fmt.Errorf("the circuit has no output %s (it has %s)", name, strings.Join(names, ", "))
		}
	}
	return nil
}

// wrong expects the plugin to refuse what is wrong in itself, and the golden
// messages that are wrong in its own eyes.
func (c *pluginCheck) wrong(ctx context.Context) (string, error) {
	cases, err := c.opts.goldenCases()
	if err != nil {
		return "", err
	}
	spoiled, err := c.spoiled()
	if err != nil {
		return "", err
	}
	refused := 0
	for _, s := range spoiled {
		if err := c.refuses(ctx, s.task); err != nil {
			return "", fmt.Errorf("%s: %w", s.name, err)
		}
		refused++
	}
	if cases == nil {
		return fmt.Sprintf("%d forged tasks refused; %s would hold the circuit's own", refused, golden.FileName), nil
	}
	for i := range cases.Wrong {
		task, err := c.trial.task(cases.Wrong[i].Bytes(), nil)
		if err == nil {
			err = c.refuses(ctx, task)
		}
		if err != nil {
			return "", fmt.Errorf("%q: %w", cases.Wrong[i].Name, err)
		}
	}
	return fmt.Sprintf("%d forged tasks and %d of %s refused", refused, len(cases.Wrong), golden.FileName), nil
}

// spoiledTask is one that no plugin may solve.
type spoiledTask struct {
	name string
	task host.Task
}

// spoiled are tasks made of the sample that are wrong whatever the circuit is.
func (c *pluginCheck) spoiled() ([]spoiledTask, error) {
	forged, err := c.trial.task(c.payload, func(b *wire.Body) { b.Messages[0].Nonce++ })
	if err != nil {
		return nil, err
	}
	foreign := c.sample
	foreign.DataCommitment = wire.ElementHash(fr.One())
	torn := c.sample
	torn.Body = torn.Body[:len(torn.Body)-1]
	return []spoiledTask{
		{"a message changed after it was signed", forged},
		{"a data commitment of other messages", foreign},
		{"a body cut short", torn},
	}, nil
}

// refuses says whether the plugin refuses a task as it should: by saying so.
func (c *pluginCheck) refuses(ctx context.Context, task host.Task) error {
	s, err := c.circuit.Solve(ctx, task)
	if err == nil {
		return fmt.Errorf("the plugin solved it: %s", c.named(s.Outputs))
	}
	var failed *host.Error
	if errors.As(err, &failed) && (failed.Code == host.CodeBadTask || failed.Code == host.CodeUnsatisfied) {
		return nil
	}
	return fmt.Errorf("the plugin did not refuse it but failed: %w", err)
}

// openEngine makes the engine that proves, and that commits for circuits which
// use a commitment.
func (c *pluginCheck) openEngine() (err error) {
	if c.key, err = bundleKey(c.bundle); err != nil {
		return err
	}
	if c.engine, err = cpu.New(cpu.Config{Parallel: 1, TablesAfter: -1}); err != nil {
		return err
	}
	c.trial.commit = func(ctx context.Context, values fr.Vector) (bn254.G1Affine, error) {
		return c.engine.Commit(ctx, c.key, 0, values)
	}
	return nil
}

func (c *pluginCheck) prove(ctx context.Context) (string, error) {
	if err := c.engine.Load(ctx, c.key); err != nil {
		return "", err
	}
	blinding, err := gpu.NewBlinding()
	if err != nil {
		return "", err
	}
	start := time.Now()
	proof, err := c.engine.Prove(ctx, gpu.Request{Key: c.key, Blinding: blinding, Solution: worker.EngineSolution(c.solved)})
	if err != nil {
		return "", err
	}
	c.proof = worker.WireProof(proof)
	return fmt.Sprintf("on the processor in %.0f ms", milliseconds(time.Since(start))), nil
}

// bundleKey is a bundle's proving key as engines read it.
func bundleKey(b *bundle.Bundle) (gpu.Key, error) {
	part, err := b.Part(bundle.PartProvingKey)
	if err != nil {
		return gpu.Key{}, err
	}
	path, err := b.Path(bundle.PartProvingKey)
	if err != nil {
		return gpu.Key{}, err
	}
	return gpu.FileKey(gpu.KeyID(part.SHA256), path)
}

// verify checks the proof, and that it proves nothing else.
func (c *pluginCheck) verify(context.Context) (string, error) {
	vk, err := c.bundle.VerifyingKey()
	if err != nil {
		return "", err
	}
	outputs := make([]wire.Hash, len(c.solved.Outputs))
	for i := range outputs {
		outputs[i] = wire.ElementHash(c.solved.Outputs[i])
	}
	if c.inputs, err = wire.PublicInputs(c.sample.Deployment, c.sample.ID, c.sample.Prover, c.sample.DataCommitment, outputs); err != nil {
		return "", err
	}
	start := time.Now()
	if err := groth16vk.Verify(vk, c.proof, c.inputs); err != nil {
		return "", err
	}
	took := time.Since(start)
	for i := range c.inputs {
		if groth16vk.Verify(vk, c.proof, altered(c.inputs, i)) == nil {
			return "", fmt.Errorf("the proof verifies under another value of public input %d", i)
		}
	}
	return fmt.Sprintf("in %.1f ms; refused with any of %d public inputs altered", milliseconds(took), len(c.inputs)), nil
}

// altered are inputs with one of them one more.
func altered(inputs []fr.Element, i int) []fr.Element {
	out := append([]fr.Element(nil), inputs...)
	one := fr.One()
	out[i].Add(&out[i], &one)
	return out
}

// expected is a log in which refusals, which a check asks for, are no warnings.
type expected struct{ slog.Handler }

// Enabled implements slog.Handler.
func (e expected) Enabled(ctx context.Context, level slog.Level) bool {
	if level == slog.LevelWarn {
		level = slog.LevelDebug
	}
	return e.Handler.Enabled(ctx, level)
}

// WithAttrs implements slog.Handler.
func (e expected) WithAttrs(attrs []slog.Attr) slog.Handler {
	return expected{e.Handler.WithAttrs(attrs)}
}

// WithGroup implements slog.Handler.
func (e expected) WithGroup(name string) slog.Handler { return expected{e.Handler.WithGroup(name)} }
