package solution

import (
	"encoding/binary"
	"fmt"
	"runtime"
	"sync/atomic"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"golang.org/x/sync/errgroup"
)

// Vectors are the parts of a solution. C is A∘B.
type Vectors struct {
	W, A, B, C fr.Vector
}

// NewVectors makes room for a solution.
func NewVectors(h Header) *Vectors {
	return &Vectors{
		W: make(fr.Vector, h.Wires),
		A: make(fr.Vector, h.Constraints), B: make(fr.Vector, h.Constraints), C: make(fr.Vector, h.Constraints),
	}
}

// Clear overwrites the vectors, which hold what a proof keeps secret.
func (v *Vectors) Clear() {
	for _, part := range []fr.Vector{v.W, v.A, v.B, v.C} {
		clear(part)
	}
}

// Piece is a stretch of a solution: of its wires, or of its constraints.
type Piece struct {
	Vectors
	At int // index of the first
}

// Take copies a solution out of the file's memory into vectors of its size and
// computes C. The memory is zero afterwards. Whatever the writer does meanwhile,
// what was taken has the wanted header and canonical elements only, and nothing
// looks at the memory twice. Each piece is shown to see, by several goroutines at
// a time, in no order, while it is in a core's cache. After an error the vectors
// hold nothing.
func Take(shared []byte, want Header, into *Vectors, see func(Piece)) error {
	err := take(shared, want, into, see)
	if err != nil {
		clear(shared)
		into.Clear()
	}
	return err
}

func take(shared []byte, want Header, into *Vectors, see func(Piece)) error {
	if int64(len(shared)) != want.Size() {
		return fmt.Errorf("the solution's memory has %d bytes, must have %d", len(shared), want.Size())
	}
	var header [headerSize]byte
	copy(header[:], shared)
	if err := want.check(header[:]); err != nil {
		return err
	}
	clear(shared[:headerSize])
	rest := shared[headerSize:]
	part := func(n uint64) (raw []byte) {
		raw, rest = rest[:n*fr.Bytes], rest[n*fr.Bytes:]
		return raw
	}
	w, a, b := part(want.Wires), part(want.Constraints), part(want.Constraints)
	wires := func(from, to int) error {
		p := Piece{At: from, Vectors: Vectors{W: into.W[from:to]}}
		if err := move("solution vector W", p.W, w, from); err != nil {
			return err
		}
		see(p)
		return nil
	}
	rows := func(from, to int) error {
		p := Piece{At: from, Vectors: Vectors{A: into.A[from:to], B: into.B[from:to], C: into.C[from:to]}}
		if err := move("solution vector A", p.A, a, from); err != nil {
			return err
		}
		if err := move("solution vector B", p.B, b, from); err != nil {
			return err
		}
		p.C.Mul(p.A, p.B)
		see(p)
		return nil
	}
	return inPieces([]stretch{{len(into.W), wires}, {len(into.A), rows}})
}

// stretch is work over n elements.
type stretch struct {
	n  int
	do func(from, to int) error
}

// inPieces does all the work on all cores. The error is that of the first piece
// that has one, so that a bad solution always has the same fault.
func inPieces(all []stretch) error {
	type job struct {
		stretch
		from int
	}
	var jobs []job
	for _, s := range all {
		for from := 0; from < s.n; from += piece {
			jobs = append(jobs, job{s, from})
		}
	}
	faults := make([]error, len(jobs))
	var next atomic.Int64
	var failed atomic.Bool
	var work errgroup.Group
	for range min(runtime.GOMAXPROCS(0), len(jobs)) {
		work.Go(func() error {
			for !failed.Load() {
				i := int(next.Add(1)) - 1
				if i >= len(jobs) {
					break
				}
				j := jobs[i]
				if faults[i] = j.do(j.from, min(j.from+piece, j.n)); faults[i] != nil {
					failed.Store(true)
				}
			}
			return nil
		})
	}
	_ = work.Wait()
	for _, err := range faults {
		if err != nil {
			return err
		}
	}
	return nil
}

// move copies elements of a vector in shared memory, the first of which has index
// from, and clears them there.
func move(name string, to fr.Vector, shared []byte, from int) error {
	raw := shared[from*fr.Bytes:][:len(to)*fr.Bytes]
	decode(to, raw)
	clear(raw)
	for i := range to {
		if !canonical(&to[i]) {
			return fmt.Errorf("%s: element %d is not below the modulus", name, from+i)
		}
	}
	return nil
}

// TakeCommitted copies n values to commit to out of the file's memory.
func TakeCommitted(shared []byte, n int) (fr.Vector, error) {
	if int64(len(shared)) < headerSize+int64(n)*fr.Bytes {
		return nil, fmt.Errorf("%d committed values do not fit into %d bytes", n, len(shared))
	}
	values := make(fr.Vector, n)
	if err := move("committed values", values, shared[headerSize:], 0); err != nil {
		clear(values)
		return nil, err
	}
	return values, nil
}

// decode copies elements that lie as in the file.
func decode(to fr.Vector, raw []byte) {
	if same, ok := memory(to); ok {
		copy(same, raw)
		return
	}
	for i := range to {
		for k := range to[i] {
			to[i][k] = binary.LittleEndian.Uint64(raw[i*fr.Bytes+k*limbBytes:])
		}
	}
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

func canonical(e *fr.Element) bool {
	for i := len(e) - 1; i >= 0; i-- {
		if e[i] != modulus[i] {
			return e[i] < modulus[i]
		}
	}
	return false
}
