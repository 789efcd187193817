package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/gristmill-zk/gristmill/plugins/bundle"
	"github.com/gristmill-zk/gristmill/wire"
)

// Folder is a folder with bundles in folders named by their digest in
// hexadecimal, as a worker's store is: of another machine, say, on a share.
type Folder string

var _ bundle.Source = Folder("")

// String implements bundle.Source.
func (f Folder) String() string { return string(f) }

// Find implements bundle.Source.
func (f Folder) Find(_ context.Context, digest wire.Hash) (*bundle.Shipment, error) {
	root, err := os.OpenRoot(string(f))
	if err != nil {
		return nil, fmt.Errorf("folder %s: %w", f, err)
	}
	defer root.Close()
	dir, err := root.OpenRoot(bundle.DirName(digest))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("folder %s %w: there is no %s in it", f, bundle.ErrNotThere, bundle.DirName(digest))
	}
	if err != nil {
		return nil, fmt.Errorf("folder %s: %w", f, err)
	}
	s := &bundle.Shipment{
		Open:  func(_ context.Context, p *bundle.Part) (io.ReadCloser, error) { return openRegular(dir, p.Path) },
		Close: func() { _ = dir.Close() },
	}
	if s.Manifest, err = readSmall(dir, bundle.ManifestName, bundle.MaxManifest); err == nil {
		s.Signatures, err = readSmall(dir, bundle.SignaturesName, bundle.MaxSignatures)
		if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
	}
	if err != nil {
		s.Close()
		return nil, fmt.Errorf("folder %s: %w", f, err)
	}
	return s, nil
}

// Check implements bundle.Source.
func (f Folder) Check(context.Context) error {
	_, err := os.ReadDir(string(f))
	return err
}

// openRegular opens a regular file: opening a pipe would wait for ever.
func openRegular(dir *os.Root, path string) (*os.File, error) {
	info, err := dir.Lstat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", path)
	}
	return dir.Open(path)
}

// readSmall reads a file of bounded size.
func readSmall(dir *os.Root, name string, most int64) ([]byte, error) {
	file, err := openRegular(dir, name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, most+1))
	if err != nil {
		return nil, err
	}
	if int64(len(text)) > most {
		return nil, fmt.Errorf("%s %w: it has more than %d bytes", name, bundle.ErrTooBig, most)
	}
	return text, nil
}
