package bundle

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/consensys/gnark-crypto/ecc"
	curve "github.com/consensys/gnark-crypto/ecc/bn254"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	groth16 "github.com/consensys/gnark/backend/groth16/bn254"
)

// gnark's decoders believe the lengths that they read and allocate by them, and
// a process that the kernel refuses memory is gone. So the lengths in a part are
// held against its size first.

// inspectPart opens a part to look at single places of it.
func (b *Bundle) inspectPart(name string, look func(at io.ReaderAt, size int64) error) error {
	p, err := b.Part(name)
	if err != nil {
		return err
	}
	f, err := openInside(b.Dir, p.Path)
	if err != nil {
		return partError(name, err)
	}
	defer f.Close()
	return look(f, p.Size)
}

// checkCircuitShape checks the length that a constraint system begins with.
func checkCircuitShape(at io.ReaderAt, size int64) error {
	const header = 4 * 8 // length, version
	var length [8]byte
	if _, err := at.ReadAt(length[:], 0); err != nil {
		return blame(PartCircuit, ErrMalformed, "it ends in its header")
	}
	if n := binary.LittleEndian.Uint64(length[:]); size < header || n != uint64(size-header) {
		return blame(PartCircuit, ErrMalformed, "it announces %d bytes after its header, in a file of %d", n, size)
	}
	return nil
}

// checkWiresShape checks the number of wires that a known answer begins with.
func checkWiresShape(at io.ReaderAt, size int64) error {
	var length [4]byte
	if _, err := at.ReadAt(length[:], 0); err != nil {
		return blame(PartKnownAnswer, ErrMalformed, "it ends in its header")
	}
	if n := int64(binary.BigEndian.Uint32(length[:])); size != int64(len(length))+n*fr.Bytes {
		return blame(PartKnownAnswer, ErrMalformed, "it announces %d wires in a file of %d bytes", n, size)
	}
	return nil
}

// Where gnark's WriteDump puts what: a marker, the domain (its size, five
// elements, a flag), three points of G1 and two of G2, three counts, two flags
// for each wire, the number of commitments, and the slices of points, each with
// its length.
const (
	dumpDomain = 8
	dumpCounts = dumpDomain + 8 + 5*32 + 1 + 3*curve.SizeOfG1AffineUncompressed + 2*curve.SizeOfG2AffineUncompressed
	dumpFlags  = dumpCounts + 3*8
)

// checkDumpShape holds the lengths in a proving key against its size and the
// circuit's.
func checkDumpShape(at io.ReaderAt, size int64, c *CircuitInfo) error {
	d := dump{at: at, size: size}
	if got, want := d.number(dumpDomain, 8, binary.BigEndian), ecc.NextPowerOfTwo(c.Constraints); d.err == nil && got != want {
		return blame(PartProvingKey, ErrMismatch, "its domain has %d elements, the circuit's %d", got, want)
	}
	if got := d.number(dumpCounts, 8, binary.BigEndian); d.err == nil && got != c.Wires {
		return blame(PartProvingKey, ErrMismatch, "it is for %d wires, the circuit has %d", got, c.Wires)
	}
	offset := int64(dumpFlags) + 2*int64(c.Wires)
	commitments := d.number(offset, 4, binary.BigEndian)
	offset += 4
	if d.err == nil && commitments > maxCommitments {
		return blame(PartProvingKey, ErrSize, "it has %d commitments, at most %d", commitments, maxCommitments)
	}
	const g1, g2 = curve.SizeOfG1AffineUncompressed, curve.SizeOfG2AffineUncompressed
	slices := []struct {
		name string
		each int64
	}{{"A", g1}, {"B", g1}, {"Z", g1}, {"K", g1}, {"B on G2", g2}}
	for range commitments {
		slices = append(slices, slices[0], slices[0])
	}
	for _, s := range slices {
		n := d.number(offset, 8, binary.LittleEndian)
		offset += 8
		if d.err == nil && n > uint64((size-offset)/s.each) {
			return blame(PartProvingKey, ErrSize, "its %s announces %d points in %d bytes", s.name, n, size-offset)
		}
		offset += int64(n) * s.each
	}
	if d.err == nil && offset != size {
		return blame(PartProvingKey, ErrMalformed, "it has %d bytes after its last point", size-offset)
	}
	return d.err
}

// maxCommitments is more than any circuit here has.
const maxCommitments = 16

// dump reads numbers of a proving key.
type dump struct {
	at   io.ReaderAt
	size int64
	err  error
}

// number reads one of width bytes; 0 once something failed.
func (d *dump) number(offset int64, width int, order binary.ByteOrder) uint64 {
	var raw [8]byte
	if d.err == nil && offset+int64(width) > d.size {
		d.err = blame(PartProvingKey, ErrMalformed, "it ends before byte %d", offset+int64(width))
	}
	if d.err == nil {
		if _, err := d.at.ReadAt(raw[:width], offset); err != nil {
			d.err = fmt.Errorf("bundle: read %s: %w", PartProvingKey, err)
		}
	}
	switch {
	case d.err != nil:
		return 0
	case width == 4:
		return uint64(order.Uint32(raw[:]))
	default:
		return order.Uint64(raw[:])
	}
}

// Where gnark's WriteRawTo puts the points of a verifying key that the chain
// does not need, β and δ on G1.
const (
	rawBeta  = curve.SizeOfG1AffineUncompressed
	rawDelta = 2*curve.SizeOfG1AffineUncompressed + 2*curve.SizeOfG2AffineUncompressed
)

// checkVerifyingKeys refuses a verifying key in gnark's form that is not the one
// that the chain registers. It is never decoded: it must be what the other one,
// with the two points that only it has, is written as.
func (b *Bundle) checkVerifyingKeys(vk *groth16.VerifyingKey) error {
	var raw []byte
	err := b.readPart(PartVerifyingKey, func(r io.Reader) (err error) {
		raw, err = io.ReadAll(r)
		return err
	})
	if err != nil {
		return err
	}
	want := *vk
	for at, to := range map[int]*curve.G1Affine{rawBeta: &want.G1.Beta, rawDelta: &want.G1.Delta} {
		if len(raw) < at+curve.SizeOfG1AffineUncompressed {
			return blame(PartVerifyingKey, ErrMalformed, "it is %d bytes", len(raw))
		}
		if _, err := to.SetBytes(raw[at : at+curve.SizeOfG1AffineUncompressed]); err != nil {
			return blame(PartVerifyingKey, ErrMalformed, "%v", err)
		}
	}
	var text bytes.Buffer
	if _, err := want.WriteRawTo(&text); err != nil {
		return fmt.Errorf("bundle: %w", err)
	}
	if !bytes.Equal(text.Bytes(), raw) {
		return blame(PartVerifyingKey, ErrMismatch, "it is another key than %s", PartVerifyingKeyEVM)
	}
	return nil
}
