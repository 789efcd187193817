package stats_test

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/gristmill-zk/gristmill/bench/stats"
)

func TestSummary(t *testing.T) {
	t.Parallel()
	s := stats.Summarize([]float64{9, 1, 5, 3, 100})
	require.Equal(t, stats.Summary{N: 5, Min: 1, Median: 5, Max: 100, MAD: 4, Mean: 23.6, P99: 100 - 0.04*91}, s)
	require.Equal(t, stats.Summary{}, stats.Summarize(nil))
	require.Equal(t, 7.0, stats.Summarize([]float64{7}).P99)
}

func TestQuantileIsLinearBetweenNeighbours(t *testing.T) {
	t.Parallel()
	sample := []float64{40, 10, 30, 20}
	for q, want := range map[float64]float64{0: 10, 0.5: 25, 1: 40, 0.25: 17.5, 0.99: 39.7, -1: 10, 2: 40} {
		require.InDelta(t, want, stats.Quantile(sample, q), 1e-9, "%v", q)
	}
	require.Equal(t, []float64{40, 10, 30, 20}, sample, "the sample is left as it was")
	require.Zero(t, stats.Median(nil))
}

// TestMannWhitneyKnownValues holds the test against values that SciPy and R
// print for the same samples.
func TestMannWhitneyKnownValues(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		a, b []float64
		u, p float64
	}{
		"SciPy's example, exact": {[]float64{19, 22, 16, 29, 24}, []float64{20, 11, 17, 12}, 17, 1.0 / 9},
		"apart, 3 and 3":         {[]float64{1, 2, 3}, []float64{4, 5, 6}, 0, 0.1},
		"apart, 5 and 5":         {[]float64{6, 7, 8, 9, 10}, []float64{1, 2, 3, 4, 5}, 25, 2.0 / 252},
		"apart, 4 and 4":         {[]float64{1, 2, 3, 4}, []float64{5, 6, 7, 8}, 0, 2.0 / 70},
		"one each":               {[]float64{1}, []float64{2}, 0, 1},
		"all equal":              {[]float64{3, 3, 3}, []float64{3, 3}, 3, 1},
		"nothing":                {nil, []float64{1}, 0, 1},
		// Ties: U = 8 of 20, σ² = 20/12·(10 - 30/72); worked out by hand.
		"ties": {[]float64{1, 2, 2, 4}, []float64{2, 3, 3, 5, 0}, 8, tiesP()},
	} {
		u, p := stats.MannWhitney(c.a, c.b)
		require.InDelta(t, c.u, u, 1e-9, name)
		require.InDelta(t, c.p, p, 1e-9, name)
	}
}

func tiesP() float64 {
	// Three 2s and two 3s: Σ(t³-t) = 24 + 6.
	variance := 20.0 / 12 * (10 - 30.0/72)
	return math.Erfc((12 - 10 - 0.5) / math.Sqrt(variance) / math.Sqrt2)
}

func TestMannWhitneyNormalAgreesWithExact(t *testing.T) {
	t.Parallel()
	var a, b []float64
	for i := range 50 {
		a, b = append(a, float64(2*i)), append(b, float64(2*i+11))
	}
	_, exact := stats.MannWhitney(a, b)
	_, normal := stats.MannWhitney(append(a, 2*50), b)
	require.InDelta(t, exact, normal, 0.05)
	require.Less(t, exact, 0.5)
}

func TestMannWhitneyProperties(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		sample := rapid.SliceOfN(rapid.Map(rapid.IntRange(0, 40), func(i int) float64 { return float64(i) }), 1, 12)
		a, b := sample.Draw(t, "a"), sample.Draw(t, "b")
		u, p := stats.MannWhitney(a, b)
		v, q := stats.MannWhitney(b, a)
		if p != q || u+v != float64(len(a)*len(b)) {
			t.Fatalf("not symmetric: U %v and %v, p %v and %v", u, v, p, q)
		}
		if p <= 0 || p > 1 {
			t.Fatalf("p is %v", p)
		}
	})
}
