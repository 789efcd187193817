package sdk

import (
	"fmt"
	"math/big"

	edbn254 "github.com/consensys/gnark-crypto/ecc/bn254/twistededwards"
	tedwards "github.com/consensys/gnark-crypto/ecc/twistededwards"
	"github.com/consensys/gnark/frontend"
	"github.com/consensys/gnark/std/algebra/native/twistededwards"
)

// The check of one signature: 8·([S]G − [h]A − R) = 0 with
// h = P2(R.x, R.y, A.x, A.y, digest), as gnark-crypto's eddsa verifies.
//
// gnark's own gadget walks both scalars at once and reads S three times. Here
// [S]G comes from tables of constants, 3 bits at a time and without doublings,
// which makes a signature a quarter cheaper, so that four readings fit into
// 2^15 constraints. Both give the same answer; a test compares them.

const (
	baseWindow   = 3   // bits of S per table
	scalarBits   = 251 // the subgroup's order has that many
	cofactorLog2 = 3
)

// signature is an EdDSA signature over BabyJubjub.
type signature struct {
	RX, RY, S frontend.Variable
}

// eddsaVerifier checks devices of eddsa-bn254. A signature costs 5,597
// constraints.
type eddsaVerifier struct {
	curve      twistededwards.Curve
	h          *hasher
	signatures []signature
}

func newEdDSAVerifier(api frontend.API, h *hasher, signatures []signature) (*eddsaVerifier, error) {
	curve, err := twistededwards.NewEdCurve(api, tedwards.BN254)
	if err != nil {
		return nil, fmt.Errorf("edwards curve: %w", err)
	}
	return &eddsaVerifier{curve: curve, h: h, signatures: signatures}, nil
}

func (v *eddsaVerifier) verify(m *Message, i int) error {
	v.curve.AssertIsOnCurve(twistededwards.Point{X: m.key[0], Y: m.key[1]})
	if len(v.signatures) > 0 {
		assertSignature(v.curve, v.h, m, v.signatures[i])
	}
	return nil
}

// assertSignature says that sig is the device's signature over the message if
// the slot is used. The key is known to lie on the curve.
func assertSignature(curve twistededwards.Curve, h *hasher, m *Message, sig signature) {
	api := curve.API()
	key := twistededwards.Point{X: m.key[0], Y: m.key[1]}
	r := twistededwards.Point{X: sig.RX, Y: sig.RY}
	curve.AssertIsOnCurve(r)

	// S is below the order, as the native check has it: both S and
	// order−1−S have as many bits as the order.
	last := new(big.Int).Sub(curve.Params().Order, big.NewInt(1))
	s := api.ToBinary(sig.S, scalarBits)
	api.ToBinary(api.Sub(last, sig.S), scalarBits)

	challenge := api.ToBinary(h.sum(r.X, r.Y, key.X, key.Y, m.Digest))
	sum := curve.Add(mulBase(curve, s), mulPoint(curve, curve.Neg(key), challenge))
	sum = curve.Add(sum, curve.Neg(r))
	for range cofactorLog2 {
		sum = curve.Double(sum)
	}
	m.AssertEqual(sum.X, 0)
	m.AssertEqual(sum.Y, 1)
}

// mulBase is [Σ bits·2^i]G. Window j adds one of 0, 1, … 7 times 8^j·G.
func mulBase(curve twistededwards.Curve, bits []frontend.Variable) twistededwards.Point {
	api := curve.API()
	step := edbn254.GetEdwardsCurve().Base
	var acc twistededwards.Point
	for at := 0; at < len(bits); at += baseWindow {
		window := make([]frontend.Variable, baseWindow)
		for i := range window {
			window[i] = frontend.Variable(0)
			if at+i < len(bits) {
				window[i] = bits[at+i]
			}
		}
		p := lookupConstant(api, window, multiples(step))
		if at == 0 {
			acc = p
		} else {
			acc = curve.Add(acc, p)
		}
		for range baseWindow {
			step.Double(&step)
		}
	}
	return acc
}

// multiples are 0·p, 1·p, … 7·p.
func multiples(p edbn254.PointAffine) [1 << baseWindow]edbn254.PointAffine {
	var table [1 << baseWindow]edbn254.PointAffine
	table[0].Y.SetOne()
	for i := 1; i < len(table); i++ {
		table[i].Add(&table[i-1], &p)
	}
	return table
}

// lookupConstant is the entry of table that bits (least first) name. Over the
// products of the bits an entry is a linear form with constant coefficients.
func lookupConstant(api frontend.API, b []frontend.Variable, table [1 << baseWindow]edbn254.PointAffine) twistededwards.Point {
	products := [1 << baseWindow]frontend.Variable{1, b[0], b[1], nil, b[2], nil, nil, nil}
	products[3] = api.Mul(b[0], b[1])
	products[5] = api.Mul(b[0], b[2])
	products[6] = api.Mul(b[1], b[2])
	products[7] = api.Mul(products[3], b[2])

	xs, ys := table, table
	for bit := 1; bit < len(table); bit <<= 1 {
		for i := range table {
			if i&bit != 0 {
				xs[i].X.Sub(&xs[i].X, &xs[i^bit].X)
				ys[i].Y.Sub(&ys[i].Y, &ys[i^bit].Y)
			}
		}
	}
	x, y := frontend.Variable(0), frontend.Variable(0)
	for i := range table {
		x = api.Add(x, api.Mul(products[i], xs[i].X))
		y = api.Add(y, api.Mul(products[i], ys[i].Y))
	}
	return twistededwards.Point{X: x, Y: y}
}

// mulPoint is [Σ bits·2^i]p for any p on the curve, two bits at a time from the
// top.
func mulPoint(curve twistededwards.Curve, p twistededwards.Point, bits []frontend.Variable) twistededwards.Point {
	api := curve.API()
	if len(bits)%2 != 0 {
		bits = append(bits[:len(bits):len(bits)], frontend.Variable(0))
	}
	double := curve.Double(p)
	triple := curve.Add(double, p)
	pick := func(low, high frontend.Variable) twistededwards.Point {
		return twistededwards.Point{
			X: api.Lookup2(low, high, 0, p.X, double.X, triple.X),
			Y: api.Lookup2(low, high, 1, p.Y, double.Y, triple.Y),
		}
	}
	top := len(bits) - 2
	acc := pick(bits[top], bits[top+1])
	for i := top - 2; i >= 0; i -= 2 {
		acc = curve.Double(curve.Double(acc))
		acc = curve.Add(acc, pick(bits[i], bits[i+1]))
	}
	return acc
}
