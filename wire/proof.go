package wire

import (
	"encoding/json"
	"math/big"

	"github.com/consensys/gnark-crypto/ecc/bn254"
	"github.com/consensys/gnark-crypto/ecc/bn254/fp"
)

const (
	plainWords     = 8
	committedWords = 12
)

// Proof is a Groth16 proof over BN254 as the EVM takes it, in gnark's
// MarshalSolidity order: A.x A.y B.x1 B.x0 B.y1 B.y0 C.x C.y, where x1 is the
// imaginary part. The proof of a circuit that uses a gnark commitment goes on
// with D.x D.y P.x P.y, the commitment and the proof that what it commits to is
// known; for other circuits these four are zero and left out wherever a proof
// is written: it has 8 words or 12.
type Proof [committedWords]Hash

// ProofPoints are the points of a proof.
type ProofPoints struct {
	A, C bn254.G1Affine
	B    bn254.G2Affine
	// Commitment and Knowledge are at infinity unless the circuit uses a
	// commitment; then neither is.
	Commitment, Knowledge bn254.G1Affine
}

// NewProof puts the points of a proof into EVM words.
func NewProof(p ProofPoints) Proof {
	return Proof{
		p.A.X.Bytes(), p.A.Y.Bytes(),
		p.B.X.A1.Bytes(), p.B.X.A0.Bytes(), p.B.Y.A1.Bytes(), p.B.Y.A0.Bytes(),
		p.C.X.Bytes(), p.C.Y.Bytes(),
		p.Commitment.X.Bytes(), p.Commitment.Y.Bytes(), p.Knowledge.X.Bytes(), p.Knowledge.Y.Bytes(),
	}
}

// ProofOfWords reads the words of a proof, 8 or 12.
func ProofOfWords(words []Hash) (p Proof, err error) {
	if len(words) != plainWords && len(words) != committedWords {
		return p, reject(RejectBadCount, "proof", "%d words, want %d or %d", len(words), plainWords, committedWords)
	}
	copy(p[:], words)
	if len(words) == committedWords && !p.Committed() {
		return p, reject(RejectBadPoint, "proof.commitment", "not a point of the curve")
	}
	return p, nil
}

// Committed says whether the proof has a commitment.
func (p *Proof) Committed() bool {
	for i := plainWords; i < committedWords; i++ {
		if !p[i].IsZero() {
			return true
		}
	}
	return false
}

// words are the 8 or 12 that the proof has.
func (p *Proof) words() []Hash {
	if p.Committed() {
		return p[:]
	}
	return p[:plainWords]
}

// Points returns the proof's points. It refuses words that are no canonical
// coordinates, and points off their curve or out of their subgroup. A point at
// infinity, which the EVM writes as zeros, is refused too: no proof has one
// except with negligible chance.
func (p *Proof) Points() (points ProofPoints, err error) {
	var e [committedWords]fp.Element
	for i := range p {
		if setErr := e[i].SetBytesCanonical(p[i][:]); setErr != nil {
			return points, reject(RejectNotField, indexed("proof", i), "not below the base field's modulus")
		}
	}
	points.A.X, points.A.Y = e[0], e[1]
	points.B.X.A1, points.B.X.A0, points.B.Y.A1, points.B.Y.A0 = e[2], e[3], e[4], e[5]
	points.C.X, points.C.Y = e[6], e[7]
	points.Commitment.X, points.Commitment.Y, points.Knowledge.X, points.Knowledge.Y = e[8], e[9], e[10], e[11]
	if points.B.IsInfinity() || !points.B.IsOnCurve() || !points.B.IsInSubGroup() {
		return points, reject(RejectBadPoint, "proof.b", "not a point of the subgroup")
	}
	for _, g1 := range []struct {
		field  string
		point  *bn254.G1Affine
		wanted bool
	}{
		{"proof.a", &points.A, true},
		{"proof.c", &points.C, true},
		{"proof.commitment", &points.Commitment, p.Committed()},
		{"proof.knowledge", &points.Knowledge, p.Committed()},
	} {
		if g1.wanted && (g1.point.IsInfinity() || !g1.point.IsOnCurve()) {
			return points, reject(RejectBadPoint, g1.field, "not a point of the curve")
		}
	}
	return points, nil
}

// Words returns the proof as the integers that settle takes, 8 or 12.
func (p *Proof) Words() []*big.Int {
	var out []*big.Int
	for _, word := range p.words() {
		out = append(out, word.Big())
	}
	return out
}

// MarshalJSON writes the words, 8 or 12.
func (p Proof) MarshalJSON() ([]byte, error) { return json.Marshal(p.words()) }

// UnmarshalJSON reads 8 words or 12.
func (p *Proof) UnmarshalJSON(data []byte) (err error) {
	var words []Hash
	if err := json.Unmarshal(data, &words); err != nil {
		return err
	}
	*p, err = ProofOfWords(words)
	return err
}
