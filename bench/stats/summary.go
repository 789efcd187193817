package stats

import (
	"math"
	"slices"
)

// Summary describes one sample in the sample's own unit.
type Summary struct {
	N                int
	Min, Median, Max float64
	// MAD is the median absolute deviation from the median.
	MAD  float64
	Mean float64
	P99  float64
}

// Summarize describes a sample; of an empty one everything is zero.
func Summarize(sample []float64) Summary {
	if len(sample) == 0 {
		return Summary{}
	}
	sorted := slices.Sorted(slices.Values(sample))
	s := Summary{
		N: len(sorted), Min: sorted[0], Max: sorted[len(sorted)-1],
		Median: quantile(sorted, 0.5), P99: quantile(sorted, 0.99),
	}
	away := make([]float64, len(sorted))
	for i, x := range sorted {
		s.Mean += x / float64(len(sorted))
		away[i] = math.Abs(x - s.Median)
	}
	slices.Sort(away)
	s.MAD = quantile(away, 0.5)
	return s
}

// Quantile is the value below which the share q (0 to 1) of a sample lies,
// linear between neighbours. Of an empty sample it is zero.
func Quantile(sample []float64, q float64) float64 {
	if len(sample) == 0 {
		return 0
	}
	return quantile(slices.Sorted(slices.Values(sample)), q)
}

// Median is the quantile at one half.
func Median(sample []float64) float64 { return Quantile(sample, 0.5) }

func quantile(sorted []float64, q float64) float64 {
	at := min(max(q, 0), 1) * float64(len(sorted)-1)
	low := int(at)
	high := min(low+1, len(sorted)-1)
	return sorted[low] + (at-float64(low))*(sorted[high]-sorted[low])
}
