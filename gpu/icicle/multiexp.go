//go:build icicle

package icicle

import (
	"fmt"
	"math/big"
	"math/bits"
	"unsafe"

	"github.com/consensys/gnark-crypto/ecc/bn254"
	"github.com/consensys/gnark-crypto/ecc/bn254/fp"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr"

	"github.com/gristmill-zk/gristmill/gpu"
)

// group is one of the curve's two groups.
type group int

const (
	g1 group = 1
	g2 group = 2
)

// pointBytes is the size of an affine point.
func (g group) pointBytes() int { return int(g) * bn254.SizeOfG1AffineUncompressed }

// plan is how a sum over a set of points is computed: the width of the windows
// that scalars are cut into, and how many multiples of each point are kept so
// that fewer windows need buckets of their own. A window of 0 is the device's
// own choice.
type plan struct{ window, factor int }

// planFor chooses the window for n points of which factor multiples are kept.
// ICICLE's CPU device knows its windows best. On
// CUDA buckets should hold some sixteen points: fewer leave more to the
// reduction than windows save, and with less than one for each bucket ICICLE
// turns off its path for crowded buckets, on which witnesses of bits depend.
func planFor(kind string, g group, n, factor int) plan {
	p := plan{factor: factor}
	if kind == CPU {
		return p
	}
	log := bits.Len(uint(n)) - 1
	widest := 20
	if g == g2 {
		widest = 18 // a bucket is twice as large
	}
	p.window = min(max(log-4+bits.Len(uint(factor))-1, 4), widest)
	return p
}

// factorFor is how many multiples of each point are kept for keys with a domain
// of 2^log elements, if nothing is configured. They pay where the reduction of
// buckets weighs most, so for smaller keys; they cost memory and loading time.
func factorFor(kind string, configured, log int) int {
	switch {
	case configured > 0:
		return configured
	case kind == CPU:
		return 1
	case log <= 18:
		return 4
	case log <= 20:
		return 2
	}
	return 1
}

// bucketBytes is the device memory that ICICLE takes for the buckets of a sum.
func (p plan) bucketBytes(g group) int64 {
	if p.window == 0 {
		return 0
	}
	windows := (fr.Bits + p.window - 1) / p.window
	windows = (windows + p.factor - 1) / p.factor
	return 4 * int64(windows) << p.window * int64(g.pointBytes()) * 3 / 2
}

// fits refuses a sum for whose buckets memory is short: ICICLE ends the process
// over it when points are precomputed.
func (p plan) fits(g group) error {
	need := p.bucketBytes(g)
	if need == 0 {
		return nil
	}
	total, free, err := availableMemory()
	if err != nil {
		return err
	}
	if need > free/10*7 {
		return fmt.Errorf("%w: a sum takes %d bytes of device memory for its buckets, %d of %d are free: give the engine a smaller --memory, or the card fewer programs",
			gpu.ErrDevice, need, free, total)
	}
	return nil
}

// set is points on the device and where in a proof's scalars theirs begin.
type set struct {
	group  group
	points buffer
	n      int
	from   int
	plan   plan
}

func (s *set) sumG1(scalars buffer, st stream) (sum bn254.G1Jac, err error) {
	var raw [3]fp.Element
	if err := s.sum(scalars, unsafe.Pointer(&raw), st); err != nil || s.n == 0 {
		return sum, err
	}
	for i := range raw {
		toMontgomery(&raw[i])
	}
	// x/z, y/z is the point: z as it is, x·z and y·z² make it Jacobian.
	sum.X.Mul(&raw[0], &raw[2])
	sum.Y.Square(&raw[2]).Mul(&sum.Y, &raw[1])
	sum.Z = raw[2]
	if !sum.IsOnCurve() {
		return sum, fmt.Errorf("%w: a sum in G1 is not on the curve", gpu.ErrDevice)
	}
	return sum, nil
}

func (s *set) sumG2(scalars buffer, st stream) (sum bn254.G2Jac, err error) {
	var raw [3]bn254.E2
	if err := s.sum(scalars, unsafe.Pointer(&raw), st); err != nil || s.n == 0 {
		return sum, err
	}
	for i := range raw {
		toMontgomery(&raw[i].A0)
		toMontgomery(&raw[i].A1)
	}
	sum.X.Mul(&raw[0], &raw[2])
	sum.Y.Square(&raw[2]).Mul(&sum.Y, &raw[1])
	sum.Z = raw[2]
	if !sum.IsOnCurve() {
		return sum, fmt.Errorf("%w: a sum in G2 is not on the curve", gpu.ErrDevice)
	}
	return sum, nil
}

func (s *set) sum(scalars buffer, result unsafe.Pointer, st stream) error {
	if s.n == 0 {
		return nil
	}
	if err := s.plan.fits(s.group); err != nil {
		return err
	}
	return multiExp(s.group, scalars.at(s.from*fr.Bytes), s.points, s.n, s.plan, result, st)
}

// montgomerySquare is R², as an element in Montgomery form has it.
var montgomerySquare = func() (e fp.Element) {
	e.SetBigInt(new(big.Int).Lsh(big.NewInt(1), 256))
	return e
}()

// toMontgomery takes limbs that are the number itself.
func toMontgomery(e *fp.Element) { e.Mul(e, &montgomerySquare) }
