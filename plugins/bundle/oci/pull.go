package oci

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"

	"github.com/gristmill-zk/gristmill/plugins/bundle"
	"github.com/gristmill-zk/gristmill/wire"
)

// Pulled is a bundle that was installed, and where it came from.
type Pulled struct {
	*bundle.Bundle
	Reference string
	Pinned    string // the reference with the artifact's digest
}

// source is where an artifact is read from.
type source interface {
	Resolve(ctx context.Context, name string) (ocispec.Descriptor, error)
	Fetch(ctx context.Context, d ocispec.Descriptor) (io.ReadCloser, error)
}

// Pull installs the bundle that ref names into a store. With want not zero the
// bundle must have that digest, such as the one that a chain pins.
func Pull(ctx context.Context, ref, store string, want wire.Hash, opts Options) (*Pulled, error) {
	opts.defaults()
	r, err := parseReference(ref)
	if err != nil {
		return nil, err
	}
	from, done, err := r.readable(&opts)
	if err != nil {
		return nil, err
	}
	defer done()
	p := &pull{from: from, opts: opts}
	image, err := p.describe(ctx, r, want)
	if err != nil {
		return nil, fmt.Errorf("oci: pull %s: %w", r, err)
	}
	b, err := p.install(ctx, store)
	if err != nil {
		return nil, fmt.Errorf("oci: pull %s: %w", r, err)
	}
	return &Pulled{Bundle: b, Reference: r.String(), Pinned: r.to(image.String()).String()}, nil
}

func (r reference) readable(opts *Options) (source, func(), error) {
	if r.layout != "" {
		return openLayout(r.layout)
	}
	repo, err := r.repository(opts)
	return repo, func() {}, err
}

// pull is one under way.
type pull struct {
	from     source
	opts     Options
	artifact *artifact
	text     []byte // of manifest.json
	manifest *bundle.Manifest
}

// describe fetches and checks all that says what will come.
func (p *pull) describe(ctx context.Context, r reference, want wire.Hash) (digest.Digest, error) {
	d, err := p.from.Resolve(ctx, r.name)
	if err != nil {
		return "", err
	}
	if err := checkDescriptor(&d); err != nil {
		return "", err
	}
	if r.pinned() && d.Digest.String() != r.name {
		return "", fmt.Errorf("the image manifest %w: it is %s, asked for was %s", ErrAltered, d.Digest, r.name)
	}
	image, err := p.small(ctx, "the image manifest", d)
	if err != nil {
		return "", err
	}
	if p.artifact, err = parseArtifact(image); err != nil {
		return "", err
	}
	if p.text, err = p.small(ctx, bundle.ManifestName, p.artifact.config); err != nil {
		return "", err
	}
	if got := wire.SHA256(p.text); want != (wire.Hash{}) && got != want {
		return "", &bundle.Error{Part: bundle.ManifestName, Kind: bundle.ErrAltered, Detail: fmt.Sprintf("the bundle's digest is %s, wanted is %s", got, want)}
	}
	if p.manifest, err = bundle.ParseManifest(p.text); err != nil {
		return "", err
	}
	return d.Digest, p.artifact.checkParts(p.manifest, p.opts.MaxBytes)
}

// small fetches a blob of bounded size.
func (p *pull) small(ctx context.Context, what string, d ocispec.Descriptor) ([]byte, error) {
	content, err := p.from.Fetch(ctx, d)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	defer content.Close()
	text, err := io.ReadAll(io.LimitReader(content, d.Size+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	if int64(len(text)) != d.Size || digest.FromBytes(text) != d.Digest {
		return nil, fmt.Errorf("%s %w: %d bytes of digest %s came, not %d of %s", what, ErrAltered, len(text), digest.FromBytes(text), d.Size, d.Digest)
	}
	return text, nil
}

// install fetches the parts into a stage and gives the bundle its place.
func (p *pull) install(ctx context.Context, store string) (*bundle.Bundle, error) {
	stage, err := bundle.Stage(store)
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(stage)
	if err := p.checkRoom(stage); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(stage)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	for i := range p.manifest.Parts {
		if err := p.part(ctx, root, &p.manifest.Parts[i]); err != nil {
			return nil, err
		}
	}
	if p.artifact.signatures != nil {
		text, err := p.small(ctx, bundle.SignaturesName, *p.artifact.signatures)
		if err != nil {
			return nil, err
		}
		if err := root.WriteFile(bundle.SignaturesName, text, 0o644); err != nil {
			return nil, err
		}
	}
	if err := root.WriteFile(bundle.ManifestName, p.text, 0o644); err != nil {
		return nil, err
	}
	p.opts.Progress("check bundle")
	return bundle.Install(ctx, stage, store, p.opts.Trust)
}

// checkRoom refuses what would fill the disk.
func (p *pull) checkRoom(dir string) error {
	var total int64
	for _, part := range p.manifest.Parts {
		total += part.Size
	}
	var disk unix.Statfs_t
	if err := unix.Statfs(dir, &disk); err != nil {
		return fmt.Errorf("free space of %s: %w", dir, err)
	}
	if free := int64(disk.Bavail) * disk.Bsize; total > free {
		return fmt.Errorf("the bundle %w: it has %d bytes, the disk has room for %d", ErrTooBig, total, free)
	}
	return nil
}

// part fetches one part, hashing on the way. It reads no more than the manifest
// announces.
func (p *pull) part(ctx context.Context, root *os.Root, part *bundle.Part) (err error) {
	p.opts.Progress(fmt.Sprintf("pull %s (%d bytes)", part.Path, part.Size))
	content, err := p.from.Fetch(ctx, p.artifact.parts[digestOf(part.SHA256)])
	if err != nil {
		return fmt.Errorf("%s: %w", part.Name, err)
	}
	defer content.Close()
	name := filepath.FromSlash(part.Path)
	if err := root.MkdirAll(path.Dir(part.Path), 0o755); err != nil {
		return fmt.Errorf("%s: %w", part.Name, err)
	}
	mode := os.FileMode(0o644)
	if part.Name == bundle.PartPlugin {
		mode = 0o755
	}
	file, err := root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
	if err != nil {
		return fmt.Errorf("%s: %w", part.Name, err)
	}
	hash := sha256.New()
	n, err := io.Copy(io.MultiWriter(file, hash), io.LimitReader(&contextReader{ctx, content}, part.Size+1))
	if err := errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("%s: %w", part.Name, err)
	}
	if got := wire.Hash(hash.Sum(nil)); n != part.Size || got != part.SHA256 {
		return &bundle.Error{Part: part.Name, Kind: bundle.ErrAltered, Detail: fmt.Sprintf("%d bytes of SHA-256 %s came, the manifest says %d of %s", n, got, part.Size, part.SHA256)}
	}
	return nil
}

// contextReader stops reading when its context ends.
type contextReader struct {
	ctx  context.Context
	from io.Reader
}

func (r *contextReader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.from.Read(p)
}
