package results

import (
	"fmt"
	"io"
	"math"
	"text/tabwriter"

	"github.com/gristmill-zk/gristmill/bench/stats"
)

// alpha is the probability below which a difference is called one.
const alpha = 0.05

// Comparison is one cell that two records share.
type Comparison struct {
	Circuit string `json:"circuit"`
	Log     int    `json:"log2_constraints"`
	Mode    string `json:"mode"`
	Engine  string `json:"engine"`

	OldMS float64 `json:"old_ms"`
	NewMS float64 `json:"new_ms"`
	// OldSpread and NewSpread are the farthest that a sample lies from its
	// median, as a share of it.
	OldSpread float64 `json:"old_spread"`
	NewSpread float64 `json:"new_spread"`
	OldN      int     `json:"old_n"`
	NewN      int     `json:"new_n"`
	// Delta is the change of the median as a share of the old one: below zero,
	// the new one is faster.
	Delta float64 `json:"delta"`
	// P is the probability of a difference like this by chance (Mann-Whitney U,
	// two-sided); Significant says that it is below 0.05.
	P           float64 `json:"p"`
	Significant bool    `json:"significant"`
}

// Compare holds the cells that are in both records against each other, in the
// new one's order. missing names those that only one has.
func Compare(before, after *Record) (shared []Comparison, missing []string) {
	olds := map[string]*Result{}
	for i := range before.Results {
		olds[before.Results[i].key(true)] = &before.Results[i]
	}
	for i := range after.Results {
		now := &after.Results[i]
		old := olds[now.key(true)]
		if old == nil {
			missing = append(missing, now.key(true)+": only in the new record")
			continue
		}
		delete(olds, now.key(true))
		shared = append(shared, compare(old, now))
	}
	for i := range before.Results {
		if key := before.Results[i].key(true); olds[key] != nil {
			missing = append(missing, key+": only in the old record")
		}
	}
	return shared, missing
}

func compare(old, now *Result) Comparison {
	before, after := stats.Summarize(old.Samples), stats.Summarize(now.Samples)
	_, p := stats.MannWhitney(old.Samples, now.Samples)
	c := Comparison{
		Circuit: now.Circuit, Log: now.Log, Mode: now.Mode, Engine: now.Engine,
		OldMS: before.Median, NewMS: after.Median, OldN: before.N, NewN: after.N,
		OldSpread: spread(before), NewSpread: spread(after), P: p, Significant: p < alpha,
	}
	if before.Median > 0 {
		c.Delta = after.Median/before.Median - 1
	}
	return c
}

func spread(s stats.Summary) float64 {
	if s.Median == 0 {
		return 0
	}
	return max(s.Max-s.Median, s.Median-s.Min) / s.Median
}

// WriteComparison prints the comparison as a table, and what stands in the way
// of believing it.
func WriteComparison(w io.Writer, before, after *Record) error {
	shared, missing := Compare(before, after)
	if before.Machine.CPU != after.Machine.CPU || before.Machine.Threads != after.Machine.Threads {
		fmt.Fprintf(w, "The machines differ: %s, %d cores and %s, %d cores.\n\n",
			known(before.Machine.CPU), before.Machine.Threads, known(after.Machine.CPU), after.Machine.Threads)
	}
	tw := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintln(tw, "CIRCUIT\tSIZE\tMODE\tENGINE\tOLD ms\t±\tNEW ms\t±\tDELTA\t")
	few := false
	logs, compared := 0.0, 0
	for _, c := range shared {
		delta := "~"
		if c.Significant {
			delta = fmt.Sprintf("%+.2f%%", 100*c.Delta)
		}
		fmt.Fprintf(tw, "%s\t2^%d\t%s\t%s\t%s\t%.0f%%\t%s\t%.0f%%\t%s\t(p=%.3f n=%d+%d)\n", c.Circuit, c.Log, c.Mode, c.Engine,
			Short(c.OldMS), 100*c.OldSpread, Short(c.NewMS), 100*c.NewSpread, delta, c.P, c.OldN, c.NewN)
		few = few || !distinguishable(c.OldN, c.NewN)
		if c.OldMS > 0 && c.NewMS > 0 {
			logs, compared = logs+math.Log(c.NewMS/c.OldMS), compared+1
		}
	}
	if compared > 1 {
		fmt.Fprintf(tw, "geometric mean\t\t\t\t\t\t\t\t%+.2f%%\t\n", 100*(math.Exp(logs/float64(compared))-1))
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	if few {
		fmt.Fprintln(w, "\n~ may only mean too few samples: with fewer than 4 and 4 no difference can reach p < 0.05. Run with more --runs.")
	}
	for _, m := range missing {
		fmt.Fprintln(w, m)
	}
	return nil
}

// distinguishable says whether samples of these sizes can reach alpha at all:
// two in all orders are the most extreme.
func distinguishable(n, m int) bool {
	orders := 1.0
	for i := 1; i <= n; i++ {
		orders *= float64(m+i) / float64(i)
	}
	return 2/orders < alpha
}
