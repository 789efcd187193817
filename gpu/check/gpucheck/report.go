//go:build icicle

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/gristmill-zk/gristmill/gpu/icicle"
)

// report is what is written. A line has an error instead of figures when there
// are none.
type report struct {
	Devices []icicle.Device `json:"devices"`
	Proofs  []figure        `json:"proofs"`
	Drift   *drift          `json:"drift,omitempty"`
	Scarce  []scarce        `json:"scarce_memory,omitempty"`
	Failed  bool            `json:"failed"`
}

type figure struct {
	Case        string  `json:"case"`
	Log         int     `json:"log2_constraints"`
	Constraints int     `json:"constraints"`
	Engine      string  `json:"engine"`
	LoadMs      float64 `json:"load_ms"` // a key from memory to ready
	ColdMs      float64 `json:"cold_ms"` // first proof after that
	WarmMs      float64 `json:"warm_median_ms"`
	PerSecond   float64 `json:"proofs_per_s"` // of ours with several requests at once, verified meanwhile; of the peer without solving and verifying
	Verified    int     `json:"verified"`
	Error       string  `json:"error,omitempty"`
}

type drift struct {
	Proofs   int     `json:"proofs"`
	Verified int     `json:"verified"`
	FirstMs  float64 `json:"first_100_median_ms"`
	LastMs   float64 `json:"last_100_median_ms"`
	Ratio    float64 `json:"ratio"`
	Error    string  `json:"error,omitempty"`
}

// scarce is what became of a proof when other memory was taken.
type scarce struct {
	LeftBytes int64  `json:"left_bytes"`
	Outcome   string `json:"outcome"` // "verified", "refused" with its error, or "failed"
	Detail    string `json:"detail,omitempty"`
}

func (r *report) write(path string) error {
	raw, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(raw, '\n'), 0o644)
}

func (r *report) print(out io.Writer) error {
	for _, d := range r.Devices {
		fmt.Fprintf(out, "%s %d: %s, %s\n", d.Kind, d.Index, d.Name, d.Runtime)
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "case\tsize\tengine\tload ms\tcold ms\twarm ms\tproofs/s\tMconstr/s\tverified\t")
	for _, f := range r.Proofs {
		if f.Error != "" {
			fmt.Fprintf(w, "%s\t2^%d\t%s\t-\t-\t-\t-\t-\t%d\t %s\n", f.Case, f.Log, f.Engine, f.Verified, f.Error)
			continue
		}
		fmt.Fprintf(w, "%s\t2^%d\t%s\t%.1f\t%.1f\t%.1f\t%.2f\t%.2f\t%d\t\n", f.Case, f.Log, f.Engine,
			f.LoadMs, f.ColdMs, f.WarmMs, f.PerSecond, f.PerSecond*float64(f.Constraints)/1e6, f.Verified)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if d := r.Drift; d != nil {
		fmt.Fprintf(out, "drift: %d of %d proofs verified, first %.2f ms, last %.2f ms, ratio %.3f %s\n",
			d.Verified, d.Proofs, d.FirstMs, d.LastMs, d.Ratio, d.Error)
	}
	for _, s := range r.Scarce {
		fmt.Fprintf(out, "with %d MiB left: %s %s\n", s.LeftBytes>>20, s.Outcome, s.Detail)
	}
	verdict := "everything passed"
	if r.Failed {
		verdict = "SOMETHING FAILED"
	}
	_, err := fmt.Fprintln(out, verdict)
	return err
}

func median(of []time.Duration) float64 {
	if len(of) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(of))
	return milliseconds(sorted[len(sorted)/2])
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
