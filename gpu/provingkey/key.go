package provingkey

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"math/bits"
	"slices"
	"unsafe"

	"github.com/consensys/gnark-crypto/ecc/bn254"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr/fft"

	"github.com/gristmill-zk/gristmill/gpu"
)

// dumpMarker opens a dump; it reads otherwise on a machine of other byte order.
const dumpMarker uint64 = 0xdeadbeef

// maxDomainBits is the largest power of two that divides r-1.
const maxDomainBits = 28

// Key is a proving key as its file has it. A, B and BG2 have points for the
// wires in WiresA and WiresB only, the others being at infinity. The wires that
// have a point in K are the private ones, in order, without those that a
// commitment covers or that hold a commitment's challenge.
type Key struct {
	Cardinality        uint64   // of the domain, a power of two
	Wires              int      // the constant one included
	WiresA, WiresB     []uint32 // ascending
	Alpha, Beta, Delta bn254.G1Affine
	BetaG2, DeltaG2    bn254.G2Affine
	A, B               []bn254.G1Affine
	BG2                []bn254.G2Affine
	ZK                 []bn254.G1Affine // Z, in bit-reversed order, then K
	SizeZ              int              // one less than the domain
	Commitments        []Pedersen       // one for each BSB22 commitment of the circuit

	dropped *counts // set once the points are gone
}

// Pedersen is the key of one BSB22 commitment, a point for each private wire
// that it covers.
type Pedersen struct {
	Basis, BasisExpSigma []bn254.G1Affine
}

// Z has one point for each coefficient of the quotient, in bit-reversed order.
func (k *Key) Z() []bn254.G1Affine { return k.ZK[:k.SizeZ] }

// K has one point for each private wire that no commitment takes.
func (k *Key) K() []bn254.G1Affine { return k.ZK[k.SizeZ:] }

// Public is the number of public wires, the constant one included.
func (k *Key) Public() int {
	counts := k.counts()
	private := counts.k + len(counts.covered)
	for _, n := range counts.covered {
		private += n
	}
	return k.Wires - private
}

// dumpReader reads a dump of known size. No length in the file is believed
// before that many bytes are known to be left.
type dumpReader struct {
	r    *bufio.Reader
	left int64
	err  error
}

// Read reads a whole key with up to tasks goroutines. Altered or torn bytes give
// gpu.ErrBadKey as far as the shape shows it; points are checked by their curve
// equation.
func Read(key gpu.Key, tasks int) (_ *Key, err error) {
	file, err := key.Open()
	if err != nil {
		return nil, fmt.Errorf("open proving key %s: %w", key.ID, err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	r := &dumpReader{r: bufio.NewReaderSize(file, 1<<20), left: key.Size}
	d := r.key()
	if r.err == nil && r.left != 0 {
		r.fail("%d bytes follow the key", r.left)
	}
	if r.err == nil {
		// Only now can a reader that checks a digest say that it is wrong.
		if n, err := r.r.Read(make([]byte, 1)); n != 0 {
			r.fail("bytes follow the key")
		} else if !errors.Is(err, io.EOF) {
			r.fail("end of the key: %w", err)
		}
	}
	if r.err == nil {
		r.err = d.checkPoints(tasks)
	}
	if r.err != nil {
		return nil, fmt.Errorf("proving key %s: %w", key.ID, r.err)
	}
	return d, nil
}

func (r *dumpReader) key() *Key {
	d := new(Key)
	r.marker()
	d.Cardinality = r.domain()
	r.g1("alpha", &d.Alpha)
	r.g1("beta", &d.Beta)
	r.g1("delta", &d.Delta)
	r.g2("beta", &d.BetaG2)
	r.g2("delta", &d.DeltaG2)
	wires, infinityA, infinityB := r.u64("wires"), r.u64("infinite A"), r.u64("infinite B")
	d.Wires = int(wires)
	d.WiresA = r.finite("infinity A", wires, infinityA)
	d.WiresB = r.finite("infinity B", wires, infinityB)
	commitments := r.u32("commitments")
	d.A = exactly[bn254.G1Affine](r, "A", wires-infinityA)
	d.B = exactly[bn254.G1Affine](r, "B", wires-infinityB)
	d.ZK, d.SizeZ = r.zk(d.Cardinality, wires)
	d.BG2 = exactly[bn254.G2Affine](r, "B in G2", wires-infinityB)
	for i := uint32(0); i < commitments && r.err == nil; i++ {
		d.Commitments = append(d.Commitments, r.pedersen(i, wires))
	}
	if public := d.Public(); r.err == nil && public < 1 {
		r.fail("%d of %d wires are private", d.Wires-public, d.Wires)
	}
	return d
}

// pedersen reads the key of a commitment. There is no count to hold its length
// against but that of the wires.
func (r *dumpReader) pedersen(i uint32, wires uint64) Pedersen {
	what := fmt.Sprintf("basis of commitment %d", i)
	n := r.count(what, uint64(unsafe.Sizeof(bn254.G1Affine{})))
	if r.err == nil && n >= wires {
		r.fail("%s has %d points, there are %d wires", what, n, wires)
	}
	if r.err != nil {
		return Pedersen{}
	}
	p := Pedersen{Basis: make([]bn254.G1Affine, n)}
	points(r, what, p.Basis)
	p.BasisExpSigma = exactly[bn254.G1Affine](r, fmt.Sprintf("second basis of commitment %d", i), n)
	return p
}

// Cardinality reads the size of a key's domain, which stands at its beginning.
func Cardinality(key gpu.Key) (_ uint64, err error) {
	file, err := key.Open()
	if err != nil {
		return 0, fmt.Errorf("open proving key %s: %w", key.ID, err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	r := &dumpReader{r: bufio.NewReaderSize(file, 512), left: key.Size}
	r.marker()
	cardinality := r.domain()
	if r.err != nil {
		return 0, fmt.Errorf("proving key %s: %w", key.ID, r.err)
	}
	return cardinality, nil
}

func (r *dumpReader) marker() {
	var marker [8]byte
	r.bytes("marker", marker[:])
	if r.err == nil && binary.NativeEndian.Uint64(marker[:]) != dumpMarker {
		r.fail("does not start as a dump of this kind of machine does")
	}
}

// domain reads the transform's domain, which follows from its size alone.
func (r *dumpReader) domain() uint64 {
	cardinality := r.u64("domain")
	if r.err != nil {
		return 0
	}
	if bits.OnesCount64(cardinality) != 1 || cardinality > 1<<maxDomainBits || int64(cardinality) > r.left {
		r.fail("a domain of %d elements", cardinality)
		return 0
	}
	want := fft.NewDomain(cardinality, fft.WithoutPrecompute())
	for _, e := range []interface{ Bytes() [32]byte }{
		&want.CardinalityInv, &want.Generator, &want.GeneratorInv, &want.FrMultiplicativeGen, &want.FrMultiplicativeGenInv,
	} {
		var got [32]byte
		r.bytes("domain", got[:])
		if r.err == nil && got != e.Bytes() {
			r.fail("the domain is not the standard one of %d elements", cardinality)
		}
	}
	r.bytes("domain", make([]byte, 1)) // whether gnark would precompute
	return cardinality
}

// finite reads one flag for each wire and returns the wires without it.
func (r *dumpReader) finite(what string, wires, infinite uint64) []uint32 {
	if r.err == nil && (wires > uint64(r.left) || wires > math.MaxUint32 || infinite > wires) {
		r.fail("%s: %d of %d wires in %d bytes", what, infinite, wires, r.left)
	}
	if r.err != nil {
		return nil
	}
	flags, finite := make([]byte, wires), make([]uint32, 0, wires-infinite)
	r.bytes(what, flags)
	for i, b := range flags {
		switch b {
		case 0:
			finite = append(finite, uint32(i))
		case 1:
		default:
			r.fail("%s of wire %d is neither true nor false", what, i)
			return nil
		}
	}
	if n := wires - uint64(len(finite)); r.err == nil && n != infinite {
		r.fail("%s: %d wires, %d were announced", what, n, infinite)
	}
	return finite
}

func (r *dumpReader) g1(what string, p *bn254.G1Affine) {
	var raw [bn254.SizeOfG1AffineUncompressed]byte
	r.bytes(what, raw[:])
	if r.err != nil {
		return
	}
	// SetBytes also takes compressed points, which a dump does not have.
	if _, err := p.SetBytes(raw[:]); err != nil {
		r.fail("%s: %w", what, err)
	} else if p.RawBytes() != raw {
		r.fail("%s is not written as it should be", what)
	}
}

func (r *dumpReader) g2(what string, p *bn254.G2Affine) {
	var raw [bn254.SizeOfG2AffineUncompressed]byte
	r.bytes(what, raw[:])
	if r.err != nil {
		return
	}
	if _, err := p.SetBytes(raw[:]); err != nil {
		r.fail("%s in G2: %w", what, err)
	} else if p.RawBytes() != raw {
		r.fail("%s in G2 is not written as it should be", what)
	}
}

func (r *dumpReader) u64(what string) uint64 {
	var raw [8]byte
	r.bytes(what, raw[:])
	return binary.BigEndian.Uint64(raw[:])
}

func (r *dumpReader) u32(what string) uint32 {
	var raw [4]byte
	r.bytes(what, raw[:])
	return binary.BigEndian.Uint32(raw[:])
}

// count reads the length of a slice of points, each of size bytes.
func (r *dumpReader) count(what string, size uint64) uint64 {
	var raw [8]byte
	r.bytes(what, raw[:])
	n := binary.LittleEndian.Uint64(raw[:])
	if r.err == nil && n > uint64(r.left)/size {
		r.fail("%s: %d points in %d bytes", what, n, r.left)
	}
	if r.err != nil {
		return 0
	}
	return n
}

// points reads the points of a slice, which lie in the file as in memory.
func points[P bn254.G1Affine | bn254.G2Affine](r *dumpReader, what string, to []P) {
	if len(to) > 0 {
		r.bytes(what, unsafe.Slice((*byte)(unsafe.Pointer(&to[0])), uintptr(len(to))*unsafe.Sizeof(to[0])))
	}
}

// exactly reads a slice of as many points as the key announces.
func exactly[P bn254.G1Affine | bn254.G2Affine](r *dumpReader, what string, want uint64) []P {
	var p P
	n := r.count(what, uint64(unsafe.Sizeof(p)))
	if r.err == nil && n != want {
		r.fail("%s has %d points, the key announces %d", what, n, want)
	}
	if r.err != nil {
		return nil
	}
	out := make([]P, n)
	points(r, what, out)
	return out
}

// zk reads Z and the K that follows it into one slice.
func (r *dumpReader) zk(cardinality, wires uint64) (zk []bn254.G1Affine, sizeZ int) {
	n := r.count("Z", uint64(unsafe.Sizeof(bn254.G1Affine{})))
	if r.err == nil && n != cardinality-1 {
		r.fail("Z has %d points, a domain of %d takes one less", n, cardinality)
	}
	if r.err != nil {
		return nil, 0
	}
	// One allocation for both, so a key is never in memory twice.
	zk = make([]bn254.G1Affine, n, n+min(wires, uint64(r.left)/uint64(unsafe.Sizeof(zk[0]))))
	points(r, "Z", zk)
	private := r.count("K", uint64(unsafe.Sizeof(zk[0])))
	if r.err == nil && private >= wires {
		r.fail("%d private wires of %d", private, wires)
	}
	if r.err != nil {
		return nil, 0
	}
	zk = slices.Grow(zk, int(private))[:n+private]
	points(r, "K", zk[n:])
	return zk, int(n)
}

func (r *dumpReader) bytes(what string, to []byte) {
	if r.err != nil {
		return
	}
	if int64(len(to)) > r.left {
		r.fail("ends in %s", what)
		return
	}
	n, err := io.ReadFull(r.r, to)
	r.left -= int64(n)
	switch {
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		r.fail("ends in %s", what)
	case err != nil:
		r.fail("read %s: %w", what, err)
	}
}

func (r *dumpReader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: %w", gpu.ErrBadKey, fmt.Errorf(format, args...))
	}
}
