package oci

import (
	"context"
	"fmt"
	"io"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/gristmill-zk/gristmill/plugins/bundle"
	"github.com/gristmill-zk/gristmill/wire"
)

// Pulled is a bundle that was installed, and where it came from.
type Pulled struct {
	*bundle.Bundle
	Reference string
	Pinned    string // the reference with the artifact's digest
}

// place is where artifacts are read from.
type place interface {
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
	image, shipment, err := describe(ctx, from, r, want)
	if err != nil {
		return nil, fmt.Errorf("oci: pull %s: %w", r, err)
	}
	b, err := bundle.Receive(ctx, shipment, want, store, bundle.Terms{MaxBytes: opts.MaxBytes, Trust: opts.Trust, Progress: opts.tell()})
	if err != nil {
		return nil, fmt.Errorf("oci: pull %s: %w", r, err)
	}
	return &Pulled{Bundle: b, Reference: r.String(), Pinned: r.to(image.String()).String()}, nil
}

// tell says when another part begins.
func (o *Options) tell() func(bundle.Progress) {
	last := "-"
	return func(p bundle.Progress) {
		switch {
		case p.Part == last:
			return
		case p.Part == "":
			o.Progress("check bundle")
		default:
			o.Progress(fmt.Sprintf("pull %s (%d of %d bytes are here)", p.Part, p.Done, p.Total))
		}
		last = p.Part
	}
}

func (r reference) readable(opts *Options) (place, func(), error) {
	if r.layout != "" {
		return openLayout(r.layout)
	}
	repo, err := r.repository(opts)
	return repo, func() {}, err
}

// describe fetches and checks all that says what will come from a reference. With
// want not zero another bundle is an error.
func describe(ctx context.Context, from place, r reference, want wire.Hash) (digest.Digest, *bundle.Shipment, error) {
	d, err := from.Resolve(ctx, r.name)
	if err != nil {
		return "", nil, err
	}
	if err := checkDescriptor(&d); err != nil {
		return "", nil, err
	}
	if r.pinned() && d.Digest.String() != r.name {
		return "", nil, fmt.Errorf("the image manifest %w: it is %s, asked for was %s", ErrAltered, d.Digest, r.name)
	}
	image, err := small(ctx, from, "the image manifest", d)
	if err != nil {
		return "", nil, err
	}
	a, err := parseArtifact(image)
	if err != nil {
		return "", nil, err
	}
	// The config's digest is the bundle's.
	if want != (wire.Hash{}) && a.config.Digest != digestOf(want) {
		return "", nil, &bundle.Error{Part: bundle.ManifestName, Kind: bundle.ErrAltered, Detail: fmt.Sprintf("the bundle's digest is %s, wanted is %s", a.config.Digest, digestOf(want))}
	}
	s := &bundle.Shipment{}
	if s.Manifest, err = small(ctx, from, bundle.ManifestName, a.config); err != nil {
		return "", nil, err
	}
	m, err := bundle.ParseManifest(s.Manifest)
	if err != nil {
		return "", nil, err
	}
	if err := a.checkParts(m); err != nil {
		return "", nil, err
	}
	if a.signatures != nil {
		if s.Signatures, err = small(ctx, from, bundle.SignaturesName, *a.signatures); err != nil {
			return "", nil, err
		}
	}
	s.Open = func(ctx context.Context, p *bundle.Part) (io.ReadCloser, error) {
		return from.Fetch(ctx, a.parts[digestOf(p.SHA256)])
	}
	return d.Digest, s, nil
}

// small fetches a blob of bounded size.
func small(ctx context.Context, from place, what string, d ocispec.Descriptor) ([]byte, error) {
	content, err := from.Fetch(ctx, d)
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
