package oci

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2"
	"oras.land/oras-go/v2/errdef"

	"github.com/gristmill-zk/gristmill/plugins/bundle"
)

// Options say how to reach a place.
type Options struct {
	// MaxBytes bounds what a pulled bundle may be in all; 0 means
	// bundle.DefaultMaxBytes.
	MaxBytes int64
	// Trust refuses pulled bundles that an operator's allow-list does not have;
	// nil takes all.
	Trust *bundle.Policy
	// DockerConfig is the file that credentials are read from; empty means
	// docker's own ($DOCKER_CONFIG/config.json, else ~/.docker/config.json).
	DockerConfig string
	// Progress is told each transfer as it begins. Nil is fine.
	Progress func(line string)
}

func (o *Options) defaults() {
	if o.Progress == nil {
		o.Progress = func(string) {}
	}
}

// Pushed is where a bundle lies now.
type Pushed struct {
	Reference string // as it was pushed, with its tag
	Pinned    string // the same with the artifact's digest, which cannot change
}

// Push puts a bundle, with its signatures, to where ref says, and tags it with its
// digest in hexadecimal, too: by that tag workers find it. Blobs that are there are
// not sent again.
func Push(ctx context.Context, b *bundle.Bundle, ref string, opts Options) (Pushed, error) {
	opts.defaults()
	r, err := parseReference(ref)
	if err != nil {
		return Pushed{}, err
	}
	if r.pinned() {
		return Pushed{}, fmt.Errorf("oci: %q names a digest: a bundle is pushed to a tag", ref)
	}
	target, err := r.writable(&opts)
	if err != nil {
		return Pushed{}, err
	}
	manifest, err := pushAll(ctx, target, b, &opts)
	for _, tag := range []string{bundle.DirName(b.Digest), r.name} {
		if err == nil {
			err = target.Tag(ctx, manifest, tag)
		}
	}
	if err != nil {
		return Pushed{}, fmt.Errorf("oci: push to %s: %w", r, err)
	}
	return Pushed{Reference: r.String(), Pinned: r.to(manifest.Digest.String()).String()}, nil
}

func pushAll(ctx context.Context, target oras.Target, b *bundle.Bundle, opts *Options) (ocispec.Descriptor, error) {
	none := ocispec.Descriptor{}
	for i := range b.Manifest.Parts {
		p := &b.Manifest.Parts[i]
		open := func() (io.ReadCloser, error) { return b.OpenFile(*p) }
		if err := pushBlob(ctx, target, partDescriptor(p), open, opts); err != nil {
			return none, fmt.Errorf("%s: %w", p.Path, err)
		}
	}
	pushText := func(d ocispec.Descriptor, text []byte) error {
		return pushBlob(ctx, target, d, func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(text)), nil }, opts)
	}
	manifest, err := b.ManifestText()
	if err != nil {
		return none, err
	}
	config := textDescriptor(MediaManifest, bundle.ManifestName, manifest)
	if err := pushText(config, manifest); err != nil {
		return none, fmt.Errorf("%s: %w", bundle.ManifestName, err)
	}
	var signatures *ocispec.Descriptor
	text, err := b.SignaturesText()
	if err != nil {
		return none, err
	}
	if text != nil {
		d := textDescriptor(MediaSignatures, bundle.SignaturesName, text)
		signatures = &d
		if err := pushText(d, text); err != nil {
			return none, fmt.Errorf("%s: %w", bundle.SignaturesName, err)
		}
	}
	image, err := manifestOf(&b.Manifest, config, signatures)
	if err != nil {
		return none, err
	}
	d := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, ArtifactType: ArtifactType, Digest: digest.FromBytes(image), Size: int64(len(image))}
	return d, pushText(d, image)
}

func pushBlob(ctx context.Context, target oras.Target, d ocispec.Descriptor, open func() (io.ReadCloser, error), opts *Options) error {
	there, err := target.Exists(ctx, d)
	if err != nil || there {
		return err
	}
	opts.Progress(fmt.Sprintf("push %s (%d bytes)", firstOf(d.Annotations[ocispec.AnnotationTitle], d.MediaType), d.Size))
	content, err := open()
	if err != nil {
		return err
	}
	defer content.Close()
	if err := target.Push(ctx, d, content); err != nil && !errors.Is(err, errdef.ErrAlreadyExists) {
		return err
	}
	return nil
}

func firstOf(a, b string) string {
	if a != "" {
		return a
	}
	return b
}
