package sdk

import (
	"fmt"
	"math/big"
	"math/bits"

	"github.com/consensys/gnark/constraint/solver"
	"github.com/consensys/gnark/frontend"
)

// Ranges of single numbers. A negative number is a negative element of the
// field; all ranges are far smaller than the field, so nothing wraps around.

// AssertBits says that v is 0 to 2^n − 1, n at most 252. It costs n + 1
// constraints.
func AssertBits(api frontend.API, v frontend.Variable, n int) { api.ToBinary(v, n) }

// AssertAtMost says that v is 0 to limit: both v and limit − v have as many bits
// as limit. It costs 2 + 2·(bits of limit) constraints.
func AssertAtMost(api frontend.API, v frontend.Variable, limit uint64) {
	n := max(bits.Len64(limit), 1)
	api.ToBinary(v, n)
	api.ToBinary(api.Sub(limit, v), n)
}

// AssertBetween says that v is low to high. It costs 2 + 2·(bits of high − low)
// constraints.
func AssertBetween(api frontend.API, v frontend.Variable, low, high int64) error {
	if low > high {
		return fmt.Errorf("range %d to %d is empty", low, high)
	}
	// The difference of two's complements is the distance, also beyond 2^63.
	AssertAtMost(api, api.Sub(v, low), uint64(high)-uint64(low))
	return nil
}

// AssertNotAbove says that v is at most limit, for a v that is known to be 0 or
// more and below the field's half, as payload numbers are. It costs 1 + (bits of
// limit) constraints, half of AssertAtMost.
func AssertNotAbove(api frontend.API, v frontend.Variable, limit uint64) {
	api.ToBinary(api.Sub(limit, v), max(bits.Len64(limit), 1))
}

// IsAtLeast is 1 if a ≥ b and 0 if not, for numbers that are known to differ by
// less than 2^n, n at most 251. It costs n + 2 constraints.
func IsAtLeast(api frontend.API, a, b frontend.Variable, n int) frontend.Variable {
	return api.ToBinary(api.Add(api.Sub(a, b), new(big.Int).Lsh(big.NewInt(1), uint(n))), n+1)[n]
}

// DivMod is v divided by a constant, rounded down, and the rest, for a v that is
// known to be 0 to 2^n − 1, n at most 200. It costs 5 + n + (bits of d)
// constraints, 2 less if d is a power of two.
func DivMod(api frontend.API, v frontend.Variable, d uint64, n int) (quotient, rest frontend.Variable, err error) {
	if d < 2 || n < 1 || n > 200 {
		return nil, nil, fmt.Errorf("division of %d bits by %d: must be 1 to 200 bits by 2 or more", n, d)
	}
	out, err := api.Compiler().NewHint(divModHint, 2, v, d)
	if err != nil {
		return nil, nil, fmt.Errorf("division hint: %w", err)
	}
	quotient, rest = out[0], out[1]
	api.ToBinary(quotient, max(n-bits.Len64(d)+1, 1))
	AssertAtMost(api, rest, d-1)
	api.AssertIsEqual(v, api.Add(api.Mul(quotient, d), rest))
	return quotient, rest, nil
}

func init() { solver.RegisterHint(divModHint) }

// divModHint finds quotient and rest; the circuit checks them.
func divModHint(_ *big.Int, in, out []*big.Int) error {
	if in[1].Sign() == 0 {
		return fmt.Errorf("division by zero")
	}
	out[0].DivMod(in[0], in[1], out[1])
	return nil
}
