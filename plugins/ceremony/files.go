package ceremony

import (
	"bufio"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/gristmill-zk/gristmill/internal/durable"
	"github.com/gristmill-zk/gristmill/wire"
)

// Names of the files besides the log.
const (
	fileCircuit      = "circuit.r1cs"
	fileProvingKey   = "proving.key"
	fileVerifyingKey = "verifying.key"
	fileStart        = "phase2/0000.start"
)

// contributionFile is where a contribution lies in the directory.
func contributionFile(phase, number int) string {
	return fmt.Sprintf("phase%d/%04d.contribution", phase, number)
}

// put writes a file so that it is there as a whole or not at all, and says its
// digest.
func put(dir, name string, write func(io.Writer) error) (_ wire.Hash, err error) {
	path := filepath.Join(dir, filepath.FromSlash(name))
	parent := filepath.Dir(path)
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return wire.Hash{}, fmt.Errorf("ceremony: %w", err)
	}
	tmp, err := os.CreateTemp(parent, ".tmp-*")
	if err != nil {
		return wire.Hash{}, fmt.Errorf("ceremony: %w", err)
	}
	defer func() {
		if err != nil {
			_ = os.Remove(tmp.Name())
		}
	}()
	hash := sha256.New()
	out := bufio.NewWriterSize(tmp, 1<<20)
	werr := write(io.MultiWriter(out, hash))
	if err := errors.Join(werr, out.Flush(), tmp.Chmod(0o644), tmp.Sync(), tmp.Close()); err != nil {
		return wire.Hash{}, fmt.Errorf("ceremony: write %s: %w", name, err)
	}
	if err := os.Rename(tmp.Name(), path); err != nil {
		return wire.Hash{}, fmt.Errorf("ceremony: write %s: %w", name, err)
	}
	if err := durable.SyncDir(parent); err != nil {
		return wire.Hash{}, fmt.Errorf("ceremony: %w", err)
	}
	return wire.Hash(hash.Sum(nil)), nil
}

// open opens a regular file of the directory; no link leads out of it.
func open(dir, name string) (*os.File, int64, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, 0, err
	}
	defer root.Close()
	info, err := root.Lstat(filepath.FromSlash(name))
	if err != nil {
		return nil, 0, fmt.Errorf("%s: %w", name, err)
	}
	if !info.Mode().IsRegular() {
		return nil, 0, fmt.Errorf("%s is not a regular file", name)
	}
	f, err := root.Open(filepath.FromSlash(name))
	return f, info.Size(), err
}

// readLog reads the log with its digest.
func readLog(dir string) (*Log, wire.Hash, error) {
	f, _, err := open(dir, LogName)
	if err != nil {
		return nil, wire.Hash{}, fmt.Errorf("ceremony: there is none in %s: %w", dir, err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxLog+1))
	if err != nil {
		return nil, wire.Hash{}, fmt.Errorf("ceremony: read %s: %w", LogName, err)
	}
	log, err := parseLog(text)
	return log, wire.SHA256(text), err
}

// checked reads a file that must have one digest. The reader that read gets
// must be read to its end; panics of gnark's decoders are errors.
func checked(dir, name string, want wire.Hash, shape func(io.ReaderAt, int64) error, read func(io.Reader) error) (err error) {
	f, size, err := open(dir, name)
	if err != nil {
		return err
	}
	defer f.Close()
	hash := sha256.New()
	if _, err := io.Copy(hash, f); err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	if got := wire.Hash(hash.Sum(nil)); got != want {
		return fmt.Errorf("%s was altered: its SHA-256 is %s, the log says %s", name, got, want)
	}
	if shape != nil {
		if err := shape(f, size); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%s is malformed: %v", name, p)
		}
	}()
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	if err := read(bufio.NewReaderSize(f, 1<<20)); err != nil {
		return fmt.Errorf("%s is malformed: %w", name, err)
	}
	return nil
}
