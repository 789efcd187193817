package fixedbase

import (
	"math/bits"

	"github.com/consensys/gnark-crypto/ecc/bn254"
	"github.com/consensys/gnark-crypto/ecc/bn254/fp"
)

// batch is how many additions share an inversion. An inversion costs as much as
// a hundred multiplications; more points than this would leave the caches.
const batch = 512

// chains is how many running products a batch has: one multiplication need not
// wait for the one before it.
const chains = 2

// modulus has the limbs of the base field's modulus, the lowest first.
var modulus = func() (limbs [fp.Limbs]uint64) {
	q := fp.Modulus()
	for i := range limbs {
		limbs[i] = q.Uint64()
		q.Rsh(q, 64)
	}
	return limbs
}()

// subtract sets z to x - y. It does not branch on the borrow, which is as good
// as random here: a branch foretold wrongly costs as much as the subtraction.
func subtract(z, x, y *fp.Element) {
	var borrow, carry uint64
	z0, borrow := bits.Sub64(x[0], y[0], 0)
	z1, borrow := bits.Sub64(x[1], y[1], borrow)
	z2, borrow := bits.Sub64(x[2], y[2], borrow)
	z3, borrow := bits.Sub64(x[3], y[3], borrow)
	mask := -borrow
	z[0], carry = bits.Add64(z0, mask&modulus[0], 0)
	z[1], carry = bits.Add64(z1, mask&modulus[1], carry)
	z[2], carry = bits.Add64(z2, mask&modulus[2], carry)
	z[3], _ = bits.Add64(z3, mask&modulus[3], carry)
}

// adder adds points in place: to[at[i]] += what[i], for no more than batch
// points and no place twice.
type adder[P any] interface {
	add(to []P, at []uint32, what []P)
}

var (
	_ adder[bn254.G1Affine] = (*adderG1)(nil)
	_ adder[bn254.G2Affine] = (*adderG2)(nil)
)

// adderG1 is the adder of G1, with room for the intermediate values.
type adderG1 struct {
	live     [batch]uint32 // additions that are no mere copies
	double   [batch]bool
	divisor  [batch]fp.Element
	products [batch]fp.Element // of the divisors before, in the same chain
	// touched is only written. To read all places first, one straight after the
	// other, fetches them into the cache together instead of one by one.
	touched uint64
}

func (s *adderG1) add(to []bn254.G1Affine, at []uint32, what []bn254.G1Affine) {
	for _, i := range at {
		s.touched ^= to[i].X[0]
	}
	var total [chains]fp.Element
	for i := range total {
		total[i].SetOne()
	}
	n := 0
	for i := range what {
		p, q := &to[at[i]], &what[i]
		if q.IsInfinity() {
			continue
		}
		if p.IsInfinity() {
			*p = *q
			continue
		}
		d := &s.divisor[n]
		subtract(d, &q.X, &p.X)
		s.double[n] = false
		if d.IsZero() {
			if !p.Y.Equal(&q.Y) || p.Y.IsZero() {
				p.SetInfinity()
				continue
			}
			d.Double(&p.Y)
			s.double[n] = true
		}
		s.live[n], s.products[n] = uint32(i), total[n%chains]
		total[n%chains].Mul(&total[n%chains], d)
		n++
	}
	if n == 0 {
		return
	}
	inverse := total
	inverse[0].Mul(&total[0], &total[1]).Inverse(&inverse[0])
	inverse[0], inverse[1] = *new(fp.Element).Mul(&inverse[0], &total[1]), *new(fp.Element).Mul(&inverse[0], &total[0])
	for n--; n >= 0; n-- {
		i := s.live[n]
		p, q, rest := &to[at[i]], &what[i], &inverse[n%chains]
		var slope, x fp.Element
		if s.double[n] {
			x.Square(&p.X)
			slope.Double(&x).Add(&slope, &x)
		} else {
			subtract(&slope, &q.Y, &p.Y)
		}
		x.Mul(rest, &s.products[n])
		rest.Mul(rest, &s.divisor[n])
		slope.Mul(&slope, &x)
		x.Square(&slope)
		subtract(&x, &x, &p.X)
		subtract(&x, &x, &q.X)
		subtract(&p.X, &p.X, &x)
		slope.Mul(&slope, &p.X)
		subtract(&p.Y, &slope, &p.Y)
		p.X = x
	}
}

// adderG2 is the adder of G2.
type adderG2 struct {
	live     [batch]uint32
	double   [batch]bool
	divisor  [batch]bn254.E2
	products [batch]bn254.E2
	touched  uint64
}

func (s *adderG2) add(to []bn254.G2Affine, at []uint32, what []bn254.G2Affine) {
	for _, i := range at {
		s.touched ^= to[i].X.A0[0] ^ to[i].Y.A0[0]
	}
	var total [chains]bn254.E2
	for i := range total {
		total[i].SetOne()
	}
	n := 0
	for i := range what {
		p, q := &to[at[i]], &what[i]
		if q.IsInfinity() {
			continue
		}
		if p.IsInfinity() {
			*p = *q
			continue
		}
		d := &s.divisor[n]
		d.Sub(&q.X, &p.X)
		s.double[n] = false
		if d.IsZero() {
			if !p.Y.Equal(&q.Y) || p.Y.IsZero() {
				p.SetInfinity()
				continue
			}
			d.Double(&p.Y)
			s.double[n] = true
		}
		s.live[n], s.products[n] = uint32(i), total[n%chains]
		total[n%chains].Mul(&total[n%chains], d)
		n++
	}
	if n == 0 {
		return
	}
	inverse := total
	inverse[0].Mul(&total[0], &total[1]).Inverse(&inverse[0])
	inverse[0], inverse[1] = *new(bn254.E2).Mul(&inverse[0], &total[1]), *new(bn254.E2).Mul(&inverse[0], &total[0])
	for n--; n >= 0; n-- {
		i := s.live[n]
		p, q, rest := &to[at[i]], &what[i], &inverse[n%chains]
		var slope, x bn254.E2
		if s.double[n] {
			x.Square(&p.X)
			slope.Double(&x).Add(&slope, &x)
		} else {
			slope.Sub(&q.Y, &p.Y)
		}
		x.Mul(rest, &s.products[n])
		rest.Mul(rest, &s.divisor[n])
		slope.Mul(&slope, &x)
		x.Square(&slope).Sub(&x, &p.X).Sub(&x, &q.X)
		p.X.Sub(&p.X, &x)
		slope.Mul(&slope, &p.X)
		p.Y.Sub(&slope, &p.Y)
		p.X = x
	}
}
