//go:build icicle

package icicle

import (
	"errors"
	"unsafe"

	"github.com/consensys/gnark-crypto/ecc/bn254"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr"

	"github.com/gristmill-zk/gristmill/gpu"
	"github.com/gristmill-zk/gristmill/gpu/provingkey"
)

// residentKey is a key on the device. It is immutable.
type residentKey struct {
	*provingkey.Key // without its points

	// The scalars of a proof are the wires and a one, followed by what picked
	// says, each list with a one at its end.
	picked  [][]uint32
	scalars int // in all

	a, b, b2, k, z set
	commitments    []commitmentKey
}

// commitmentKey has scalars of its own: the covered values and a one.
type commitmentKey struct{ basis, knowledge set }

// worthPicking: a set that at least an eighth of its wires have no part in takes
// its scalars picked, and others take the wires where they lie, with points at
// infinity in between.
const worthPicking = 8

type loader struct {
	dev        *device
	precompute int
	stream     stream

	factor int // for the key at hand
}

func (l loader) load(read *provingkey.Key) (k *residentKey, err error) {
	l.factor = factorFor(l.dev.kind, l.precompute, logOf(read.Cardinality))
	k = &residentKey{Key: read, scalars: read.Wires + 1}
	defer func() {
		if err != nil {
			err = errors.Join(err, k.free())
			k = nil
		}
	}()
	if err := l.dev.roots().ensure(max(logOf(read.Cardinality)+1, l.dev.leastRoots())); err != nil {
		return k, err
	}
	if err := l.wires(k); err != nil {
		return k, err
	}
	// Z meets the quotient's n coefficients; the last, which is zero in a right
	// solution, is made the one.
	if k.z, err = place(&l, g1, read.Z(), 0); err != nil {
		return k, err
	}
	for i := range read.Commitments {
		var c commitmentKey
		if c.basis, err = place(&l, g1, read.Commitments[i].Basis, 0); err == nil {
			c.knowledge, err = place(&l, g1, read.Commitments[i].BasisExpSigma, 0)
		}
		k.commitments = append(k.commitments, c)
		if err != nil {
			return k, err
		}
	}
	read.DropPoints()
	return k, l.stream.wait()
}

// wires places the sets whose scalars are wires.
func (l *loader) wires(k *residentKey) (err error) {
	if k.a, err = placeWires(l, k, g1, k.A, k.WiresA, 0); err != nil {
		return err
	}
	if k.b, err = placeWires(l, k, g1, k.B, k.WiresB, 0); err != nil {
		return err
	}
	from := k.b.from
	if k.b2, err = placeWires(l, k, g2, k.BG2, k.WiresB, from); err != nil {
		return err
	}
	if len(k.Commitments) == 0 {
		k.k, err = place(l, g1, k.Key.K(), k.Public())
		return err
	}
	// Which wires K leaves out is the solution's to say; the list is made for
	// each proof and ends the scalars.
	k.k, err = place(l, g1, k.Key.K(), k.scalars)
	k.scalars += len(k.Key.K()) + 1
	return err
}

// placeWires brings the points of some wires to the device, as a set over all
// wires or over picked ones. A from other than 0 is where they were picked
// already.
func placeWires[P bn254.G1Affine | bn254.G2Affine](l *loader, k *residentKey, g group, points []P, wires []uint32, from int) (set, error) {
	if missing := k.Wires - len(wires); missing*worthPicking >= k.Wires {
		if from == 0 {
			from = k.scalars
			k.picked = append(k.picked, wires)
			k.scalars += len(wires) + 1
		}
		return place(l, g, points, from)
	}
	spread := make([]P, k.Wires)
	for i, wire := range wires {
		spread[wire] = points[i]
	}
	return place(l, g, spread, 0)
}

// place brings points and one at infinity to the device, out of Montgomery form
// and with their multiples.
func place[P bn254.G1Affine | bn254.G2Affine](l *loader, g group, points []P, from int) (s set, err error) {
	s = set{group: g, from: from}
	if len(points) == 0 {
		return s, nil
	}
	n := len(points) + 1
	s.plan = planFor(l.dev.kind, g, n, l.factor)
	size := n * g.pointBytes()
	raw, err := allocate("a proving key's points", size)
	if err != nil {
		return s, err
	}
	s.points, s.n = raw, n
	infinity := size - g.pointBytes()
	err = upload(raw, points, l.stream)
	if err == nil {
		err = raw.at(infinity).zero(g.pointBytes(), l.stream)
	}
	if err == nil {
		err = raw.plainPoints(g, n, l.stream)
	}
	if err != nil || s.plan.factor == 1 {
		return s, err
	}
	multiples, err := allocate("a proving key's precomputed points", size*s.plan.factor)
	if err != nil {
		return s, err
	}
	s.points = multiples
	return s, errors.Join(precompute(g, raw, n, s.plan, multiples, l.stream), l.stream.wait(), raw.free())
}

// free gives the key's device memory back. It runs on the device's thread.
func (k *residentKey) free() error {
	sets := []*set{&k.a, &k.b, &k.b2, &k.k, &k.z}
	for i := range k.commitments {
		sets = append(sets, &k.commitments[i].basis, &k.commitments[i].knowledge)
	}
	var failures []error
	for _, s := range sets {
		failures = append(failures, s.points.free())
	}
	return errors.Join(failures...)
}

// footprint is the device memory that a key will take at most, from the first
// bytes of it.
func footprint(kind string, configured int, key gpu.Key) (int64, error) {
	cardinality, err := provingkey.Cardinality(key)
	if err != nil {
		return 0, err
	}
	factor := factorFor(kind, configured, logOf(cardinality))
	// The file's points, up to one in worthPicking more at infinity, one at the
	// end of each set, and the roots of unity.
	points := key.Size + key.Size/(worthPicking-1) + 16*int64(g2.pointBytes())
	return points*int64(factor) + 4*int64(cardinality)*int64(unsafe.Sizeof(fr.Element{})), nil
}
