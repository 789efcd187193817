package fixedbase

import (
	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
)

// MaxWindow is the widest window: its digits fill an int16.
const MaxWindow = 16

// Windows is how many windows of c bits a scalar has. One bit more than the
// field's takes the carry of signed digits.
func Windows(c int) int { return (fr.Bits + c) / c }

// Digits are the signed digits, from -2^(c-1) to 2^(c-1)-1, of scalars.
type Digits struct {
	c, n   int
	values []int16 // those of the lowest window first
}

// NewDigits has room for the digits of n scalars, all zero.
func NewDigits(n, c int) *Digits {
	return &Digits{c: c, n: n, values: make([]int16, n*Windows(c))}
}

// Set takes scalars apart as number first and following. Ranges that do not
// overlap may be set at once.
func (d *Digits) Set(first int, scalars []fr.Element) {
	windows, mask, half := Windows(d.c), uint64(1)<<d.c-1, uint64(1)<<(d.c-1)
	for i := range scalars {
		if scalars[i].IsZero() {
			continue
		}
		limbs := scalars[i].Bits()
		carry, at := uint64(0), first+i
		for w := range windows {
			bit := w * d.c
			digit := limbs[bit/64] >> (bit % 64)
			if next := bit/64 + 1; bit%64+d.c > 64 && next < len(limbs) {
				digit |= limbs[next] << (64 - bit%64)
			}
			digit = digit&mask + carry
			carry = 0
			if digit >= half {
				carry = 1
			}
			d.values[at] = int16(int64(digit) - int64(carry<<d.c))
			at += d.n
		}
	}
}

// Clear overwrites the digits, which are as secret as the scalars.
func (d *Digits) Clear() {
	if d != nil {
		clear(d.values)
	}
}

func (d *Digits) window(w int) []int16 { return d.values[w*d.n : (w+1)*d.n] }
