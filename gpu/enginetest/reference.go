package enginetest

import (
	"math/big"

	"github.com/consensys/gnark-crypto/ecc"
	"github.com/consensys/gnark-crypto/ecc/bn254"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr/fft"
	groth16bn254 "github.com/consensys/gnark/backend/groth16/bn254"

	"github.com/gristmill-zk/gristmill/gpu"
)

// Reference is the proof that key, solution and blinding determine, computed
// with gnark-crypto alone, one step after the other.
func Reference(pk *groth16bn254.ProvingKey, req *gpu.Request) (*gpu.Proof, error) {
	s, r, sigma := &req.Solution, req.Blinding.R, req.Blinding.S
	var rs fr.Element
	rs.Mul(&r, &sigma).Neg(&rs)

	ar, err := sumOf(append(finite(pk.G1.A), pk.G1.Alpha, pk.G1.Delta), append(without(s.W, pk.InfinityA), fr.One(), r))
	if err != nil {
		return nil, err
	}
	scalarsB := append(without(s.W, pk.InfinityB), fr.One(), sigma)
	bs1, err := sumOf(append(finite(pk.G1.B), pk.G1.Beta, pk.G1.Delta), scalarsB)
	if err != nil {
		return nil, err
	}
	var bs bn254.G2Affine
	if _, err := bs.MultiExp(append(append([]bn254.G2Affine{}, pk.G2.B...), pk.G2.Beta, pk.G2.Delta), scalarsB, ecc.MultiExpConfig{}); err != nil {
		return nil, err
	}
	points := append(append(finite(pk.G1.Z), pk.G1.K...), ar, bs1, pk.G1.Delta)
	scalars := append(s.AppendUncommitted(quotient(&pk.Domain, s)), sigma, r, rs)
	krs, err := sumOf(points, scalars)
	if err != nil {
		return nil, err
	}
	return &gpu.Proof{Ar: ar, Bs: bs, Krs: krs}, nil
}

func sumOf(points []bn254.G1Affine, scalars []fr.Element) (sum bn254.G1Affine, err error) {
	_, err = sum.MultiExp(points, scalars, ecc.MultiExpConfig{})
	return sum, err
}

func finite(points []bn254.G1Affine) []bn254.G1Affine { return append([]bn254.G1Affine{}, points...) }

func without(wires fr.Vector, infinite []bool) (kept []fr.Element) {
	for i, w := range wires {
		if !infinite[i] {
			kept = append(kept, w)
		}
	}
	return kept
}

// quotient has the coefficients of (A·B - C)/(Xⁿ-1), bit-reversed, but the last,
// by the textbook: all three on the coset.
func quotient(domain *fft.Domain, s *gpu.Solution) fr.Vector {
	n := int(domain.Cardinality)
	side := func(values fr.Vector) fr.Vector {
		v := make(fr.Vector, n)
		copy(v, values)
		domain.FFTInverse(v, fft.DIF)
		domain.FFT(v, fft.DIT, fft.OnCoset())
		return v
	}
	a, b, c := side(s.A), side(s.B), side(s.C)
	one := fr.One()
	var vanishing fr.Element
	vanishing.Exp(domain.FrMultiplicativeGen, new(big.Int).SetUint64(domain.Cardinality)).Sub(&vanishing, &one).Inverse(&vanishing)
	for i := range a {
		a[i].Mul(&a[i], &b[i]).Sub(&a[i], &c[i]).Mul(&a[i], &vanishing)
	}
	domain.FFTInverse(a, fft.DIF, fft.OnCoset())
	return a[:n-1]
}
