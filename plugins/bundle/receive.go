package bundle

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path"

	"golang.org/x/sys/unix"

	"github.com/gristmill-zk/gristmill/wire"
)

// DefaultMaxBytes is the largest bundle that is received unless asked for: a
// circuit of about 2^26 constraints.
const DefaultMaxBytes = 32 << 30

// Source is a place that may have bundles: a registry, a folder.
type Source interface {
	// String is how the operator named it.
	String() string
	// Find looks for the bundle of a digest. ErrNotThere says that the place
	// was asked and does not have it.
	Find(ctx context.Context, digest wire.Hash) (*Shipment, error)
	// Check says whether the place answers, and lets us in.
	Check(ctx context.Context) error
}

// Shipment is a bundle that comes from elsewhere. Nothing in it is believed.
type Shipment struct {
	// Manifest are the bytes of manifest.json, Signatures those of the file of
	// signatures; nil when nobody signed.
	Manifest, Signatures []byte
	// Open begins to read a part. A reader that can seek goes on where an
	// earlier try ended.
	Open func(ctx context.Context, p *Part) (io.ReadCloser, error)
	// Close ends what Open needs; nil is fine.
	Close func()
}

// Terms say which bundles are received, and how.
type Terms struct {
	// MaxBytes bounds the parts in all; 0 means DefaultMaxBytes.
	MaxBytes int64
	// Trust is the operator's allow-list; nil takes all.
	Trust *Policy
	// RefuseInsecure refuses keys of a development set-up.
	RefuseInsecure bool
	// Resume keeps what came when the connection breaks or the process is
	// killed, and goes on from there the next time. Two processes that share a
	// store do not receive the same bundle at once then: ErrBusy.
	Resume bool
	// Progress is told what goes on. It must not block; nil is fine.
	Progress func(Progress)
}

// Progress is how far a bundle has come.
type Progress struct {
	// Part is what comes; empty when all is there and is being checked.
	Part        string
	Done, Total int64 // bytes of all parts
}

// ErrNotThere says that a source was asked for a bundle and does not have it.
var ErrNotThere = errors.New("has no such bundle")

// receipt is a bundle that is being received.
type receipt struct {
	*Shipment
	terms    Terms
	manifest *Manifest
	digest   wire.Hash
	root     *os.Root
	done     int64
	total    int64
}

// Receive installs a shipment into a store. With want not zero it must be the
// bundle of that digest. Everything that says what will come is checked first:
// digest, manifest, size, signatures, the terms. Then the parts are hashed while
// they are written to a directory of their own, the known answer is proved, and
// only then the bundle gets its place. After an error nothing of it is left,
// except, with Resume, parts in a hidden directory.
func Receive(ctx context.Context, s *Shipment, want wire.Hash, store string, terms Terms) (*Bundle, error) {
	r := &receipt{Shipment: s, terms: terms}
	if err := r.describe(want); err != nil {
		return nil, err
	}
	if err := r.acceptable(); err != nil {
		return nil, err
	}
	stage, err := openStage(store, r.digest, terms.Resume)
	if err != nil {
		return nil, err
	}
	b, err := r.into(ctx, stage.dir, store)
	return b, errors.Join(err, stage.leave(terms.Resume && resumable(err)))
}

// describe reads what says what will come.
func (r *receipt) describe(want wire.Hash) error {
	r.digest = wire.SHA256(r.Manifest)
	if want != (wire.Hash{}) && r.digest != want {
		return blame(ManifestName, ErrAltered, "the bundle's digest is %s, wanted is %s", r.digest, want)
	}
	var err error
	if r.manifest, err = ParseManifest(r.Manifest); err != nil {
		return err
	}
	for i := range r.manifest.Parts {
		r.total += r.manifest.Parts[i].Size
	}
	if r.Signatures == nil {
		return nil
	}
	_, err = parseSignatures(r.Signatures, r.digest, nil)
	return err
}

// acceptable holds the bundle against the operator's terms.
func (r *receipt) acceptable() error {
	most := r.terms.MaxBytes
	if most == 0 {
		most = DefaultMaxBytes
	}
	if r.total > most {
		return fmt.Errorf("the bundle %w: it has %d bytes, %d are allowed here", ErrTooBig, r.total, most)
	}
	if r.terms.RefuseInsecure && r.manifest.Keys == KeysInsecureDev {
		return blame(ManifestName, ErrInsecure, "whoever made them can forge proofs")
	}
	return r.terms.Trust.Allow(r.digest, r.Signatures)
}

// into receives the parts into a stage and gives the bundle its place.
func (r *receipt) into(ctx context.Context, stage, store string) (*Bundle, error) {
	root, err := os.OpenRoot(stage)
	if err != nil {
		return nil, fmt.Errorf("bundle: %w", err)
	}
	defer root.Close()
	r.root = root
	if err := r.checkRoom(stage); err != nil {
		return nil, err
	}
	for i := range r.manifest.Parts {
		if err := r.part(ctx, &r.manifest.Parts[i]); err != nil {
			return nil, err
		}
	}
	if err := r.texts(); err != nil {
		return nil, fmt.Errorf("bundle: %w", err)
	}
	r.tell("")
	return Install(ctx, stage, store, r.terms.Trust)
}

// texts writes what came with the description.
func (r *receipt) texts() error {
	if r.Signatures != nil {
		if err := r.root.WriteFile(SignaturesName, r.Signatures, 0o644); err != nil {
			return err
		}
	} else if err := r.root.RemoveAll(SignaturesName); err != nil { // of an earlier try
		return err
	}
	return r.root.WriteFile(ManifestName, r.Manifest, 0o644)
}

// checkRoom refuses what would fill the disk.
func (r *receipt) checkRoom(dir string) error {
	missing := r.total
	for _, p := range r.manifest.Parts {
		if info, err := r.root.Stat(p.Path); err == nil {
			missing -= min(info.Size(), p.Size)
		}
	}
	var disk unix.Statfs_t
	if err := unix.Statfs(dir, &disk); err != nil {
		return fmt.Errorf("free space of %s: %w", dir, err)
	}
	if free := int64(disk.Bavail) * disk.Bsize; missing > free {
		return fmt.Errorf("the bundle %w: %d bytes are to come, the disk has room for %d", ErrTooBig, missing, free)
	}
	return nil
}

// part receives one part, hashing on the way. It reads no more than the manifest
// announces.
func (r *receipt) part(ctx context.Context, p *Part) (err error) {
	defer func() {
		var known *Error
		if err != nil && !errors.As(err, &known) {
			err = fmt.Errorf("%s: %w", p.Name, err)
		}
	}()
	if err := r.root.MkdirAll(path.Dir(p.Path), 0o755); err != nil {
		return err
	}
	mode := os.FileMode(0o644)
	if p.Name == PartPlugin {
		mode = 0o755
	}
	file, err := r.root.OpenFile(p.Path, os.O_CREATE|os.O_RDWR, mode)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	sum := sha256.New()
	have, err := r.earlier(file, sum, p)
	if err != nil || have == p.Size {
		return err
	}
	return r.rest(ctx, file, sum, p, have)
}

// earlier takes over what an earlier try has left of a part: its length.
func (r *receipt) earlier(file *os.File, sum hash.Hash, p *Part) (int64, error) {
	n, err := io.Copy(sum, io.LimitReader(file, p.Size+1))
	if err != nil {
		return 0, err
	}
	if n > p.Size || n == p.Size && wire.Hash(sum.Sum(nil)) != p.SHA256 {
		n = 0
		sum.Reset()
		if err := file.Truncate(0); err != nil {
			return 0, err
		}
		if _, err := file.Seek(0, io.SeekStart); err != nil {
			return 0, err
		}
	}
	r.done += n
	r.tell(p.Path)
	return n, nil
}

// rest reads what is missing of a part.
func (r *receipt) rest(ctx context.Context, file *os.File, sum hash.Hash, p *Part, have int64) error {
	content, err := r.Open(ctx, p)
	if err != nil {
		return err
	}
	defer content.Close()
	if seeker, can := content.(io.Seeker); can && have > 0 {
		if _, err := seeker.Seek(have, io.SeekStart); err != nil {
			return err
		}
	} else if _, err := io.CopyN(io.Discard, content, have); err != nil {
		return err
	}
	from := readerFunc(func(out []byte) (int, error) {
		if ctx.Err() != nil {
			return 0, context.Cause(ctx)
		}
		n, err := content.Read(out)
		r.done += int64(n)
		r.tell(p.Path)
		return n, err
	})
	n, err := io.Copy(io.MultiWriter(file, sum), io.LimitReader(from, p.Size-have+1))
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil:
		return err
	}
	if got := wire.Hash(sum.Sum(nil)); have+n != p.Size || got != p.SHA256 {
		return blame(p.Name, ErrAltered, "%d bytes of SHA-256 %s came, the manifest says %d of %s", have+n, got, p.Size, p.SHA256)
	}
	return nil
}

func (r *receipt) tell(part string) {
	if r.terms.Progress != nil {
		r.terms.Progress(Progress{Part: part, Done: min(r.done, r.total), Total: r.total})
	}
}

// resumable says whether what came is worth keeping: not when it is wrong, and
// not when the disk is full.
func resumable(err error) bool {
	var wrong *Error
	return err != nil && !errors.As(err, &wrong) && !errors.Is(err, unix.ENOSPC) && !errors.Is(err, ErrTooBig)
}
