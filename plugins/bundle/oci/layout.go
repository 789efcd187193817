package oci

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	ocistore "oras.land/oras-go/v2/content/oci"
	"oras.land/oras-go/v2/errdef"
)

// layout reads an image layout. Of its index only the entries at the top count:
// it is followed nowhere.
type layout struct {
	blobs *ocistore.ReadOnlyStorage
	index ocispec.Index
}

func openLayout(dir string) (_ *layout, done func(), err error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, nil, fmt.Errorf("oci: image layout: %w", err)
	}
	defer func() {
		if err != nil {
			_ = root.Close()
		}
	}()
	l := &layout{blobs: ocistore.NewStorageFromFS(root.FS())}
	var version ocispec.ImageLayout
	if err := readJSON(root, ocispec.ImageLayoutFile, &version); err != nil {
		return nil, nil, fmt.Errorf("oci: %s is no image layout: %w", dir, err)
	}
	if version.Version != ocispec.ImageLayoutVersion {
		return nil, nil, fmt.Errorf("oci: %s is an image layout of version %q, this program knows %q", dir, version.Version, ocispec.ImageLayoutVersion)
	}
	if err := readJSON(root, ocispec.ImageIndexFile, &l.index); err != nil {
		return nil, nil, fmt.Errorf("oci: image layout %s: %w", dir, err)
	}
	return l, func() { _ = root.Close() }, nil
}

func readJSON(root *os.Root, name string, into any) error {
	file, err := root.Open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxMetadata+1))
	if err != nil {
		return err
	}
	if len(text) > maxMetadata {
		return fmt.Errorf("%s %w: it has more than %d bytes", name, ErrTooBig, maxMetadata)
	}
	if err := json.Unmarshal(text, into); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// Resolve finds a tag or digest.
func (l *layout) Resolve(_ context.Context, name string) (ocispec.Descriptor, error) {
	var found []ocispec.Descriptor
	for _, d := range l.index.Manifests {
		if d.Annotations[ocispec.AnnotationRefName] == name || d.Digest.String() == name {
			found = append(found, d)
		}
	}
	switch {
	case len(found) == 0:
		return ocispec.Descriptor{}, fmt.Errorf("the image layout has no %q: %w", name, errdef.ErrNotFound)
	case len(found) > 1 && found[0].Digest != found[1].Digest:
		return ocispec.Descriptor{}, fmt.Errorf("the image layout has %d artifacts called %q", len(found), name)
	}
	return found[0], nil
}

// Fetch opens a blob.
func (l *layout) Fetch(ctx context.Context, d ocispec.Descriptor) (io.ReadCloser, error) {
	return l.blobs.Fetch(ctx, d)
}
