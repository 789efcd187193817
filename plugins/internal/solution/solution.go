// Package solution is the layout of a circuit's solution in the memory file
// that host and plugin share.
//
// A header of 128 bytes is followed by the wires W and the constraint vectors A
// and B, each element as four little-endian 64-bit limbs in Montgomery form, as
// gnark-crypto keeps it. C is not in the file, as it is A∘B. While a circuit with
// a commitment is solved, the values to commit to stand where W begins. The
// plugin is not trusted: [Take] looks at the host's private copy of the bytes
// only and refuses a header that is not the one expected and limbs that are not
// below the modulus.
package solution

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"unsafe"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"golang.org/x/sync/errgroup"
)

const (
	headerSize = 128
	limbBytes  = 8
	// piece is how many elements are worked on at a time: what belongs to so many
	// constraints stays in a core's cache.
	piece = 1 << 11
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
	return headerSize + int64(h.Wires+2*h.Constraints)*fr.Bytes
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

// Write puts a solution into the file, the header last.
func Write(f io.WriterAt, h Header, w, a, b fr.Vector) error {
	if uint64(len(w)) != h.Wires {
		return fmt.Errorf("solution has %d wires, the circuit %d", len(w), h.Wires)
	}
	for _, v := range []fr.Vector{a, b} {
		if uint64(len(v)) != h.Constraints {
			return fmt.Errorf("solution has %d rows, the circuit %d constraints", len(v), h.Constraints)
		}
	}
	at := int64(headerSize)
	var g errgroup.Group
	for _, v := range []fr.Vector{w, a, b} {
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

func encode(out []byte, v fr.Vector) []byte {
	for i := range v {
		for _, limb := range v[i] {
			out = binary.LittleEndian.AppendUint64(out, limb)
		}
	}
	return out
}

// littleEndian says that elements lie in memory as they do in the file.
var littleEndian = binary.NativeEndian.Uint16([]byte{1, 0}) == 1

// memory are a vector's bytes in the file's order, if they are also memory's.
func memory(v fr.Vector) ([]byte, bool) {
	if !littleEndian || len(v) == 0 {
		return nil, len(v) == 0
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(&v[0])), len(v)*fr.Bytes), true
}
