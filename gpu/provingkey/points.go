package provingkey

import (
	"fmt"

	"github.com/consensys/gnark-crypto/ecc/bn254"
	"github.com/consensys/gnark-crypto/ecc/bn254/fp"

	"github.com/gristmill-zk/gristmill/gpu"
	"github.com/gristmill-zk/gristmill/gpu/internal/parallel"
)

// checkPoints checks that each coordinate is canonical and each point is on
// its curve (infinity, written as zeros, counts: a wire that no constraint
// mentions has it). A flipped bit is found so; a key made wrong
// shows only in proofs that do not verify.
func (d *Key) checkPoints(tasks int) error {
	type named struct {
		name   string
		points []bn254.G1Affine
	}
	all := []named{{"A", d.A}, {"B", d.B}, {"Z and K", d.ZK}}
	for i, p := range d.Commitments {
		all = append(all, named{fmt.Sprintf("commitment %d", i), p.Basis}, named{fmt.Sprintf("commitment %d", i), p.BasisExpSigma})
	}
	for _, s := range all {
		bad := parallel.FirstBad(len(s.points), tasks, func(i int) bool { return goodG1(&s.points[i]) })
		if bad >= 0 {
			return fmt.Errorf("%w: point %d of %s is not on the curve", gpu.ErrBadKey, bad, s.name)
		}
	}
	if bad := parallel.FirstBad(len(d.BG2), tasks, func(i int) bool { return goodG2(&d.BG2[i]) }); bad >= 0 {
		return fmt.Errorf("%w: point %d of B in G2 is not on the curve", gpu.ErrBadKey, bad)
	}
	return nil
}

func goodG1(p *bn254.G1Affine) bool {
	return canonical(&p.X) && canonical(&p.Y) && p.IsOnCurve()
}

func goodG2(p *bn254.G2Affine) bool {
	return canonical(&p.X.A0) && canonical(&p.X.A1) && canonical(&p.Y.A0) && canonical(&p.Y.A1) && p.IsOnCurve()
}

// modulus has the limbs of the base field's modulus, the lowest first.
var modulus = func() (limbs [fp.Limbs]uint64) {
	q := fp.Modulus()
	for i := range limbs {
		limbs[i] = q.Uint64()
		q.Rsh(q, 64)
	}
	return limbs
}()

func canonical(e *fp.Element) bool {
	return below((*[4]uint64)(e), &modulus)
}

// below says whether a < b for numbers of four limbs, the lowest first.
func below(a, b *[4]uint64) bool {
	for i := 3; i >= 0; i-- {
		if a[i] != b[i] {
			return a[i] < b[i]
		}
	}
	return false
}
