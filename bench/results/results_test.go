package results_test

import (
	"encoding/csv"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/gristmill-zk/gristmill/bench/machine"
	"github.com/gristmill-zk/gristmill/bench/results"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var update = flag.Bool("update", false, "write the golden files again")

func result(engine, mode string, log int, samples ...float64) results.Result {
	return results.Result{
		Circuit: "meter", Log: log, Constraints: 1<<log - 100, Engine: engine, Mode: mode, Runs: len(samples), Proofs: len(samples), Verified: len(samples),
		MedianMS: samples[len(samples)/2], MinMS: samples[0], MaxMS: samples[len(samples)-1], P99MS: samples[len(samples)-1],
		ProofsPerSecond: 1000 / samples[len(samples)/2], ProofsPerHour: 3.6e6 / samples[len(samples)/2],
		ConstraintsPerSecond: 1000 * float64(int(1)<<log-100) / samples[len(samples)/2], ProcessorMS: samples[0] / 2, SolveMS: 3, LoadMS: 20,
		PeakMemory: 300 << 20, Samples: samples,
	}
}

// record is a record with fixed contents, and names that could break a page.
func record() *results.Record {
	start := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	r := &results.Record{
		Schema: results.Schema, Command: `gristmill bench prove --out 'a<b>&"c"'`, Started: start, Finished: start.Add(90 * time.Second),
		Machine: machine.Machine{
			CPU: "Some <Processor>", Cores: 8, Threads: 8, Memory: 16 << 30, OS: "Linux", Arch: "amd64", Kernel: "6.1", Go: "go1.26", Gnark: "v0.16.0",
			GPUs: []machine.GPU{{Name: "Card", UUID: "GPU-1", Driver: "550", Memory: 80 << 30}},
		},
		Settings: results.Settings{Runs: 5, Proofs: 1, InFlight: 1, Load: 0.7, Arrivals: 10, Seed: 1},
		Engines:  []results.Engine{{Name: "cpu", Device: "8 cores", ID: "cpu", Runtime: "gnark-crypto", Parallel: 2}},
		Notes:    []string{"Only proofs that verified count."},
		Results: []results.Result{
			result("cpu", "warm", 14, 80, 90, 100, 110, 130), result("gnark", "warm", 14, 120, 130, 150, 151, 152),
			result("cpu", "warm", 16, 310, 320, 330, 340, 390), result("gnark", "warm", 16, 410, 420, 430, 440, 490),
			result("cpu", "queued", 14, 81, 91, 101), result("gnark", "queued", 14, 181, 191, 301),
		},
	}
	r.Relate()
	return r
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		require.NoError(t, os.MkdirAll("testdata", 0o755))
		require.NoError(t, os.WriteFile(path, got, 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, string(want), string(got))
}

// TestForms pins the formats that others read.
func TestForms(t *testing.T) {
	t.Parallel()
	r := record()
	encoded, err := r.JSON()
	require.NoError(t, err)
	golden(t, "results.json", encoded)
	table, err := r.CSV()
	require.NoError(t, err)
	golden(t, "results.csv", table)
	golden(t, "results.md", r.Markdown())
	lines, err := csv.NewReader(strings.NewReader(string(table))).ReadAll()
	require.NoError(t, err, "every line has as many fields as the head")
	require.Len(t, lines, 7)
}

func TestRatios(t *testing.T) {
	t.Parallel()
	r := record()
	require.InDelta(t, 1.5, r.Results[0].VsReference, 1e-9)
	require.InDelta(t, 1.5, r.Results[0].ProcessorVsReference, 1e-9)
	require.Zero(t, r.Results[1].VsReference, "the reference itself")
	heads, rows := r.Rows()
	require.NotContains(t, heads, "device MiB", "nobody knows")
	require.Contains(t, heads, "vs gnark")
	require.Contains(t, rows[0], "1.50×")
}

func TestPageLoadsNothingAndEscapes(t *testing.T) {
	t.Parallel()
	page, err := record().HTML()
	require.NoError(t, err)
	text := string(page)
	for _, forbidden := range []string{"http:", "https:", "src=", "href=", "url(", "@import", "<script", "<Processor>", "a<b>"} {
		require.NotContains(t, text, forbidden)
	}
	require.NotRegexp(t, regexp.MustCompile(`NaN|Inf|%!`), text)
	require.Contains(t, text, "Some &lt;Processor&gt;")
	require.Equal(t, 2+2+2, strings.Count(text, "<svg"), "time, ratio and throughput for each mode")
	require.Contains(t, text, "milliseconds</text>")
	require.Contains(t, text, "2¹⁶")
}

func TestPageOfLittle(t *testing.T) {
	t.Parallel()
	r := record()
	r.Results = r.Results[1:2]
	r.Relate()
	r.Results[0].Samples, r.Results[0].MedianMS, r.Results[0].MinMS, r.Results[0].MaxMS, r.Results[0].ConstraintsPerSecond = nil, 0, 0, 0, 0
	page, err := r.HTML()
	require.NoError(t, err)
	require.NotRegexp(t, regexp.MustCompile(`NaN|Inf|%!`), string(page))
	r.Results = nil
	_, err = r.HTML()
	require.NoError(t, err)
}

func TestWriteAndRead(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "a", "b")
	r := record()
	require.NoError(t, r.Write(dir))
	for _, path := range []string{dir, filepath.Join(dir, results.JSONName)} {
		back, err := results.Read(path)
		require.NoError(t, err)
		require.Equal(t, r, back)
	}
	bad := filepath.Join(t.TempDir(), "x.json")
	for _, text := range []string{"{", `{"schema": 99}`, `[]`} {
		require.NoError(t, os.WriteFile(bad, []byte(text), 0o600))
		_, err := results.Read(bad)
		require.ErrorIs(t, err, results.ErrFormat, text)
	}
	_, err := results.Read(filepath.Join(dir, "nothing"))
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestCompare(t *testing.T) {
	t.Parallel()
	before, after := record(), record()
	after.Machine.CPU = "Other"
	after.Results[0] = result("cpu", "warm", 14, 40, 45, 50, 55, 65)
	after.Results[2] = result("cpu", "warm", 16, 305, 325, 331, 345, 380)
	after.Results[5] = result("gnark", "cold", 14, 5, 5, 6)
	shared, missing := results.Compare(before, after)
	require.Len(t, shared, 5)
	require.Equal(t, []string{
		"meter 2^14 cold gnark: only in the new record", "meter 2^14 queued gnark: only in the old record",
	}, missing)
	require.InDelta(t, -0.5, shared[0].Delta, 1e-9)
	require.True(t, shared[0].Significant)
	require.InDelta(t, 2.0/252, shared[0].P, 1e-9)
	require.False(t, shared[2].Significant)
	var out strings.Builder
	require.NoError(t, results.WriteComparison(&out, before, after))
	for _, want := range []string{"The machines differ", "-50.00%", "(p=0.008 n=5+5)", "~", "geometric mean", "too few samples", "only in the new"} {
		require.Contains(t, out.String(), want)
	}
}
