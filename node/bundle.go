package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/gristmill-zk/gristmill/plugins/bundle"
	"github.com/gristmill-zk/gristmill/wire"
)

// BuildOptions says how to build a circuit's bundle.
type BuildOptions struct {
	Source    string // folder of the circuit's main package
	Binary    string // or a plugin binary built before
	Out       string // parent of the bundle's folder
	BatchSize int    // 0: the circuit's default
	Fresh     bool   // make keys anew, also when Out has some of the same circuit
	Keys      string // directory of a ceremony or bundle whose keys are taken
	Platforms []string
	Logger    *slog.Logger
	Progress  func(line string)
}

// BundleView is a bundle and what its manifest says.
type BundleView struct {
	Dir      string          `json:"dir"`
	Digest   wire.Hash       `json:"digest"`
	Manifest bundle.Manifest `json:"manifest"`
}

func viewBundle(b *bundle.Bundle) BundleView {
	return BundleView{Dir: b.Dir, Digest: b.Digest, Manifest: b.Manifest}
}

// tellEvery is how often something that takes long says that it goes on.
const tellEvery = 2 * time.Second

// BuildBundle builds a circuit's bundle with keys made before, or with keys of a
// local setup: those of a bundle that is there if it is of the same plugin and
// circuit.
func BuildBundle(ctx context.Context, opts BuildOptions) (BundleView, error) {
	if opts.Source == "" && opts.Binary == "" {
		return BundleView{}, errors.New("nothing to build: name the circuit's folder, or a plugin with --binary")
	}
	cfg := bundle.BuildConfig{
		Source: opts.Source, Binary: opts.Binary, BatchSize: opts.BatchSize, OutDir: opts.Out, AllowInsecure: true,
		Reuse: !opts.Fresh, Logger: opts.Logger,
	}
	for _, text := range opts.Platforms {
		platform, err := bundle.ParsePlatform(text)
		if err != nil {
			return BundleView{}, err
		}
		cfg.Platforms = append(cfg.Platforms, platform)
	}
	if opts.Keys != "" {
		keys, err := keySource(ctx, opts.Keys)
		if err != nil {
			return BundleView{}, err
		}
		cfg.Keys = keys
	}
	what := firstOf(opts.Binary, opts.Source)
	stop := keepTelling(ctx, opts.Progress, "building the bundle of "+what)
	defer stop()
	b, err := bundle.Build(ctx, cfg)
	if err != nil {
		return BundleView{}, err
	}
	return viewBundle(b), nil
}

// keepTelling says what is going on, at once and again every two seconds.
func keepTelling(ctx context.Context, tell func(string), what string) (stop func()) {
	if tell == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	start := time.Now()
	tell(what)
	go func() {
		defer close(done)
		ticker := time.NewTicker(tellEvery)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
				tell(fmt.Sprintf("%s: %.0f s", what, time.Since(start).Seconds()))
			}
		}
	}()
	return func() { cancel(); <-done }
}

// bundleDir is where a bundle is kept in a data directory.
func bundleDir(dir DataDir, digest wire.Hash) string {
	return dir.Path("bundles", strings.TrimPrefix(digest.String(), "0x"))
}

// meterBundle gives the meter circuit's bundle: the one used before, else one
// that a start which was killed has left, else one built now.
func meterBundle(ctx context.Context, g *group, local Local, plugin string) (*bundle.Bundle, error) {
	if local.Bundle != (wire.Hash{}) {
		return bundle.Open(ctx, bundleDir(g.opts.Dir, local.Bundle))
	}
	source, binary, err := meterPlugin(plugin)
	if err != nil {
		return nil, err
	}
	stop := keepTelling(ctx, g.say, "meter circuit: compiling it and making its keys (once; insecure-dev-setup)")
	defer stop()
	return bundle.Build(ctx, bundle.BuildConfig{
		Source: source, Binary: binary, OutDir: g.opts.Dir.Path("bundles"), AllowInsecure: true, Reuse: true, Logger: g.opts.Logger,
	})
}

// meterPlugin finds the meter circuit: the binary named, the one next to this
// program, or its source when this runs in a checkout.
func meterPlugin(named string) (source, binary string, err error) {
	if named != "" {
		return "", named, nil
	}
	if self, err := os.Executable(); err == nil {
		if resolved, err := filepath.EvalSymlinks(self); err == nil {
			self = resolved
		}
		if next := filepath.Join(filepath.Dir(self), "plugins", "meter"); isFile(next) {
			return "", next, nil
		}
	}
	if dir := checkout(); dir != "" {
		return filepath.Join(dir, "plugins", "circuits", "meter"), "", nil
	}
	return "", "", errors.New("the meter circuit's plugin is not there: put it at plugins/meter next to gristmill (`make build` does), or name it with --meter-plugin")
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// checkout is the folder, here or above, that has gristmill's source; empty
// when there is none.
func checkout() string {
	dir, err := os.Getwd()
	if err != nil {
		return ""
	}
	for {
		data, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err == nil && strings.Contains(string(data), "module github.com/gristmill-zk/gristmill\n") {
			return dir
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return ""
		}
		dir = parent
	}
}
