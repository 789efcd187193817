package bundle

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr/pedersen"
	groth16 "github.com/consensys/gnark/backend/groth16/bn254"
	"github.com/consensys/gnark/logger"

	"github.com/gristmill-zk/gristmill/wire"
)

// BuildConfig says what a bundle is made from.
type BuildConfig struct {
	// Source is the directory of the plugin's main package. It is built with
	// the go command. Either Source or Binary must be set.
	Source string

	// Binary is a plugin executable for this machine.
	Binary string

	// BatchSize is how many messages a task has room for. 0 takes the
	// plugin's own default.
	BatchSize int

	// OutDir is where bundles are kept, each in a directory named after its
	// digest. It is made if missing.
	OutDir string

	// Platforms are further platforms to build the plugin for, from Source. The
	// one of this machine is always built: it says what the circuit is.
	Platforms []Platform

	// Keys are keys made before, by a ceremony or in another bundle. Nil makes
	// some here, by a local setup.
	Keys *KeySource

	// AllowInsecure accepts keys whose trapdoor one machine knew while it made
	// them: those of a local setup, here or before.
	AllowInsecure bool

	// Reuse returns a bundle of OutDir that has the same executables and
	// circuit and keys of a local setup, if there is one, and spares another
	// setup. Without effect when Keys are given.
	Reuse bool

	// Progress is told each stage as it begins. Nil is fine.
	Progress func(stage string)

	// Logger defaults to slog.Default.
	Logger *slog.Logger
}

func (c *BuildConfig) validate() error {
	if (c.Source == "") == (c.Binary == "") {
		return errors.New("bundle: exactly one of Source and Binary must be set")
	}
	if c.OutDir == "" {
		return errors.New("bundle: OutDir must be set")
	}
	if c.BatchSize < 0 || c.BatchSize > wire.MaxBatch {
		return fmt.Errorf("bundle: BatchSize is %d, must be 0 to %d", c.BatchSize, wire.MaxBatch)
	}
	if !c.AllowInsecure && (c.Keys == nil || c.Keys.Origin == KeysInsecureDev) {
		return fmt.Errorf("bundle: refused, a local setup %w: allow it for development only", ErrInsecure)
	}
	if err := c.validatePlatforms(); err != nil {
		return err
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.Progress == nil {
		c.Progress = func(string) {}
	}
	return nil
}

// Names of the files of a bundle made here.
const (
	fileCircuit      = "circuit.r1cs"
	fileDescription  = "description.json"
	fileKnownAnswer  = "known-answer.wires"
	fileProvingKey   = "proving.key"
	fileVerifyingKey = "verifying.key"
	fileEVMKey       = "verifying.key.evm"
)

// quietGnark keeps gnark from logging to standard output, which belongs to the
// command that is running.
var quietGnark = sync.OnceFunc(logger.Disable)

// Build makes a bundle and opens it. OutDir holds either the whole bundle
// afterwards or nothing of it.
func Build(ctx context.Context, cfg BuildConfig) (*Bundle, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	quietGnark()
	dir, err := makeStage(cfg.OutDir)
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	start := time.Now()
	b := &builder{cfg: cfg, dir: dir}
	if err := b.export(ctx); err != nil {
		return nil, err
	}
	if cfg.Reuse && cfg.Keys == nil {
		if old := b.existing(ctx); old != nil {
			return old, nil
		}
	}
	if err := b.keys(ctx); err != nil {
		return nil, err
	}
	if b.manifest.Circuit.Commitments > 0 {
		if err := b.answer(ctx); err != nil {
			return nil, err
		}
	}
	final, err := b.publish(ctx)
	if err != nil {
		return nil, err
	}
	cfg.Logger.InfoContext(ctx, "bundle built", slog.String("name", final.Manifest.Name),
		slog.String("digest", final.Digest.String()), slog.String("dir", final.Dir),
		slog.Uint64("constraints", final.Manifest.Circuit.Constraints), slog.Duration("took", time.Since(start)))
	return final, nil
}

// builder is one build under way in a directory of its own.
type builder struct {
	cfg      BuildConfig
	dir      string
	plugins  []Part // this machine's first; hashed
	manifest Manifest
}

// description is what a plugin's export says.
type description struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	CircuitInfo
}

// export makes the executable and what it says of its circuit.
func (b *builder) export(ctx context.Context) error {
	if err := b.compile(ctx); err != nil {
		return err
	}
	b.cfg.Progress("compile circuit")
	if err := b.run(ctx, "export", "--out", b.dir); err != nil {
		return err
	}
	text, err := os.ReadFile(filepath.Join(b.dir, fileDescription))
	if err != nil {
		return fmt.Errorf("bundle: %w", err)
	}
	var d description
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&d); err != nil {
		return fmt.Errorf("bundle: the plugin's description: %w", err)
	}
	tools := toolsOf(filepath.Join(b.dir, b.plugins[0].Path))
	b.manifest = Manifest{
		Format: FormatVersion, Name: d.Name, Version: d.Version, Circuit: d.CircuitInfo, Tools: tools,
	}
	return os.Remove(filepath.Join(b.dir, fileDescription))
}

// run has the plugin do something.
func (b *builder) run(ctx context.Context, verb string, args ...string) error {
	args = append([]string{verb}, args...)
	if b.cfg.BatchSize != 0 {
		args = append(args, "--batch", strconv.Itoa(b.cfg.BatchSize))
	}
	cmd := exec.CommandContext(ctx, filepath.Join(b.dir, b.plugins[0].Path), args...)
	cmd.Env = []string{}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("bundle: the plugin's %s failed: %w: %s", verb, err, lastLines(out))
	}
	return nil
}

// answer has the plugin make the known answer of a circuit with a commitment,
// which follows from the proving key: it is given the part that commits.
func (b *builder) answer(ctx context.Context) error {
	b.cfg.Progress("solve sample")
	key, err := commitmentKey(filepath.Join(b.dir, fileProvingKey))
	if err != nil {
		return err
	}
	const name = "commitment.key"
	defer os.Remove(filepath.Join(b.dir, name))
	if err := b.write(name, func(w io.Writer) error { _, err := key.WriteRawTo(w); return err }); err != nil {
		return err
	}
	return b.run(ctx, "answer",
		"--circuit", filepath.Join(b.dir, fileCircuit), "--commitment-key", filepath.Join(b.dir, name), "--out", b.dir)
}

// commitmentKey reads the key of the one commitment out of a proving key.
func commitmentKey(path string) (key *pedersen.ProvingKey, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("bundle: %w", err)
	}
	defer f.Close()
	defer func() {
		if p := recover(); p != nil {
			key, err = nil, blame(PartProvingKey, ErrMalformed, "%v", p)
		}
	}()
	var pk groth16.ProvingKey
	if err := pk.ReadDump(f); err != nil {
		return nil, blame(PartProvingKey, ErrMalformed, "%v", err)
	}
	if n := len(pk.CommitmentKeys); n != 1 {
		return nil, blame(PartProvingKey, ErrMismatch, "it has %d commitments, the circuit 1", n)
	}
	return &pk.CommitmentKeys[0], nil
}

// lastLines shortens what a tool printed to what fits into an error.
func lastLines(out []byte) string {
	const most = 2000
	text := strings.TrimSpace(string(out))
	if len(text) > most {
		text = "…" + text[len(text)-most:]
	}
	return text
}

// existing finds a finished bundle with the same executables and circuit.
func (b *builder) existing(ctx context.Context) *Bundle {
	circuit, err := hashFile(filepath.Join(b.dir, fileCircuit))
	if err != nil {
		return nil
	}
	for _, dir := range list(b.cfg.OutDir) {
		old, err := openManifest(dir)
		if err != nil || old.Manifest.Tools != b.manifest.Tools || old.Manifest.Keys != KeysInsecureDev {
			continue
		}
		c, err := old.Part(PartCircuit)
		if err != nil || c.SHA256 != circuit.SHA256 || !old.hasPlugins(b.plugins) {
			continue
		}
		if old, err = Open(ctx, dir); err == nil {
			return old
		}
		b.cfg.Logger.WarnContext(ctx, "bundle is damaged, building another",
			slog.String("dir", dir), slog.Any("error", err))
	}
	return nil
}

// list are the directories of a bundle store, hidden ones excepted.
func list(dir string) []string {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	var out []string
	for _, e := range entries {
		if e.IsDir() && !strings.HasPrefix(e.Name(), ".") {
			out = append(out, filepath.Join(dir, e.Name()))
		}
	}
	return out
}

func (b *builder) write(name string, content func(io.Writer) error) error {
	f, err := os.OpenFile(filepath.Join(b.dir, name), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("bundle: %w", err)
	}
	if err := errors.Join(content(f), f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("bundle: write %s: %w", name, err)
	}
	return nil
}

// publish writes the manifest, checks the bundle as a worker would and moves it
// to its place.
func (b *builder) publish(ctx context.Context) (*Bundle, error) {
	b.cfg.Progress("check bundle")
	for _, p := range append(sortedPlugins(b.plugins), []Part{
		{Name: PartCircuit, Path: fileCircuit},
		{Name: PartProvingKey, Path: fileProvingKey},
		{Name: PartVerifyingKey, Path: fileVerifyingKey},
		{Name: PartVerifyingKeyEVM, Path: fileEVMKey},
		{Name: PartKnownAnswer, Path: fileKnownAnswer},
	}...) {
		hashed, err := hashFile(filepath.Join(b.dir, p.Path))
		if err != nil {
			return nil, err
		}
		// Plugin and circuit were written by others: every part is on disk
		// before the bundle has its name.
		if err := syncFile(filepath.Join(b.dir, p.Path)); err != nil {
			return nil, err
		}
		p.Size, p.SHA256 = hashed.Size, hashed.SHA256
		b.manifest.Parts = append(b.manifest.Parts, p)
	}
	text, err := json.MarshalIndent(&b.manifest, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("bundle: %w", err)
	}
	text = append(text, '\n')
	if err := b.write(ManifestName, func(w io.Writer) error { _, err := w.Write(text); return err }); err != nil {
		return nil, err
	}
	built, err := Open(ctx, b.dir)
	if err != nil {
		return nil, err
	}
	if err := built.KnownAnswer(ctx); err != nil {
		return nil, err
	}
	return built, built.moveTo(b.cfg.OutDir)
}

func syncFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("bundle: %w", err)
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("bundle: %w", err)
	}
	return nil
}

// DirName is the name of a bundle's directory in a store.
func DirName(digest wire.Hash) string { return hex.EncodeToString(digest[:]) }

func hashFile(path string) (Part, error) {
	f, err := os.Open(path)
	if err != nil {
		return Part{}, fmt.Errorf("bundle: %w", err)
	}
	defer f.Close()
	digest, size, err := digestOf(f)
	if err != nil {
		return Part{}, fmt.Errorf("bundle: %w", err)
	}
	return Part{Size: size, SHA256: digest}, nil
}
