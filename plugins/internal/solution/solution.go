// Package solution is the layout of a circuit's solution in the memory file
// that host and plugin share.
//
// A header of 128 bytes is followed by the wires W and the constraint vectors
// A, B and C, each element as four little-endian 64-bit limbs in Montgomery
// form, as gnark-crypto keeps it. While a circuit with a commitment is solved,
// the values to commit to stand where W begins. The plugin is not trusted: [Read] works on
// the host's private copy of the bytes and refuses a header that is not the
// one expected and limbs that are not below the modulus.
package solution

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"unsafe"

	"github.com/consensys/gnark-crypto/ecc"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"golang.org/x/sync/errgroup"
)

const (
	headerSize = 128
	limbBytes  = 8
	// piece is how many elements are converted at a time.
	piece = 1 << 12
)

var magic = [8]byte{'G', 'M', 'S', 'O', 'L', 'V', 0, 1}

// TicketSize is the length of the random value that ties a solution to a call.
const TicketSize = 16

// Header says what follows it.
type Header struct {
	Wires       uint64 // the constant one, public, secret and internal
	Constraints uint64
	Public      uint32 // the constant one included
	Task        [32]byte
	Ticket      [TicketSize]byte
}

// Size is the length of the whole file.
func (h Header) Size() int64 {
	return headerSize + int64(h.Wires+3*h.Constraints)*fr.Bytes
}

func (h Header) encode() []byte {
	out := make([]byte, headerSize)
	copy(out, magic[:])
	binary.LittleEndian.PutUint64(out[8:], h.Wires)
	binary.LittleEndian.PutUint64(out[16:], h.Constraints)
	binary.LittleEndian.PutUint32(out[24:], h.Public)
	copy(out[32:], h.Task[:])
	copy(out[64:], h.Ticket[:])
	return out
}

// Clear overwrites the whole file, of that size.
func Clear(f io.WriterAt, size int64) error {
	zeros := make([]byte, piece*fr.Bytes)
	for at := int64(0); at < size; at += int64(len(zeros)) {
		n := min(int64(len(zeros)), size-at)
		if _, err := f.WriteAt(zeros[:n], at); err != nil {
			return fmt.Errorf("clear the solution: %w", err)
		}
	}
	return nil
}

// Write puts a solution into the file, the header last.
func Write(f io.WriterAt, h Header, w, a, b, c fr.Vector) error {
	if uint64(len(w)) != h.Wires {
		return fmt.Errorf("solution has %d wires, the circuit %d", len(w), h.Wires)
	}
	for _, v := range []fr.Vector{a, b, c} {
		if uint64(len(v)) != h.Constraints {
			return fmt.Errorf("solution has %d rows, the circuit %d constraints", len(v), h.Constraints)
		}
	}
	at := int64(headerSize)
	var g errgroup.Group
	for _, v := range []fr.Vector{w, a, b, c} {
		from := at
		g.Go(func() error { return writeVector(f, v, from) })
		at += int64(len(v)) * fr.Bytes
	}
	if err := g.Wait(); err != nil {
		return fmt.Errorf("write the solution: %w", err)
	}
	if _, err := f.WriteAt(h.encode(), 0); err != nil {
		return fmt.Errorf("write the solution's header: %w", err)
	}
	return nil
}

func writeVector(f io.WriterAt, v fr.Vector, at int64) error {
	if raw, ok := memory(v); ok {
		_, err := f.WriteAt(raw, at)
		return err
	}
	buf := make([]byte, 0, min(piece, len(v))*fr.Bytes)
	defer func() { clear(buf[:cap(buf)]) }()
	for len(v) > 0 {
		n := min(piece, len(v))
		buf = encode(buf[:0], v[:n])
		if _, err := f.WriteAt(buf, at); err != nil {
			return err
		}
		at += int64(n) * fr.Bytes
		v = v[n:]
	}
	return nil
}

// WriteCommitted puts the values to commit to where the wires will begin, for
// the host to read while the solution is still being made.
func WriteCommitted(f io.WriterAt, values fr.Vector) error {
	if err := writeVector(f, values, headerSize); err != nil {
		return fmt.Errorf("write the committed values: %w", err)
	}
	return nil
}

// ReadCommitted copies n values to commit to out of the file.
func ReadCommitted(f io.ReaderAt, n int) (fr.Vector, error) {
	values := make(fr.Vector, n)
	if err := decode(io.NewSectionReader(f, headerSize, int64(n)*fr.Bytes), values); err != nil {
		clear(values)
		return nil, fmt.Errorf("committed values: %w", err)
	}
	return values, nil
}

func encode(out []byte, v fr.Vector) []byte {
	for i := range v {
		for _, limb := range v[i] {
			out = binary.LittleEndian.AppendUint64(out, limb)
		}
	}
	return out
}

// Vectors are the parts of a solution.
type Vectors struct {
	W, A, B, C fr.Vector
}

// Clear overwrites the vectors, which hold what a proof keeps secret.
func (v *Vectors) Clear() {
	for _, part := range []fr.Vector{v.W, v.A, v.B, v.C} {
		clear(part[:cap(part)])
	}
}

// Read copies a solution out of the file. Whatever the writer does meanwhile,
// what is returned has the wanted header and canonical elements only. The
// constraint vectors have room for the circuit's whole domain.
func Read(f io.ReaderAt, want Header) (*Vectors, error) {
	header := make([]byte, headerSize)
	if _, err := f.ReadAt(header, 0); err != nil {
		return nil, fmt.Errorf("read the solution's header: %w", err)
	}
	if err := want.check(header); err != nil {
		return nil, err
	}
	var out Vectors
	var g errgroup.Group
	at := int64(headerSize)
	domain := ecc.NextPowerOfTwo(want.Constraints)
	for _, part := range []struct {
		name string
		v    *fr.Vector
		n    uint64
		room uint64
	}{
		{"W", &out.W, want.Wires, want.Wires},
		{"A", &out.A, want.Constraints, domain},
		{"B", &out.B, want.Constraints, domain},
		{"C", &out.C, want.Constraints, domain},
	} {
		r := io.NewSectionReader(f, at, int64(part.n)*fr.Bytes)
		at += r.Size()
		g.Go(func() error {
			*part.v = make(fr.Vector, part.n, part.room)
			if err := decode(r, *part.v); err != nil {
				return fmt.Errorf("solution vector %s: %w", part.name, err)
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		out.Clear()
		return nil, err
	}
	return &out, nil
}

func (h Header) check(got []byte) error {
	want := h.encode()
	for _, field := range []struct {
		name     string
		from, to int
	}{
		{"magic", 0, 8}, {"wires", 8, 16}, {"constraints", 16, 24}, {"public wires", 24, 28},
		{"padding", 28, 32}, {"task", 32, 64}, {"ticket", 64, 80}, {"padding", 80, headerSize},
	} {
		if !bytes.Equal(got[field.from:field.to], want[field.from:field.to]) {
			return fmt.Errorf("solution header: wrong %s", field.name)
		}
	}
	return nil
}

// modulus in limbs, least first.
var modulus = func() (q [fr.Limbs]uint64) {
	m := fr.Modulus()
	raw := m.FillBytes(make([]byte, fr.Bytes))
	for i := range q {
		q[i] = binary.BigEndian.Uint64(raw[fr.Bytes-limbBytes*(i+1):])
	}
	return q
}()

// littleEndian says that elements lie in memory as they do in the file.
var littleEndian = binary.NativeEndian.Uint16([]byte{1, 0}) == 1

// memory are a vector's bytes in the file's order, if they are also memory's.
func memory(v fr.Vector) ([]byte, bool) {
	if !littleEndian || len(v) == 0 {
		return nil, len(v) == 0
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(&v[0])), len(v)*fr.Bytes), true
}

func decode(r io.Reader, v fr.Vector) error {
	buf := make([]byte, 0)
	defer func() { clear(buf) }()
	for done := 0; done < len(v); {
		part := v[done:min(done+piece, len(v))]
		raw, ok := memory(part)
		if !ok {
			if len(buf) == 0 {
				buf = make([]byte, piece*fr.Bytes)
			}
			raw = buf[:len(part)*fr.Bytes]
		}
		if _, err := io.ReadFull(r, raw); err != nil {
			return fmt.Errorf("read: %w", err)
		}
		for i := range part {
			e := &part[i]
			if !ok {
				for k := range e {
					e[k] = binary.LittleEndian.Uint64(raw[i*fr.Bytes+k*limbBytes:])
				}
			}
			if !canonical(e) {
				return fmt.Errorf("element %d is not below the modulus", done+i)
			}
		}
		done += len(part)
	}
	return nil
}

func canonical(e *fr.Element) bool {
	for i := len(e) - 1; i >= 0; i-- {
		if e[i] != modulus[i] {
			return e[i] < modulus[i]
		}
	}
	return false
}
