package worker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"

	groth16bn254 "github.com/consensys/gnark/backend/groth16/bn254"

	"github.com/gristmill-zk/gristmill/gpu"
	"github.com/gristmill-zk/gristmill/plugins/bundle"
	"github.com/gristmill-zk/gristmill/plugins/bundle/fetch"
	"github.com/gristmill-zk/gristmill/wire"
)

// bundles opens circuits by digest, each once: opening hashes every part and
// proves the known answer.
type bundles struct {
	dir           string
	allowInsecure bool
	trust         *bundle.Policy
	fetcher       *fetch.Fetcher // nil: bundles come by hand

	mu   sync.Mutex
	open map[wire.Hash]*opening
}

type opening struct {
	mu      sync.Mutex
	opened  *opened
	blocked error // why no more work is done under it
}

// opened is a bundle with what a proof under it needs.
type opened struct {
	*bundle.Bundle
	vk  *groth16bn254.VerifyingKey
	key gpu.Key
}

func newBundles(cfg *Config) *bundles {
	return &bundles{dir: cfg.BundleDir, allowInsecure: cfg.AllowInsecure, trust: cfg.Trust, fetcher: cfg.Fetcher, open: map[wire.Hash]*opening{}}
}

// get opens the bundle that a job names. A failure is not remembered: the
// operator may have mended it.
func (b *bundles) get(ctx context.Context, job *wire.Job) (*opened, error) {
	b.mu.Lock()
	o, known := b.open[job.BundleDigest]
	if !known {
		o = new(opening)
		b.open[job.BundleDigest] = o
	}
	b.mu.Unlock()
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.blocked != nil {
		return nil, o.blocked
	}
	if o.opened == nil {
		loaded, err := b.load(ctx, job)
		if err != nil {
			return nil, err
		}
		o.opened = loaded
	}
	return o.opened, fits(o.opened, job)
}

// block ends the work under a bundle until the worker is started again.
func (b *bundles) block(digest wire.Hash, why error) {
	b.mu.Lock()
	o := b.open[digest]
	b.mu.Unlock()
	o.mu.Lock()
	defer o.mu.Unlock()
	o.blocked = why
}

func (b *bundles) load(ctx context.Context, job *wire.Job) (*opened, error) {
	dir, err := b.find(job)
	if err != nil {
		return nil, err
	}
	whole, err := bundle.OpenDigest(ctx, dir, job.BundleDigest)
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if err != nil && b.fetcher != nil {
		return nil, b.wanted(job, fmt.Errorf("the copy in %s is not usable: %w", dir, err))
	}
	if err != nil {
		return nil, failure(CodeBundleBad, true, "this worker's bundle %s in %s is not usable: %v", job.BundleDigest, dir, err)
	}
	if whole.Manifest.Keys == bundle.KeysInsecureDev && !b.allowInsecure {
		return nil, failure(CodeBundleInsecure, false,
			"bundle %s (%s %s) has keys of an insecure development set-up, which this worker refuses: its operator may allow them (--allow-insecure-keys)",
			job.BundleDigest, whole.Manifest.Name, whole.Manifest.Version)
	}
	if err := b.trust.Check(whole); err != nil {
		return nil, failure(CodeBundleUntrusted, false, "bundle %s (%s %s): %v", job.BundleDigest, whole.Manifest.Name, whole.Manifest.Version, err)
	}
	vk, err := whole.VerifyingKey()
	if err != nil {
		return nil, failure(CodeBundleBad, true, "bundle %s: %v", job.BundleDigest, err)
	}
	// A key that does not belong to the circuit shows here, while an offer can
	// still be declined, and not in a proof that is due.
	err = whole.KnownAnswer(ctx)
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if err != nil {
		return nil, failure(CodeBundleBad, true, "this worker's bundle %s in %s is not usable: %v", job.BundleDigest, dir, err)
	}
	part, err := whole.Part(bundle.PartProvingKey)
	if err != nil {
		return nil, failure(CodeBundleBad, true, "bundle %s: %v", job.BundleDigest, err)
	}
	return &opened{Bundle: whole, vk: vk, key: gpu.Key{
		ID:   gpu.KeyID(part.SHA256),
		Size: part.Size,
		Open: func() (io.ReadCloser, error) { return whole.OpenPart(bundle.PartProvingKey) },
	}}, nil
}

// find looks in the worker's own directory, then where the project says if
// that is on this machine. The digest decides, so a path is only a hint.
func (b *bundles) find(job *wire.Job) (string, error) {
	own := filepath.Join(b.dir, bundle.DirName(job.BundleDigest))
	if _, err := os.Stat(own); err == nil {
		return own, nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return "", failure(CodeBundleMissing, true, "look for bundle %s: %v", job.BundleDigest, err)
	}
	if dir, local := localPath(job.BundleURI); local {
		if _, err := os.Stat(filepath.Join(dir, bundle.ManifestName)); err == nil {
			return dir, nil
		}
	}
	if b.fetcher != nil {
		return "", b.wanted(job, nil)
	}
	return "", failure(CodeBundleMissing, true, "this worker has no bundle %s: put it into %s, by gristmill plugin pull or by hand, or have it fetched (--bundle-source); the project names %q as its source", job.BundleDigest, own, job.BundleURI)
}

// localPath is the directory of a file:// URI or an absolute path.
func localPath(uri string) (string, bool) {
	if filepath.IsAbs(uri) {
		return filepath.Clean(uri), true
	}
	u, err := url.Parse(uri)
	if err != nil || !strings.EqualFold(u.Scheme, "file") || (u.Host != "" && u.Host != "localhost") || !filepath.IsAbs(u.Path) {
		return "", false
	}
	return filepath.Clean(u.Path), true
}

// fits checks that the bundle is for what the project version pins beside it:
// with another size, key or number of outputs no one would ever take a proof,
// and an offer accepted for it would cost the prover its bond.
func fits(o *opened, job *wire.Job) error {
	m := &o.Manifest
	for _, pin := range []struct {
		what         string
		pinned, have any
	}{
		{"verifying key", job.VKID, m.VKID},
		{"number of outputs", int(job.Outputs), len(m.Circuit.Outputs)},
		{"batch size", job.BatchSize, m.Circuit.BatchSize},
		{"payload limit", job.PayloadLimit, m.Circuit.PayloadLimit},
	} {
		if pin.pinned != pin.have {
			return failure(CodeBundleMismatch, false, "project %d version %d pins the %s %v, that of its bundle %s is %v",
				job.Project, job.Version, pin.what, pin.pinned, job.BundleDigest, pin.have)
		}
	}
	return nil
}
