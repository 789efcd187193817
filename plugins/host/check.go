package host

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"sync"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"

	"github.com/gristmill-zk/gristmill/internal/bsb22"
	"github.com/gristmill-zk/gristmill/plugins/bundle"
	"github.com/gristmill-zk/gristmill/plugins/internal/solution"
)

// checker knows whether vectors solve one circuit. It adds up the constraints with
// secret random weights of 64 bits, and A = L·W, B = R·W and A∘B = O·W with powers
// of a secret random element x, so that all of them together cost a dot product
// for each vector instead of walking the circuit. A wrong solution passes with a
// chance of 2^-64; then its proof would not verify.
type checker struct {
	weights []uint64      // one for each constraint
	sides   [3]fr.Element // of A, B and C: 1, x, x²
	wires   fr.Vector     // what the weighed constraints make of each wire

	commitment *bsb22.Commitment // nil if the circuit uses none
}

func newChecker(rows *bundle.Rows) (*checker, error) {
	c := checker{commitment: rows.Commitment, weights: make([]uint64, rows.Len())}
	secret := make([]byte, 8*rows.Len())
	if _, err := rand.Read(secret); err != nil {
		return nil, fmt.Errorf("random weights: %w", err)
	}
	elements := make(fr.Vector, rows.Len())
	for i := range c.weights {
		c.weights[i] = binary.NativeEndian.Uint64(secret[8*i:])
		elements[i].SetUint64(c.weights[i])
	}
	x := &c.sides[1]
	if _, err := x.SetRandom(); err != nil {
		return nil, fmt.Errorf("random element: %w", err)
	}
	c.sides[0].SetOne()
	c.sides[2].Square(x)
	l, r, o := rows.Combine(elements)
	r.ScalarMul(r, x)
	o.ScalarMul(o, &c.sides[2])
	l.Add(l, r)
	l.Add(l, o)
	c.wires = l
	return &c, nil
}

// take moves a solution out of shared memory, as solution.Take does, and says
// whether its vectors solve the circuit with these public inputs.
func (c *checker) take(shared []byte, h solution.Header, public fr.Vector, v *solution.Vectors) error {
	var mu sync.Mutex
	var expected fr.Element
	var sums [3]weighed
	err := solution.Take(shared, h, v, func(p solution.Piece) {
		if p.W != nil {
			part := p.W.InnerProduct(c.wires[p.At:][:len(p.W)])
			mu.Lock()
			defer mu.Unlock()
			expected.Add(&expected, &part)
			return
		}
		var parts [3]weighed
		for i, rows := range []fr.Vector{p.A, p.B, p.C} {
			parts[i].add(rows, c.weights[p.At:])
		}
		mu.Lock()
		defer mu.Unlock()
		for i := range sums {
			sums[i].join(&parts[i])
		}
	})
	if err != nil {
		return err
	}
	for i := range public {
		if !v.W[i].Equal(&public[i]) {
			return fmt.Errorf("public wire %d (%s) is not the task's", i, publicName(i))
		}
	}
	var sum, side fr.Element
	for i := range sums {
		side = sums[i].element()
		sum.Add(&sum, side.Mul(&side, &c.sides[i]))
	}
	if !sum.Equal(&expected) {
		return errors.New("the solution does not follow from the wires: A = L·W, B = R·W or A∘B = O·W is broken")
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
