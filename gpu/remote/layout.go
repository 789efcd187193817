package remote

import (
	"errors"
	"fmt"
	"runtime"
	"unsafe"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"

	"github.com/gristmill-zk/gristmill/gpu"
	"github.com/gristmill-zk/gristmill/gpu/internal/parallel"
	"github.com/gristmill-zk/gristmill/gpu/proto"
)

// A memory file for a proof has the two numbers of the blinding, then W, A, B
// and C, then the wires that each commitment covers as 32-bit numbers. One for
// a commitment has its values only. Elements are as they lie in memory: both
// sides run on one machine.

// maxElements bounds each vector, so that sizes can not overflow.
const maxElements = 1 << 40

var errLayout = errors.New("the vectors do not fit the shared memory")

// proveSize is the size of the memory file for a proof.
func proveSize(p *proto.Prove) (int64, error) {
	elements := uint64(2)
	for _, n := range []uint64{p.GetWires(), p.GetA(), p.GetB(), p.GetC()} {
		if n > maxElements {
			return 0, errLayout
		}
		elements += n
	}
	size := int64(elements) * fr.Bytes
	for _, c := range p.GetCommitments() {
		if c.GetWires() > maxElements || len(p.GetCommitments()) > 1<<16 {
			return 0, errLayout
		}
		size += int64(c.GetWires()) * 4
	}
	return size, nil
}

// describeProve is a request without what lies in memory.
func describeProve(req *gpu.Request) *proto.Prove {
	s := &req.Solution
	p := &proto.Prove{
		Wires: uint64(len(s.W)), A: uint64(len(s.A)), B: uint64(len(s.B)), C: uint64(len(s.C)), Public: int64(s.NbPublic),
	}
	for i := range s.Commitments {
		c := &s.Commitments[i]
		p.Commitments = append(p.Commitments, &proto.Commitment{
			Wires: uint64(len(c.Wires)), Challenge: c.Challenge, Point: encodeG1(&c.Point),
		})
	}
	return p
}

// writeProve puts what is secret or large into memory.
func writeProve(memory []byte, req *gpu.Request) {
	s := &req.Solution
	at := copy(memory, raw([]fr.Element{req.Blinding.R, req.Blinding.S}))
	for _, v := range []fr.Vector{s.W, s.A, s.B, s.C} {
		at += copyWide(memory[at:], raw(v))
	}
	for i := range s.Commitments {
		at += copy(memory[at:], raw(s.Commitments[i].Wires))
	}
}

// readProve is the request that a memory file holds. Its vectors are the file's
// own memory: they end with it and can not be written.
func readProve(memory []byte, p *proto.Prove) (gpu.Request, error) {
	var req gpu.Request
	if size, err := proveSize(p); err != nil || size > int64(len(memory)) {
		return req, errLayout
	}
	take := func(n uint64) fr.Vector {
		v := view[fr.Element](memory, n)
		memory = memory[n*fr.Bytes:]
		return v
	}
	blinding := take(2)
	req.Blinding = gpu.Blinding{R: blinding[0], S: blinding[1]}
	req.Solution = gpu.Solution{
		W: take(p.GetWires()), A: take(p.GetA()), B: take(p.GetB()), C: take(p.GetC()), NbPublic: int(p.GetPublic()),
	}
	for _, c := range p.GetCommitments() {
		point, err := decodeG1(c.GetPoint())
		if err != nil {
			return gpu.Request{}, fmt.Errorf("%w: commitment: %w", gpu.ErrBadSolution, err)
		}
		req.Solution.Commitments = append(req.Solution.Commitments, gpu.Commitment{
			Wires: view[uint32](memory, c.GetWires()), Challenge: c.GetChallenge(), Point: point,
		})
		memory = memory[c.GetWires()*4:]
	}
	return req, nil
}

// raw is the memory of a slice.
func raw[T fr.Element | uint32](v []T) []byte {
	if len(v) == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(&v[0])), uintptr(len(v))*unsafe.Sizeof(v[0]))
}

// view is memory as a slice of n. The caller knows that it is long enough.
func view[T fr.Element | uint32](memory []byte, n uint64) []T {
	if n == 0 {
		return nil
	}
	return unsafe.Slice((*T)(unsafe.Pointer(&memory[0])), n)
}

// copyWide copies with several threads where one would not use the memory's
// whole speed.
func copyWide(to, from []byte) int {
	const piece = 1 << 12
	to = to[:len(from)]
	parallel.For((len(from)+piece-1)/piece, min(4, runtime.GOMAXPROCS(0)), func(lo, hi int) {
		hi = min(hi*piece, len(from))
		copy(to[lo*piece:hi], from[lo*piece:hi])
	})
	return len(from)
}
