package host

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"sync"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"

	"github.com/gristmill-zk/gristmill/internal/bsb22"
	"github.com/gristmill-zk/gristmill/plugins/bundle"
	"github.com/gristmill-zk/gristmill/plugins/internal/solution"
)

// checker knows whether vectors solve one circuit. It weighs the constraints
// with the powers of a secret random element, so that A = L·W, B = R·W and
// C = O·W cost two dot products each instead of walking the circuit. A wrong
// vector passes with a chance below constraints/2^253.
type checker struct {
	weights fr.Vector // one for each constraint
	l, r, o fr.Vector // what the weighed constraints make of each wire

	commitment *bsb22.Commitment // nil if the circuit uses none
}

func newChecker(rows *bundle.Rows) (*checker, error) {
	c := checker{commitment: rows.Commitment}
	var x fr.Element
	if _, err := x.SetRandom(); err != nil {
		return nil, fmt.Errorf("random element: %w", err)
	}
	c.weights = make(fr.Vector, rows.Len())
	power := fr.One()
	for i := range c.weights {
		c.weights[i] = power
		power.Mul(&power, &x)
	}
	c.l, c.r, c.o = rows.Combine(c.weights)
	return &c, nil
}

// check says whether the vectors solve the circuit with these public inputs.
func (c *checker) check(v *solution.Vectors, public fr.Vector) error {
	for i := range public {
		if !v.W[i].Equal(&public[i]) {
			return fmt.Errorf("public wire %d (%s) is not the task's", i, publicName(i))
		}
	}
	// Each has its place, so that a bad solution always has the same fault.
	var faults [4]error
	var work sync.WaitGroup
	for i, side := range []struct {
		name        string
		rows, coeff fr.Vector
	}{{"A", v.A, c.l}, {"B", v.B, c.r}, {"C", v.C, c.o}} {
		work.Go(func() {
			weighed, expected := side.rows.InnerProduct(c.weights), side.coeff.InnerProduct(v.W)
			if !weighed.Equal(&expected) {
				faults[i] = fmt.Errorf("vector %s does not follow from the wires", side.name)
			}
		})
	}
	work.Go(func() {
		if i := bundle.FirstUnsatisfied(v.A, v.B, v.C); i >= 0 {
			faults[3] = fmt.Errorf("constraint %d is not satisfied", i)
		}
	})
	work.Wait()
	return cmp.Or(faults[:]...)
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
