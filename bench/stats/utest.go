package stats

import (
	"cmp"
	"math"
	"slices"
)

// exactLimit bounds the product of two sample sizes up to which the U test
// counts all orders instead of using the normal approximation.
const exactLimit = 2500

// MannWhitney is the two-sided probability that two samples of one
// distribution differ at least as much in rank as a and b do. u is a's
// statistic: how many pairs have a's value above b's, ties counted half. Small
// samples without ties get the exact distribution, others the normal one
// corrected for ties and continuity. With an empty sample p is 1.
func MannWhitney(a, b []float64) (u, p float64) {
	n, m := len(a), len(b)
	if n == 0 || m == 0 {
		return 0, 1
	}
	rankSum, ties := rankSum(a, b)
	u = rankSum - float64(n*(n+1))/2
	extreme := max(u, float64(n*m)-u)
	if ties == 0 && n*m <= exactLimit {
		return u, min(1, 2*upperTail(n, m, int(extreme)))
	}
	total := float64(n + m)
	variance := float64(n*m) / 12 * (total + 1 - ties/(total*(total-1)))
	if variance <= 0 { // all values equal
		return u, 1
	}
	z := (extreme - float64(n*m)/2 - 0.5) / math.Sqrt(variance)
	return u, min(1, math.Erfc(z/math.Sqrt2))
}

// rankSum is the sum of a's ranks in both samples together, equal values
// sharing their mean rank, and Σ(t³-t) over the groups of t equal values.
func rankSum(a, b []float64) (sum, ties float64) {
	type value struct {
		x   float64
		ofA bool
	}
	all := make([]value, 0, len(a)+len(b))
	for _, x := range a {
		all = append(all, value{x, true})
	}
	for _, x := range b {
		all = append(all, value{x, false})
	}
	slices.SortFunc(all, func(v, w value) int { return cmp.Compare(v.x, w.x) })
	for from := 0; from < len(all); {
		to := from + 1
		for to < len(all) && all[to].x == all[from].x {
			to++
		}
		rank := float64(from+1+to) / 2
		for _, v := range all[from:to] {
			if v.ofA {
				sum += rank
			}
		}
		t := float64(to - from)
		ties += t*t*t - t
		from = to
	}
	return sum, ties
}

// upperTail is the probability that U of n against m values is at least u. The
// numbers of orders with each U are the coefficients of the Gaussian binomial:
// Π(1-x^(m+i))/(1-x^i) for i from 1 to n.
func upperTail(n, m, u int) float64 {
	counts := make([]float64, n*m+1)
	counts[0] = 1
	for i := 1; i <= n; i++ {
		for at := len(counts) - 1; at >= m+i; at-- {
			counts[at] -= counts[at-m-i]
		}
		for at := i; at < len(counts); at++ {
			counts[at] += counts[at-i]
		}
	}
	var all, tail float64
	for at, c := range counts {
		all += c
		if at >= u {
			tail += c
		}
	}
	return tail / all
}
