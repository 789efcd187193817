package wire

import (
	"math/big"

	"github.com/consensys/gnark-crypto/ecc/bn254"
	"github.com/consensys/gnark-crypto/ecc/bn254/fp"
)

// Proof is a Groth16 proof over BN254 as the EVM takes it, in gnark's
// MarshalSolidity order: A.x A.y B.x1 B.x0 B.y1 B.y0 C.x C.y, where x1 is the
// imaginary part.
type Proof [8]Hash

// NewProof puts the three points of a proof into EVM words.
func NewProof(a *bn254.G1Affine, b *bn254.G2Affine, c *bn254.G1Affine) Proof {
	return Proof{
		a.X.Bytes(), a.Y.Bytes(),
		b.X.A1.Bytes(), b.X.A0.Bytes(), b.Y.A1.Bytes(), b.Y.A0.Bytes(),
		c.X.Bytes(), c.Y.Bytes(),
	}
}

// Points returns the proof's points. It refuses words that are no canonical
// coordinates, and points off their curve or out of their subgroup. A point at
// infinity, which the EVM writes as zeros, is refused too: no proof has one
// except with negligible chance.
func (p *Proof) Points() (a bn254.G1Affine, b bn254.G2Affine, c bn254.G1Affine, err error) {
	var e [8]fp.Element
	for i := range p {
		if setErr := e[i].SetBytesCanonical(p[i][:]); setErr != nil {
			return a, b, c, reject(RejectNotField, indexed("proof", i), "not below the base field's modulus")
		}
	}
	a.X, a.Y = e[0], e[1]
	b.X.A1, b.X.A0, b.Y.A1, b.Y.A0 = e[2], e[3], e[4], e[5]
	c.X, c.Y = e[6], e[7]
	switch {
	case a.IsInfinity() || !a.IsOnCurve():
		err = reject(RejectBadPoint, "proof.a", "not a point of the curve")
	case b.IsInfinity() || !b.IsOnCurve() || !b.IsInSubGroup():
		err = reject(RejectBadPoint, "proof.b", "not a point of the subgroup")
	case c.IsInfinity() || !c.IsOnCurve():
		err = reject(RejectBadPoint, "proof.c", "not a point of the curve")
	}
	return a, b, c, err
}

// Words returns the proof as the integers that settle takes.
func (p *Proof) Words() (out [8]*big.Int) {
	for i := range p {
		out[i] = p[i].Big()
	}
	return out
}
