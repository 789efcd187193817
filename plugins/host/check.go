package host

import (
	"errors"
	"fmt"
	"math"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"

	"github.com/gristmill-zk/gristmill/internal/bsb22"
	"github.com/gristmill-zk/gristmill/plugins/bundle"
	"github.com/gristmill-zk/gristmill/plugins/internal/solution"
)

// checker knows whether vectors solve one circuit. It weighs the constraints
// with the powers of a secret random element, so that A = L·W, B = R·W and
// C = O·W cost one dot product each instead of walking the circuit. A wrong
// vector passes with a chance below constraints/2^253.
type checker struct {
	x       fr.Element
	l, r, o fr.Vector

	commitment *bsb22.Commitment // nil if the circuit uses none
}

func newChecker(rows *bundle.Rows) (*checker, error) {
	c := checker{commitment: rows.Commitment}
	if _, err := c.x.SetRandom(); err != nil {
		return nil, fmt.Errorf("random element: %w", err)
	}
	weights := make(fr.Vector, rows.Len())
	power := fr.One()
	for i := range weights {
		weights[i] = power
		power.Mul(&power, &c.x)
	}
	c.l, c.r, c.o = rows.Combine(weights)
	return &c, nil
}

// check says whether the vectors solve the circuit with these public inputs.
func (c *checker) check(v *solution.Vectors, public fr.Vector) error {
	for i := range public {
		if !v.W[i].Equal(&public[i]) {
			return fmt.Errorf("public wire %d (%s) is not the task's", i, publicName(i))
		}
	}
	for _, side := range []struct {
		name        string
		rows, coeff fr.Vector
	}{{"A", v.A, c.l}, {"B", v.B, c.r}, {"C", v.C, c.o}} {
		weighed, expected := horner(side.rows, &c.x), dot(side.coeff, v.W)
		if !weighed.Equal(&expected) {
			return fmt.Errorf("vector %s does not follow from the wires", side.name)
		}
	}
	var product fr.Element
	for i := range v.A {
		if product.Mul(&v.A[i], &v.B[i]); !product.Equal(&v.C[i]) {
			return fmt.Errorf("constraint %d is not satisfied", i)
		}
	}
	return nil
}

func publicName(i int) string {
	switch i {
	case 0:
		return "the constant one"
	case 1:
		return "binding"
	case 2:
		return "data commitment"
	default:
		return fmt.Sprintf("output %d", i-3)
	}
}

// horner is Σ v[i]·x^i.
func horner(v fr.Vector, x *fr.Element) (sum fr.Element) {
	for i := len(v) - 1; i >= 0; i-- {
		sum.Mul(&sum, x).Add(&sum, &v[i])
	}
	return sum
}

func dot(a, b fr.Vector) (sum fr.Element) {
	var term fr.Element
	for i := range a {
		term.Mul(&a[i], &b[i])
		sum.Add(&sum, &term)
	}
	return sum
}

// checkTime refuses a time that the proof envelope could not carry: found out
// only there, it would keep a finished proof from ever being reported.
func checkTime(ms float64) error {
	if math.IsNaN(ms) || math.IsInf(ms, 0) || math.Signbit(ms) {
		return fmt.Errorf("a solving time of %v ms", ms)
	}
	return nil
}

// parseOutputs reads the outputs a plugin claims.
func parseOutputs(raw [][]byte, want int) (fr.Vector, error) {
	if len(raw) != want {
		return nil, fmt.Errorf("%d outputs, the circuit has %d", len(raw), want)
	}
	out := make(fr.Vector, want)
	for i := range raw {
		if len(raw[i]) != fr.Bytes {
			return nil, fmt.Errorf("output %d has %d bytes, must have %d", i, len(raw[i]), fr.Bytes)
		}
		if err := out[i].SetBytesCanonical(raw[i]); err != nil {
			return nil, errors.New("output " + fmt.Sprint(i) + " is not below the modulus")
		}
	}
	return out, nil
}
