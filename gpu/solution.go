package gpu

import (
	"fmt"

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
