package fixedbase

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/big"
	"slices"
	"syscall"
	"testing"

	"github.com/consensys/gnark-crypto/ecc"
	"github.com/consensys/gnark-crypto/ecc/bn254"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"pgregory.net/rapid"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func now(work func()) error { work(); return nil }

// drawScalar likes the values at which digits carry.
func drawScalar(t *rapid.T) (s fr.Element) {
	switch rapid.IntRange(0, 6).Draw(t, "kind") {
	case 0:
	case 1:
		s.SetOne()
	case 2:
		s.SetInt64(-1)
	case 3:
		s.SetInt64(rapid.Int64Range(-300, 300).Draw(t, "small"))
	case 4:
		power := new(big.Int).Lsh(big.NewInt(1), uint(rapid.IntRange(0, 253).Draw(t, "power")))
		s.SetBigInt(power.Add(power, big.NewInt(rapid.Int64Range(-1, 1).Draw(t, "beside"))))
	default:
		s.SetBytes(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "bytes"))
	}
	return s
}

// TestSumsAreGnarks: any scalars over points that repeat, oppose each other and
// lie at infinity, in any shape and number of parts, give what gnark-crypto gives.
func TestSumsAreGnarks(t *testing.T) {
	t.Parallel()
	_, _, g1, g2 := bn254.Generators()
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 700).Draw(t, "points")
		few := rapid.IntRange(1, 4).Draw(t, "different scalars")
		pool := make([]fr.Element, few)
		for i := range pool {
			pool[i] = drawScalar(t)
		}
		seed := rapid.Uint64().Draw(t, "seed")
		random := func(n int) int {
			seed = seed*6364136223846793005 + 1442695040888963407
			return int(seed>>33) % n
		}
		dense := rapid.Bool().Draw(t, "dense")
		p1, p2, scalars := make([]bn254.G1Affine, n), make([]bn254.G2Affine, n), make([]fr.Element, n)
		multiples := make([]fr.Element, n)
		for i := range n {
			multiples[i].SetInt64(int64(random(40) - 20)) // 0 is infinity
			scalars[i] = pool[random(few)]
			if dense {
				scalars[i].SetUint64(uint64(random(1 << 30))).Square(&scalars[i]).Square(&scalars[i]).Square(&scalars[i])
			}
		}
		if n > 0 {
			p1 = bn254.BatchScalarMultiplicationG1(&g1, multiples)
			p2 = bn254.BatchScalarMultiplicationG2(&g2, multiples)
		}
		index := make([]uint32, n)
		shuffled := make([]fr.Element, n)
		for i := range n {
			index[i] = uint32(n - 1 - i)
			shuffled[n-1-i] = scalars[i]
		}
		c := rapid.IntRange(4, MaxWindow).Draw(t, "window")
		shape := Shape{Window: c, Sets: rapid.IntRange(1, Windows(c)).Draw(t, "sets")}
		parts := rapid.IntRange(1, 3).Draw(t, "parts")
		digits := NewDigits(n, c)
		digits.Set(0, shuffled)

		var want1, got1 bn254.G1Jac
		_, err := want1.MultiExp(p1, scalars, ecc.MultiExpConfig{})
		require.NoError(t, err)
		table1, err := TableG1(context.Background(), shape, Plain(p1), now)
		require.NoError(t, err)
		var want2, got2 bn254.G2Jac
		_, err = want2.MultiExp(p2, scalars, ecc.MultiExpConfig{})
		require.NoError(t, err)
		table2, err := TableG2(context.Background(), shape, Plain(p2), now)
		require.NoError(t, err)
		for part := range parts {
			one, err := G1(context.Background(), shape, part, parts, Term[bn254.G1Affine]{table1, digits, index})
			require.NoError(t, err)
			got1.AddAssign(&one)
			two, err := G2(context.Background(), shape, part, parts, Term[bn254.G2Affine]{table2, digits, index})
			require.NoError(t, err)
			got2.AddAssign(&two)
		}
		require.True(t, want1.Equal(&got1), "G1: %v", shape)
		require.True(t, want2.Equal(&got2), "G2: %v", shape)
	})
}

// TestDigitsAddUp: the digits of a scalar, weighted, are the scalar, also beside
// every power of two, where digits carry, and at the field's end.
func TestDigitsAddUp(t *testing.T) {
	t.Parallel()
	for c := 4; c <= MaxWindow; c++ {
		for power := range fr.Bits {
			for beside := int64(-2); beside <= 2; beside++ {
				var s, b fr.Element
				s.SetBigInt(new(big.Int).Lsh(big.NewInt(1), uint(power)))
				s.Add(&s, b.SetInt64(beside))
				addUp(t, c, s)
			}
		}
	}
	rapid.Check(t, func(t *rapid.T) { addUp(t, rapid.IntRange(4, MaxWindow).Draw(t, "window"), drawScalar(t)) })
}

func addUp(t require.TestingT, c int, s fr.Element) {
	d := NewDigits(1, c)
	d.Set(0, []fr.Element{s})
	sum := new(big.Int)
	for w := Windows(c) - 1; w >= 0; w-- {
		sum.Lsh(sum, uint(c)).Add(sum, big.NewInt(int64(d.window(w)[0])))
	}
	if want := s.BigInt(new(big.Int)); want.Cmp(sum) != 0 {
		require.Equal(t, want.String(), sum.String(), "window %d", c)
	}
	d.Clear()
	require.Equal(t, NewDigits(1, c), d)
}

func TestStopsWithItsContext(t *testing.T) {
	t.Parallel()
	why := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(why)
	_, _, g1, _ := bn254.Generators()
	shape := BestShape(1, 1, 1)
	_, err := G1(ctx, shape, 0, 1, Term[bn254.G1Affine]{Table: Plain([]bn254.G1Affine{g1}), Digits: NewDigits(1, shape.Window)})
	require.ErrorIs(t, err, why)
	_, err = TableG1(ctx, Shape{Window: 8, Sets: 1}, Plain([]bn254.G1Affine{g1}), now)
	require.ErrorIs(t, err, why)
	_, err = TableG1(t.Context(), Shape{Window: 8, Sets: 1}, Plain([]bn254.G1Affine{g1}), func(func()) error { return why })
	require.ErrorIs(t, err, why)
}

// BenchmarkSum reports processor time for each point, which a busy machine
// disturbs less than the clock. Its multiples are any points: making right ones
// takes longer than all the rest.
func BenchmarkSum(b *testing.B) {
	_, _, g1, g2 := bn254.Generators()
	n := 1 << 15
	scalars := make([]fr.Element, n)
	for i := range scalars {
		scalars[i].MustSetRandom()
	}
	p1, p2 := bn254.BatchScalarMultiplicationG1(&g1, scalars), bn254.BatchScalarMultiplicationG2(&g2, scalars)
	for _, shape := range []Shape{BestShape(n, 1, 1), {13, 1}, {15, 1}, {16, 1}} {
		d := NewDigits(n, shape.Window)
		d.Set(0, scalars)
		t1, t2 := Plain(p1), Plain(p2)
		for k := 1; k < shape.Multiples(); k++ {
			t1.multiples = append(t1.multiples, slices.Concat(p1[k:], p1[:k]))
			t2.multiples = append(t2.multiples, slices.Concat(p2[k:], p2[:k]))
		}
		measure(b, fmt.Sprintf("G1/window=%d,sets=%d", shape.Window, shape.Sets), n, func() {
			_, _ = G1(b.Context(), shape, 0, 1, Term[bn254.G1Affine]{t1, d, nil})
		})
		measure(b, fmt.Sprintf("G2/window=%d,sets=%d", shape.Window, shape.Sets), n, func() {
			_, _ = G2(b.Context(), shape, 0, 1, Term[bn254.G2Affine]{t2, d, nil})
		})
	}
	measure(b, "G1/gnark-crypto", n, func() { _, _ = new(bn254.G1Jac).MultiExp(p1, scalars, ecc.MultiExpConfig{NbTasks: 1}) })
	measure(b, "G2/gnark-crypto", n, func() { _, _ = new(bn254.G2Jac).MultiExp(p2, scalars, ecc.MultiExpConfig{NbTasks: 1}) })
}

func measure(b *testing.B, name string, n int, work func()) {
	b.Run(name, func(b *testing.B) {
		least := int64(math.MaxInt64)
		for range b.N {
			var before, after syscall.Rusage
			_ = syscall.Getrusage(syscall.RUSAGE_SELF, &before)
			work()
			_ = syscall.Getrusage(syscall.RUSAGE_SELF, &after)
			least = min(least, after.Utime.Nano()-before.Utime.Nano()+after.Stime.Nano()-before.Stime.Nano())
		}
		b.ReportMetric(float64(least)/float64(n), "cpu-ns/point")
		b.ReportMetric(0, "ns/op")
	})
}
