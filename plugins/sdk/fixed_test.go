package sdk

import (
	"math"
	"math/big"
	"strings"
	"testing"

	"github.com/consensys/gnark/frontend"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// operation is what a calculation does with two numbers.
type operation func(f *FixedPoint, a, b Fixed) frontend.Variable

var operations = map[string]operation{
	"Add":     func(f *FixedPoint, a, b Fixed) frontend.Variable { return f.Add(a, b).Value() },
	"Sub":     func(f *FixedPoint, a, b Fixed) frontend.Variable { return f.Sub(b, a).Value() },
	"Mul":     func(f *FixedPoint, a, b Fixed) frontend.Variable { return f.Mul(a, b).Value() },
	"Rescale": func(f *FixedPoint, a, _ Fixed) frontend.Variable { return f.Rescale(a, 0).Value() },
	"Rescale all": func(f *FixedPoint, _, b Fixed) frontend.Variable {
		return f.Rescale(f.Known(b.Value(), 33, 12), 0).Value()
	},
	"IsAtLeast": func(f *FixedPoint, a, b Fixed) frontend.Variable { return f.IsAtLeast(a, b) },
	"Constant":  func(f *FixedPoint, a, _ Fixed) frontend.Variable { return f.Add(a, f.Constant("-1.25")).Value() },
	"AssertAtLeast": func(f *FixedPoint, a, b Fixed) frontend.Variable {
		f.AssertAtLeast(a, b)
		return 1
	},

	"264 bits, at most 248":      func(f *FixedPoint, a, _ Fixed) frontend.Variable { return power(f, a, 8).Value() },
	"36 decimals, must have":     func(f *FixedPoint, a, _ Fixed) frontend.Variable { return power(f, f.Known(a.v, 1, 12), 3).Value() },
	`"1e5" is no decimal number`: func(f *FixedPoint, _, _ Fixed) frontend.Variable { return f.Constant("1e5").Value() },
	"must be 0 to 30":            func(f *FixedPoint, a, _ Fixed) frontend.Variable { return f.Rescale(a, -1).Value() },
	"at most 190 bits":           func(f *FixedPoint, a, _ Fixed) frontend.Variable { return f.Rescale(f.Known(a.v, 191, 3), 0).Value() },
	"number that is not set":     func(f *FixedPoint, a, _ Fixed) frontend.Variable { return f.Add(a, Fixed{}).Value() },
	"300 bits, at most 248":      func(f *FixedPoint, a, _ Fixed) frontend.Variable { return f.IsAtLeast(f.Known(a.v, 300, 0), a) },
}

func power(f *FixedPoint, a Fixed, n int) Fixed {
	p := a
	for range n - 1 {
		p = f.Mul(p, a)
	}
	return p
}

// calculation says that Want is the value of an operation on A / 1000 and B / 10.
type calculation struct {
	A, B, Want frontend.Variable
	operation  string
}

func (c *calculation) Define(api frontend.API) error {
	f := NewFixedPoint(api)
	got := operations[c.operation](f, f.Known(c.A, 33, 3), f.Known(c.B, 33, 1))
	if f.Err() == nil {
		api.AssertIsEqual(got, c.Want)
	}
	return f.Err()
}

func calculates(operation string, a, b, want any) error {
	return solved(&calculation{operation: operation}, &calculation{A: a, B: b, Want: want, operation: operation})
}

func TestFixedPointMatchesIntegers(t *testing.T) {
	t.Parallel()
	floor := func(v, d int64) int64 { return int64(math.Floor(float64(v) / float64(d))) }
	for name, want := range map[string]func(a, b int64) int64{
		"Add":         func(a, b int64) int64 { return a + 100*b },
		"Sub":         func(a, b int64) int64 { return 100*b - a },
		"Rescale":     func(a, _ int64) int64 { return floor(a, 1000) },
		"Rescale all": func(_, b int64) int64 { return floor(b, 1e12) },
		"Constant":    func(a, _ int64) int64 { return a - 1250 },
		"IsAtLeast": func(a, b int64) int64 {
			if a >= 100*b {
				return 1
			}
			return 0
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rapid.Check(t, func(rt *rapid.T) {
				numbers := rapid.OneOf(rapid.Int64Range(-1<<33+1, 1<<33-1), rapid.Int64Range(-2000, 2000))
				a, b := numbers.Draw(rt, "a"), numbers.Draw(rt, "b")
				require.NoError(t, calculates(name, a, b, want(a, b)))
				require.Error(t, calculates(name, a, b, want(a, b)+1))
			})
		})
	}
	a, b := big.NewInt(-1<<33+1), big.NewInt(1<<33-1)
	require.NoError(t, calculates("Mul", a, b, new(big.Int).Mul(a, b)))
	require.NoError(t, calculates("AssertAtLeast", 200, 2, 1))
	require.NoError(t, calculates("AssertAtLeast", b, new(big.Int).Neg(b), 1))
	require.Error(t, calculates("AssertAtLeast", 199, 2, 1), "0.199 is below 0.2")
}

func TestFixedPointNamesItsLimits(t *testing.T) {
	t.Parallel()
	for text := range operations {
		if strings.Contains(text, " ") && text != "Rescale all" {
			require.ErrorContains(t, calculates(text, 1, 1, 0), text)
		}
	}
}
