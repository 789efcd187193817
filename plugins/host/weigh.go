package host

import (
	"math/big"
	"math/bits"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
)

// weighed is a sum of elements, each multiplied by a weight of 64 bits. It is that
// of their limbs as integers, least first: such a product costs a third of one in
// the field, and what it takes to reduce the sum is needed once. There is room
// for 2^64 of them.
type weighed [fr.Limbs + 2]uint64

// add adds weights[i]·v[i] for every i.
func (s *weighed) add(v fr.Vector, weights []uint64) {
	weights = weights[:len(v)]
	s0, s1, s2, s3, s4, s5 := s[0], s[1], s[2], s[3], s[4], s[5]
	for i := range v {
		e, k := &v[i], weights[i]
		var carry uint64
		h0, l0 := bits.Mul64(e[0], k)
		h1, l1 := bits.Mul64(e[1], k)
		h2, l2 := bits.Mul64(e[2], k)
		h3, l3 := bits.Mul64(e[3], k)
		l1, carry = bits.Add64(l1, h0, 0)
		l2, carry = bits.Add64(l2, h1, carry)
		l3, carry = bits.Add64(l3, h2, carry)
		h3 += carry
		s0, carry = bits.Add64(s0, l0, 0)
		s1, carry = bits.Add64(s1, l1, carry)
		s2, carry = bits.Add64(s2, l2, carry)
		s3, carry = bits.Add64(s3, l3, carry)
		s4, carry = bits.Add64(s4, h3, carry)
		s5 += carry
	}
	*s = weighed{s0, s1, s2, s3, s4, s5}
}

// join adds another sum.
func (s *weighed) join(other *weighed) {
	var carry uint64
	for i := range s {
		s[i], carry = bits.Add64(s[i], other[i], carry)
	}
}

// element is the sum in the field.
func (s *weighed) element() fr.Element {
	var sum big.Int
	for i := len(s) - 1; i >= 0; i-- {
		sum.Lsh(&sum, 64)
		sum.Add(&sum, new(big.Int).SetUint64(s[i]))
	}
	// An element's limbs are those of its Montgomery form, and so are the sum's.
	var e fr.Element
	return e.SetBigInt(&sum).Bits()
}
