package sdk

import (
	"fmt"
	"math/big"
	"strings"

	"github.com/consensys/gnark/frontend"
)

// Limits of fixed-point numbers. The field has 254 bits; with one bit for the
// sign and a few for sums within a gadget nothing can wrap around.
const (
	MaxFixedBits     = 248
	MaxFixedDecimals = 30
)

// Fixed is a signed decimal number with a fixed number of decimals, such as
// micro-degrees or cents: the integer v stands for v / 10^decimals. Of v it is
// known that |v| < 2^bits.
type Fixed struct {
	v              frontend.Variable
	bits, decimals int
}

// FixedPoint calculates with Fixed numbers. It follows how large a number can
// become; where that exceeds MaxFixedBits, Err says so, and the calculation is
// worth nothing. Check Err once, at the end of Define.
type FixedPoint struct {
	api frontend.API
	err error
}

// NewFixedPoint returns a calculator without an error.
func NewFixedPoint(api frontend.API) *FixedPoint { return &FixedPoint{api: api} }

// Err is the first thing that went wrong.
func (f *FixedPoint) Err() error { return f.err }

// Known is v / 10^decimals for a v of which the circuit knows, by constraints,
// that |v| < 2^bits.
func (f *FixedPoint) Known(v frontend.Variable, bits, decimals int) Fixed {
	return f.checked(Fixed{v: v, bits: bits, decimals: decimals})
}

// Uint is an unsigned payload number, as Message.Uint reads it.
func (f *FixedPoint) Uint(m *Message, offset, size, decimals int) Fixed {
	v, err := m.Uint(offset, size)
	return f.read(v, err, size, decimals)
}

// Int is a two's complement payload number, as Message.Int reads it.
func (f *FixedPoint) Int(m *Message, offset, size, decimals int) Fixed {
	v, err := m.Int(offset, size)
	return f.read(v, err, size, decimals)
}

func (f *FixedPoint) read(v frontend.Variable, err error, size, decimals int) Fixed {
	if err != nil {
		return f.fail("%w", err)
	}
	return f.Known(v, 8*size, decimals)
}

// Constant is a number in decimal notation, "-12.50", with as many decimals as
// are written.
func (f *FixedPoint) Constant(text string) Fixed {
	whole, fraction, _ := strings.Cut(text, ".")
	v, ok := new(big.Int).SetString(whole+fraction, 10)
	if !ok || strings.Contains(text, "_") {
		return f.fail("constant %q is no decimal number", text)
	}
	return f.Known(v, v.BitLen(), len(fraction))
}

// Value is the number in units of 10^-decimals; below zero it is a negative
// element of the field.
func (a Fixed) Value() frontend.Variable { return a.v }

// Decimals is how many decimals the number has.
func (a Fixed) Decimals() int { return a.decimals }

// Bits says how large the number can be: |Value| < 2^Bits.
func (a Fixed) Bits() int { return a.bits }

func (f *FixedPoint) checked(a Fixed) Fixed {
	switch {
	case a.v == nil:
		return f.fail("a number that is not set")
	case a.decimals < 0 || a.decimals > MaxFixedDecimals:
		return f.fail("number with %d decimals, must have 0 to %d", a.decimals, MaxFixedDecimals)
	case a.bits < 0 || a.bits > MaxFixedBits:
		return f.fail("number of %d bits, at most %d", a.bits, MaxFixedBits)
	}
	return a
}

func (f *FixedPoint) fail(format string, args ...any) Fixed {
	if f.err == nil {
		f.err = fmt.Errorf("fixed point: "+format, args...)
	}
	return Fixed{v: frontend.Variable(0)}
}

// Add is a + b with the decimals of the finer one. It costs nothing; the result
// has one bit more than the larger one.
func (f *FixedPoint) Add(a, b Fixed) Fixed {
	a, b = f.align(a, b)
	return f.checked(Fixed{f.api.Add(a.v, b.v), max(a.bits, b.bits) + 1, a.decimals})
}

// Sub is a − b with the decimals of the finer one. It costs nothing; the result
// has one bit more than the larger one.
func (f *FixedPoint) Sub(a, b Fixed) Fixed {
	a, b = f.align(a, b)
	return f.checked(Fixed{f.api.Sub(a.v, b.v), max(a.bits, b.bits) + 1, a.decimals})
}

// Mul is a · b, exactly: bits and decimals add up. It costs 1 constraint.
func (f *FixedPoint) Mul(a, b Fixed) Fixed {
	a, b = f.checked(a), f.checked(b)
	return f.checked(Fixed{f.api.Mul(a.v, b.v), a.bits + b.bits, a.decimals + b.decimals})
}

// Rescale gives a as many decimals. More cost nothing. Fewer round towards minus
// infinity and cost 7 + bits + (bits of the power of ten) constraints, for
// numbers of at most 190 bits and up to 19 decimals less.
func (f *FixedPoint) Rescale(a Fixed, decimals int) Fixed {
	a = f.checked(a)
	drop := a.decimals - decimals
	switch {
	case decimals < 0 || decimals > MaxFixedDecimals:
		return f.fail("rescale to %d decimals, must be 0 to %d", decimals, MaxFixedDecimals)
	case drop == 0:
		return a
	case drop < 0:
		scale := power10(-drop)
		return f.checked(Fixed{f.api.Mul(a.v, scale), a.bits + scale.BitLen(), decimals})
	case drop > 19 || a.bits > 190:
		return f.fail("rescale of %d bits by %d decimals, at most 190 bits by 19", a.bits, drop)
	}
	divisor := power10(drop)
	// A multiple of the divisor makes the number positive and rounding downwards.
	lift := new(big.Int).Lsh(big.NewInt(1), uint(max(a.bits-divisor.BitLen()+1, 0)))
	shifted := f.api.Add(a.v, new(big.Int).Mul(lift, divisor))
	quotient, _, err := DivMod(f.api, shifted, divisor.Uint64(), max(a.bits, divisor.BitLen())+2)
	if err != nil {
		return f.fail("%w", err)
	}
	return f.checked(Fixed{f.api.Sub(quotient, lift), max(a.bits-divisor.BitLen()+2, 1), decimals})
}

// IsAtLeast is 1 if a ≥ b and 0 if not. It costs the bits of the larger number
// plus 3.
func (f *FixedPoint) IsAtLeast(a, b Fixed) frontend.Variable {
	d := f.Sub(a, b)
	if f.err != nil {
		return 0
	}
	return IsAtLeast(f.api, d.v, 0, d.bits)
}

// AssertAtLeast says that a ≥ b. It costs the bits of the larger number plus 2.
func (f *FixedPoint) AssertAtLeast(a, b Fixed) {
	d := f.Sub(a, b)
	if f.err == nil {
		f.api.ToBinary(d.v, d.bits)
	}
}

// AssertEqual says that a and b are the same number, whatever their decimals. It
// costs 1 constraint.
func (f *FixedPoint) AssertEqual(a, b Fixed) {
	if a, b = f.align(a, b); f.err == nil {
		f.api.AssertIsEqual(a.v, b.v)
	}
}

func (f *FixedPoint) align(a, b Fixed) (Fixed, Fixed) {
	a, b = f.checked(a), f.checked(b)
	decimals := max(a.decimals, b.decimals)
	return f.Rescale(a, decimals), f.Rescale(b, decimals)
}

func power10(n int) *big.Int { return new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(n)), nil) }
