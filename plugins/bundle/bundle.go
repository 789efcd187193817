package bundle

import (
	"bufio"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	groth16 "github.com/consensys/gnark/backend/groth16/bn254"
	cs "github.com/consensys/gnark/constraint/bn254"

	"github.com/gristmill-zk/gristmill/internal/groth16vk"
	"github.com/gristmill-zk/gristmill/wire"
)

// Bundle is an opened bundle, every part of which had the right digest when it
// was opened. It is immutable and safe for concurrent use.
type Bundle struct {
	Dir      string
	Digest   wire.Hash // SHA-256 of manifest.json
	Manifest Manifest
}

// Open reads the manifest in dir and hashes every part it names.
func Open(ctx context.Context, dir string) (*Bundle, error) {
	b, err := openManifest(dir)
	if err != nil {
		return nil, err
	}
	for _, p := range b.Manifest.Parts {
		if err := b.check(ctx, p); err != nil {
			return nil, err
		}
	}
	if _, err := b.VerifyingKey(); err != nil {
		return nil, err
	}
	return b, nil
}

// OpenDigest is Open for a bundle that must have one digest, such as the one
// that the chain pins. The manifest is checked before any part is read.
func OpenDigest(ctx context.Context, dir string, want wire.Hash) (*Bundle, error) {
	b, err := openManifest(dir)
	if err != nil {
		return nil, err
	}
	if b.Digest != want {
		return nil, blame(ManifestName, ErrAltered, "its digest is %s, wanted is %s", b.Digest, want)
	}
	return Open(ctx, dir)
}

func openManifest(dir string) (*Bundle, error) {
	b, _, err := readManifest(dir)
	return b, err
}

func readManifest(dir string) (*Bundle, []byte, error) {
	f, err := openInside(dir, ManifestName)
	if err != nil {
		return nil, nil, partError(ManifestName, err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxManifest+1))
	if err != nil {
		return nil, nil, fmt.Errorf("bundle: read %s: %w", ManifestName, err)
	}
	m, err := ParseManifest(text)
	if err != nil {
		return nil, nil, err
	}
	return &Bundle{Dir: dir, Digest: wire.SHA256(text), Manifest: *m}, text, nil
}

// Part finds a part by name. There is one plugin per platform: the one for
// this machine is found.
func (b *Bundle) Part(name string) (Part, error) {
	for _, p := range b.Manifest.Parts {
		if p.Name == name && (name != PartPlugin || (p.OS == runtime.GOOS && p.Arch == runtime.GOARCH)) {
			return p, nil
		}
	}
	if name == PartPlugin {
		return Part{}, blame(name, ErrMissing, "the bundle has none for %s/%s", runtime.GOOS, runtime.GOARCH)
	}
	return Part{}, blame(name, ErrMissing, "the manifest does not name it")
}

// Path is where a part lies. What is read there must be hashed again; OpenPart
// does.
func (b *Bundle) Path(name string) (string, error) {
	p, err := b.Part(name)
	if err != nil {
		return "", err
	}
	return filepath.Join(b.Dir, filepath.FromSlash(p.Path)), nil
}

// OpenPart opens a part for reading. The reader hashes what passes: at the end
// it returns an error instead of io.EOF unless size and digest are the
// manifest's. So what was read must not be trusted before the end was reached.
func (b *Bundle) OpenPart(name string) (io.ReadCloser, error) {
	p, err := b.Part(name)
	if err != nil {
		return nil, err
	}
	return b.open(p)
}

func (b *Bundle) open(p Part) (io.ReadCloser, error) {
	f, err := openInside(b.Dir, p.Path)
	if err != nil {
		return nil, partError(p.Name, err)
	}
	return &verifyingReader{part: p, file: f, buf: bufio.NewReaderSize(f, 1<<20), hash: sha256.New()}, nil
}

func (b *Bundle) check(ctx context.Context, p Part) error {
	r, err := b.open(p)
	if err != nil {
		return err
	}
	defer r.Close()
	_, err = io.Copy(io.Discard, readerFunc(func(out []byte) (int, error) {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		return r.Read(out)
	}))
	return err
}

// openInside opens a regular file under dir; neither .. nor a link leads out.
func openInside(dir, path string) (*os.File, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	path = filepath.FromSlash(path)
	info, err := root.Lstat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errNotRegular
	}
	return root.Open(path)
}

var errNotRegular = errors.New("not a regular file")

func partError(part string, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return blame(part, ErrMissing, "%v", err)
	case errors.Is(err, errNotRegular):
		return blame(part, ErrAltered, "it is not a regular file")
	default:
		return fmt.Errorf("bundle: open %s: %w", part, err)
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// verifyingReader hashes a part while it is read.
type verifyingReader struct {
	part Part
	file *os.File
	buf  *bufio.Reader
	hash hash.Hash
	size int64
}

func (r *verifyingReader) Read(p []byte) (int, error) {
	n, err := r.buf.Read(p)
	r.hash.Write(p[:n])
	r.size += int64(n)
	switch {
	case r.size > r.part.Size:
		return n, blame(r.part.Name, ErrAltered, "it is longer than %d bytes", r.part.Size)
	case errors.Is(err, io.EOF):
		return n, r.end()
	case err != nil:
		return n, fmt.Errorf("bundle: read %s: %w", r.part.Name, err)
	}
	return n, nil
}

func (r *verifyingReader) end() error {
	if r.size != r.part.Size {
		return blame(r.part.Name, ErrAltered, "it is %d bytes, the manifest says %d", r.size, r.part.Size)
	}
	if got := wire.Hash(r.hash.Sum(nil)); got != r.part.SHA256 {
		return blame(r.part.Name, ErrAltered, "its SHA-256 is %s, the manifest says %s", got, r.part.SHA256)
	}
	return io.EOF
}

func (r *verifyingReader) Close() error { return r.file.Close() }

// readPart gives a part to read and then makes sure all of it was what the
// manifest says. The decoders of gnark panic on some bad input; that is an
// error here.
func (b *Bundle) readPart(name string, read func(io.Reader) error) (err error) {
	r, err := b.OpenPart(name)
	if err != nil {
		return err
	}
	defer r.Close()
	defer func() {
		if p := recover(); p != nil {
			err = blame(name, ErrMalformed, "%v", p)
		}
	}()
	readErr := read(r)
	// Only an unaltered part may be blamed for being malformed.
	if _, err := io.Copy(io.Discard, r); err != nil {
		return err
	}
	if readErr != nil {
		return blame(name, ErrMalformed, "%v", readErr)
	}
	return nil
}

// VerifyingKeyBytes are the bytes that are registered on chain.
func (b *Bundle) VerifyingKeyBytes() ([]byte, error) {
	var key []byte
	err := b.readPart(PartVerifyingKeyEVM, func(r io.Reader) (err error) {
		key, err = io.ReadAll(r)
		return err
	})
	if err != nil {
		return nil, err
	}
	if id := groth16vk.ID(key); id != b.Manifest.VKID {
		return nil, blame(PartVerifyingKeyEVM, ErrMismatch, "its id is %s, the manifest says %s", id, b.Manifest.VKID)
	}
	return key, nil
}

// VerifyingKey is the key with which proofs of this circuit are checked, every
// point of it on its curve.
func (b *Bundle) VerifyingKey() (*groth16.VerifyingKey, error) {
	key, err := b.VerifyingKeyBytes()
	if err != nil {
		return nil, err
	}
	vk, err := groth16vk.ParseVK(key)
	if err != nil {
		return nil, blame(PartVerifyingKeyEVM, ErrMalformed, "%v", err)
	}
	if n := len(vk.CommitmentKeys); n != int(b.Manifest.Circuit.Commitments) {
		return nil, blame(PartVerifyingKeyEVM, ErrMismatch, "it is for %d commitments, the circuit uses %d", n, b.Manifest.Circuit.Commitments)
	}
	if uint32(groth16vk.Inputs(vk)+1) != b.Manifest.Circuit.PublicWires {
		return nil, blame(PartVerifyingKeyEVM, ErrMismatch, "it is for %d public wires, the circuit has %d",
			groth16vk.Inputs(vk)+1, b.Manifest.Circuit.PublicWires)
	}
	return vk, nil
}

// Circuit reads the constraint system.
func (b *Bundle) Circuit() (*cs.R1CS, error) {
	if err := b.inspectPart(PartCircuit, checkCircuitShape); err != nil {
		return nil, err
	}
	system := new(cs.R1CS)
	err := b.readPart(PartCircuit, func(r io.Reader) error {
		_, err := system.ReadFrom(r)
		return err
	})
	if err != nil {
		return nil, err
	}
	c := &b.Manifest.Circuit
	wires := system.GetNbPublicVariables() + system.GetNbSecretVariables() + system.GetNbInternalVariables()
	if uint64(system.GetNbConstraints()) != c.Constraints || uint64(wires) != c.Wires ||
		uint32(system.GetNbPublicVariables()) != c.PublicWires ||
		len(system.GetCommitments().CommitmentIndexes()) != int(c.Commitments) {
		return nil, blame(PartCircuit, ErrMismatch, "its sizes are not the manifest's")
	}
	return system, nil
}

// ProvingKey reads the proving key in gnark's form.
func (b *Bundle) ProvingKey() (*groth16.ProvingKey, error) {
	err := b.inspectPart(PartProvingKey, func(at io.ReaderAt, size int64) error {
		return checkDumpShape(at, size, &b.Manifest.Circuit)
	})
	if err != nil {
		return nil, err
	}
	pk := new(groth16.ProvingKey)
	if err := b.readPart(PartProvingKey, pk.ReadDump); err != nil {
		return nil, err
	}
	return pk, nil
}

func digestOf(r io.Reader) (wire.Hash, int64, error) {
	h := sha256.New()
	n, err := io.Copy(h, r)
	return wire.Hash(h.Sum(nil)), n, err
}
