package sdk

import (
	"math/bits"
	"slices"

	"github.com/consensys/gnark/frontend"
	gnarkbits "github.com/consensys/gnark/std/math/bits"
)

// SHA-256 (FIPS 180-4) over single bits. gnark's std/hash/sha2 works on bytes
// with lookup tables, which cost 131,000 constraints before the first block and
// 35,000 for each. A block costs about 26,000 constraints here, and less where
// the message is constant.

// word is 32 bits, least significant first, each a variable or a constant.
type word [32]frontend.Variable

var sha256Start = [8]uint32{
	0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
}

var sha256Rounds = [64]uint32{
	0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
	0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
	0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
	0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
	0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
	0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
	0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
	0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
}

// sha256Bits hashes a message of a constant length. Its bits, a multiple of 8,
// are boolean, the most significant of a byte first, as are the digest's 256.
func sha256Bits(api frontend.API, message []frontend.Variable) []frontend.Variable {
	const block = 512
	padded := append(slices.Clone(message), 1)
	for len(padded)%block != block-64 {
		padded = append(padded, 0)
	}
	for i := 63; i >= 0; i-- {
		padded = append(padded, len(message)>>i&1)
	}
	var state [8]word
	for i, v := range sha256Start {
		state[i] = constantWord(v)
	}
	for ; len(padded) > 0; padded = padded[block:] {
		state = sha256Block(api, state, padded[:block])
	}
	var digest []frontend.Variable
	for _, w := range state {
		for i := 31; i >= 0; i-- {
			digest = append(digest, w[i])
		}
	}
	return digest
}

func constantWord(v uint32) (w word) {
	for i := range w {
		w[i] = v >> i & 1
	}
	return w
}

func sha256Block(api frontend.API, state [8]word, block []frontend.Variable) [8]word {
	schedule := sha256Schedule(api, block)
	a, b, c, d, e, f, g, h := state[0], state[1], state[2], state[3], state[4], state[5], state[6], state[7]
	for i, w := range schedule {
		one := []frontend.Variable{
			number(api, h), number(api, xor3(api, rotate(e, 6), rotate(e, 11), rotate(e, 25))),
			number(api, choose(api, e, f, g)), sha256Rounds[i], number(api, w),
		}
		two := []frontend.Variable{
			number(api, xor3(api, rotate(a, 2), rotate(a, 13), rotate(a, 22))), number(api, majority(api, a, b, c)),
		}
		h, g, f, e = g, f, e, addWords(api, append(one, number(api, d))...)
		d, c, b, a = c, b, a, addWords(api, append(one, two...)...)
	}
	for i, w := range [8]word{a, b, c, d, e, f, g, h} {
		state[i] = addWords(api, number(api, state[i]), number(api, w))
	}
	return state
}

func sha256Schedule(api frontend.API, block []frontend.Variable) [64]word {
	var w [64]word
	for i := range 16 {
		copy(w[i][:], block[32*i:32*i+32])
		slices.Reverse(w[i][:])
	}
	for i := 16; i < len(w); i++ {
		low, high := w[i-15], w[i-2]
		w[i] = addWords(api, number(api, w[i-16]), number(api, w[i-7]),
			number(api, xor3(api, rotate(low, 7), rotate(low, 18), shift(low, 3))),
			number(api, xor3(api, rotate(high, 17), rotate(high, 19), shift(high, 10))))
	}
	return w
}

// addWords is the sum of numbers below 2^32 modulo 2^32.
func addWords(api frontend.API, numbers ...frontend.Variable) (w word) {
	sum := api.Add(frontend.Variable(0), numbers[0], numbers[1:]...)
	copy(w[:], api.ToBinary(sum, 32+bits.Len(uint(len(numbers)-1))))
	return w
}

// number is w as a number. All words here are made of booleans.
func number(api frontend.API, w word) frontend.Variable {
	return gnarkbits.FromBinary(api, w[:], gnarkbits.WithUnconstrainedInputs())
}

// rotate turns w right by n bits.
func rotate(w word, n int) (out word) {
	for i := range w {
		out[i] = w[(i+n)%32]
	}
	return out
}

// shift moves w right by n bits.
func shift(w word, n int) (out word) {
	for i := range w {
		out[i] = frontend.Variable(0)
		if i+n < 32 {
			out[i] = w[i+n]
		}
	}
	return out
}

func xor(api frontend.API, a, b frontend.Variable) frontend.Variable {
	return api.Sub(api.Add(a, b), api.Mul(2, api.Mul(a, b)))
}

func xor3(api frontend.API, a, b, c word) (out word) {
	for i := range out {
		out[i] = xor(api, xor(api, a[i], b[i]), c[i])
	}
	return out
}

// choose takes each bit from b where a has a one, from c where it has a zero.
func choose(api frontend.API, a, b, c word) (out word) {
	for i := range out {
		out[i] = api.Add(c[i], api.Mul(a[i], api.Sub(b[i], c[i])))
	}
	return out
}

// majority has a one where at least two of a, b and c have.
func majority(api frontend.API, a, b, c word) (out word) {
	for i := range out {
		both := api.Mul(b[i], c[i])
		out[i] = api.Add(both, api.Mul(a[i], api.Sub(api.Add(b[i], c[i]), api.Mul(2, both))))
	}
	return out
}
