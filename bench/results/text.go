package results

import (
	"bytes"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// column is one column of the tables that people read.
type column struct {
	head string
	// help says what it means, on the page.
	help string
	cell func(*Result) string
	// text columns are aligned left.
	text bool
}

var columns = []column{
	{head: "circuit", text: true, cell: func(r *Result) string { return r.Circuit }},
	{head: "size", text: true, help: "domain of constraints", cell: func(r *Result) string { return fmt.Sprintf("2^%d", r.Log) }},
	{head: "mode", text: true, cell: func(r *Result) string { return r.Mode }},
	{head: "engine", text: true, cell: func(r *Result) string { return r.Engine }},
	{head: "verified", help: "proofs that gnark's verifier took, of those asked for", cell: func(r *Result) string { return fmt.Sprintf("%d/%d", r.Verified, r.Proofs) }},
	{head: "median ms", cell: func(r *Result) string { return Short(r.MedianMS) }},
	{head: "min–max ms", cell: func(r *Result) string { return Short(r.MinMS) + "–" + Short(r.MaxMS) }},
	{head: "p99 ms", cell: func(r *Result) string { return Short(r.P99MS) }},
	{head: "vs gnark", help: "gnark's median over this one: above 1 is faster", cell: func(r *Result) string { return ratio(r.VsReference) }},
	{head: "proofs/s", cell: func(r *Result) string { return Short(r.ProofsPerSecond) }},
	{head: "proofs/h", cell: func(r *Result) string { return Short(r.ProofsPerHour) }},
	{head: "constraints/s", cell: func(r *Result) string { return Short(r.ConstraintsPerSecond) }},
	{head: "cpu ms", help: "processor time of the process for one proof", cell: func(r *Result) string { return Short(r.ProcessorMS) }},
	{head: "cpu vs gnark", help: "the same ratio of processor times, for engines in this process", cell: func(r *Result) string { return ratio(r.ProcessorVsReference) }},
	{head: "solve ms", help: "solving alone, not in the times of the cold and warm modes", cell: func(r *Result) string { return Short(r.SolveMS) }},
	{head: "load ms", help: "key from disk to ready", cell: func(r *Result) string { return Short(r.LoadMS) }},
	{head: "peak MiB", help: "growth of the process for key and proof", cell: func(r *Result) string { return mebibytes(r.PeakMemory) }},
	{head: "device MiB", help: "most memory in use on the device", cell: func(r *Result) string { return mebibytes(r.DeviceMemory) }},
	{head: "J/1000", help: "joules for 1000 proofs", cell: func(r *Result) string { return Short(r.JoulesPer1000) }},
	{head: "cost/1000", help: "money for 1000 proofs, in the currency of the price", cell: func(r *Result) string { return Short(r.CostPer1000) }},
}

// unknown stands where a value is not known or does not apply.
const unknown = "–"

// shown are the columns in which at least one result has something to say.
func (r *Record) shown() []column {
	var out []column
	for _, c := range columns {
		for i := range r.Results {
			if c.cell(&r.Results[i]) != unknown {
				out = append(out, c)
				break
			}
		}
	}
	return out
}

// Rows are the table's heads and cells, as text.
func (r *Record) Rows() (heads []string, rows [][]string) {
	shown := r.shown()
	for _, c := range shown {
		heads = append(heads, c.head)
	}
	for i := range r.Results {
		var row []string
		for _, c := range shown {
			row = append(row, c.cell(&r.Results[i]))
		}
		rows = append(rows, row)
	}
	return heads, rows
}

// Markdown is the record for a person or a pull request.
func (r *Record) Markdown() []byte {
	var out bytes.Buffer
	fmt.Fprintf(&out, "# Benchmark of %s\n\n", r.Started.UTC().Format("2006-01-02 15:04 MST"))
	for _, fact := range r.facts() {
		fmt.Fprintf(&out, "- %s: %s\n", fact[0], fact[1])
	}
	fmt.Fprintf(&out, "\n    %s\n\n", r.Command)
	shown := r.shown()
	for _, c := range shown {
		fmt.Fprintf(&out, "| %s ", c.head)
	}
	out.WriteString("|\n")
	for _, c := range shown {
		if c.text {
			out.WriteString("|---")
		} else {
			out.WriteString("|--:")
		}
	}
	out.WriteString("|\n")
	for i := range r.Results {
		for _, c := range shown {
			fmt.Fprintf(&out, "| %s ", strings.ReplaceAll(c.cell(&r.Results[i]), "|", `\|`))
		}
		out.WriteString("|\n")
	}
	out.WriteString("\n")
	for _, note := range r.Notes {
		fmt.Fprintf(&out, "- %s\n", note)
	}
	return out.Bytes()
}

// facts are what ran the benchmark, as names and values.
func (r *Record) facts() [][2]string {
	m := &r.Machine
	facts := [][2]string{
		{"processor", fmt.Sprintf("%s, %d cores (%d used), load %.2f at the start", known(m.CPU), m.Cores, m.Threads, m.LoadAverage)},
		{"memory", mebibytes(m.Memory) + " MiB"},
		{"system", fmt.Sprintf("%s, kernel %s, %s", m.OS, known(m.Kernel), m.Arch)},
	}
	for _, g := range m.GPUs {
		facts = append(facts, [2]string{"GPU", fmt.Sprintf("%s, %s MiB, driver %s", g.Name, mebibytes(g.Memory), g.Driver)})
	}
	revision := known(m.Revision)
	if m.Modified {
		revision += " with local changes"
	}
	facts = append(facts,
		[2]string{"versions", fmt.Sprintf("%s, gnark %s, gnark-crypto %s, gristmill %s", m.Go, known(m.Gnark), known(m.Crypto), revision)})
	for _, e := range r.Engines {
		facts = append(facts, [2]string{"engine " + e.Name, fmt.Sprintf("%s, %s, %d at once", e.Device, e.Runtime, e.Parallel)})
	}
	facts = append(facts, [2]string{"measured", fmt.Sprintf("%d runs in turns, %d proof(s) each, %d in flight, in %s",
		r.Settings.Runs, r.Settings.Proofs, r.Settings.InFlight, r.Finished.Sub(r.Started).Round(1e9))})
	return facts
}

func known(s string) string {
	if s == "" {
		return "unknown"
	}
	return s
}

// Short is a number to three significant digits, thousands and more in full; a
// dash for zero.
func Short(x float64) string {
	switch {
	case x == 0:
		return unknown
	case math.Abs(x) >= 1e6:
		return strconv.FormatFloat(x/1e6, 'f', 2, 64) + " M"
	case math.Abs(x) >= 100:
		return strconv.FormatFloat(x, 'f', 0, 64)
	}
	digits := max(0, 2-int(math.Floor(math.Log10(math.Abs(x)))))
	return strconv.FormatFloat(x, 'f', digits, 64)
}

func ratio(x float64) string {
	if x == 0 {
		return unknown
	}
	return strconv.FormatFloat(x, 'f', 2, 64) + "×"
}

func mebibytes(bytes int64) string {
	if bytes == 0 {
		return unknown
	}
	return strconv.FormatInt(bytes>>20, 10)
}
