package bundle

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/gristmill-zk/gristmill/internal/durable"
	"github.com/gristmill-zk/gristmill/internal/failpoint"
)

// MaxManifest is the largest manifest, in bytes.
const MaxManifest = maxManifest

// ParseManifest reads a manifest and checks all that can be checked without the
// parts: format version, paths, sizes, kinds.
func ParseManifest(text []byte) (*Manifest, error) {
	if len(text) > maxManifest {
		return nil, blame(ManifestName, ErrSize, "it is longer than %d bytes", maxManifest)
	}
	m, err := parseManifest(text)
	if err != nil {
		return nil, err
	}
	return &m, nil
}

// OpenFile is OpenPart for one entry of the manifest, of whatever platform.
func (b *Bundle) OpenFile(p Part) (io.ReadCloser, error) { return b.open(p) }

// Install checks a staged bundle as a worker would, its known answer included,
// holds it against the operator's allow-list (nil allows all), and moves it to its
// place in the store. When the bundle is there already it
// stays, and only signatures are added to it; a damaged one is replaced.
func Install(ctx context.Context, staged, store string, trust *Policy) (*Bundle, error) {
	b, err := Open(ctx, staged)
	if err != nil {
		return nil, err
	}
	if err := trust.Check(b); err != nil {
		return nil, err
	}
	signatures, err := b.SignaturesText()
	if err != nil {
		return nil, err
	}
	if err := b.KnownAnswer(ctx); err != nil {
		return nil, err
	}
	for _, p := range b.Manifest.Parts {
		if err := syncFile(filepath.Join(staged, filepath.FromSlash(p.Path))); err != nil {
			return nil, err
		}
	}
	final := filepath.Join(store, DirName(b.Digest))
	old, err := OpenDigest(ctx, final, b.Digest)
	switch {
	case err == nil && signatures == nil:
		return old, nil
	case err == nil:
		return old, old.AddSignatures(signatures)
	case ctx.Err() != nil:
		return nil, ctx.Err()
	}
	if err := setAside(final, store); err != nil {
		return nil, err
	}
	return b, b.moveTo(store)
}

// setAside moves what lies at a place to where leftovers are cleared.
func setAside(place, store string) error {
	if _, err := os.Lstat(place); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	aside, err := os.MkdirTemp(store, buildPrefix)
	if err != nil {
		return fmt.Errorf("bundle: %w", err)
	}
	if err := os.Rename(place, filepath.Join(aside, "damaged")); err != nil {
		return fmt.Errorf("bundle: %w", err)
	}
	return os.RemoveAll(aside)
}

// moveTo gives a whole bundle its name in a store.
func (b *Bundle) moveTo(store string) error {
	final := filepath.Join(store, DirName(b.Digest))
	if err := durable.SyncDir(b.Dir); err != nil {
		return fmt.Errorf("bundle: %w", err)
	}
	failpoint.Hit("bundle.publish.before")
	if err := os.Rename(b.Dir, final); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("bundle: %w", err)
	}
	failpoint.Hit("bundle.publish.after")
	b.Dir = final
	if err := durable.SyncDir(store); err != nil {
		return fmt.Errorf("bundle: %w", err)
	}
	return nil
}

// ManifestText is the manifest's file, whose SHA-256 is the bundle's digest.
func (b *Bundle) ManifestText() ([]byte, error) {
	again, text, err := readManifest(b.Dir)
	if err != nil {
		return nil, err
	}
	if again.Digest != b.Digest {
		return nil, blame(ManifestName, ErrAltered, "its digest is %s, it was %s", again.Digest, b.Digest)
	}
	return text, nil
}
