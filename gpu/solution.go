package gpu

import (
	"fmt"
	"slices"

	"github.com/consensys/gnark-crypto/ecc/bn254"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
)

// Solution is a solved circuit. A, B and C are the values of the left, right
// and output side of every constraint, so A∘B = C; the caller has checked
// that, and that they belong to W.
type Solution struct {
	// W has every wire: the constant one, then public, secret, internal.
	W fr.Vector
	// A, B, C have one entry per constraint, unpadded.
	A, B, C fr.Vector
	// NbPublic is how many of W are public, the constant one included.
	NbPublic int
	// Commitments are the circuit's BSB22 commitments, in the key's order.
	Commitments []Commitment
}

// Commitment is one BSB22 commitment of a solved circuit: to which private wires
// it commits, and where the challenge drawn from it stands.
type Commitment struct {
	Wires     []uint32 // covered private wires, in the order of the key's basis
	Challenge uint32   // the wire that holds the challenge
	// Point is what Engine.Commit returned for the covered wires' values.
	Point bn254.G1Affine
}

// AppendUncommitted appends the private wires that no commitment covers and that
// hold no challenge, in order: the scalars of a key's K.
func (s *Solution) AppendUncommitted(to fr.Vector) fr.Vector {
	var taken []uint32
	for i := range s.Commitments {
		taken = append(append(taken, s.Commitments[i].Wires...), s.Commitments[i].Challenge)
	}
	slices.Sort(taken)
	from := uint32(s.NbPublic)
	for _, wire := range taken {
		to = append(to, s.W[from:wire]...)
		from = wire + 1
	}
	return append(to, s.W[from:]...)
}

// Covered are the values that a commitment commits to, copied.
func (s *Solution) Covered(c *Commitment) fr.Vector {
	values := make(fr.Vector, len(c.Wires))
	for i, wire := range c.Wires {
		values[i] = s.W[wire]
	}
	return values
}

// FoldingChallenge is the number that folds the proofs of knowledge of a
// solution's commitments into one, as gnark draws it from the challenges.
func (s *Solution) FoldingChallenge() (fr.Element, error) {
	var challenges []byte
	for i := range s.Commitments {
		challenges = append(challenges, s.W[s.Commitments[i].Challenge].Marshal()...)
	}
	fold, err := fr.Hash(challenges, []byte("G16-BSB22"), 1)
	if err != nil {
		return fr.Element{}, fmt.Errorf("folding challenge: %w", err)
	}
	return fold[0], nil
}

// Clear overwrites the values, which are as secret as the witness.
func (s *Solution) Clear() {
	for _, v := range []fr.Vector{s.W, s.A, s.B, s.C} {
		clear(v)
	}
}

// Blinding are the two random numbers that make a proof zero-knowledge. Each
// proof needs its own: two proofs of different witnesses under one blinding
// leak.
type Blinding struct {
	R, S fr.Element
}

// NewBlinding draws a blinding from the operating system's generator.
func NewBlinding() (Blinding, error) {
	var b Blinding
	for _, e := range []*fr.Element{&b.R, &b.S} {
		for e.IsZero() {
			if _, err := e.SetRandom(); err != nil {
				return Blinding{}, fmt.Errorf("draw blinding: %w", err)
			}
		}
	}
	return b, nil
}
