package results

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"github.com/gristmill-zk/gristmill/internal/durable"
)

// ErrFormat is a file that holds no record of this version.
var ErrFormat = errors.New("no benchmark record")

// JSONName is the record's own file.
const JSONName = "results.json"

// Write puts the record's files into a folder, which is made when missing.
func (r *Record) Write(dir string) error {
	encoded, err := r.JSON()
	if err != nil {
		return err
	}
	table, err := r.CSV()
	if err != nil {
		return err
	}
	page, err := r.HTML()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("results: %w", err)
	}
	for _, file := range []struct {
		name string
		data []byte
	}{{"results.csv", table}, {"results.md", r.Markdown()}, {"index.html", page}, {JSONName, encoded}} {
		if err := durable.WriteFile(filepath.Join(dir, file.name), file.data); err != nil {
			return fmt.Errorf("results: %w", err)
		}
	}
	return nil
}

// JSON is the record as results.json has it.
func (r *Record) JSON() ([]byte, error) {
	encoded, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("results: %w", err)
	}
	return append(encoded, '\n'), nil
}

// Read reads a record from results.json, or from the folder that has it.
func Read(path string) (*Record, error) {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		path = filepath.Join(path, JSONName)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("results: %w", err)
	}
	var r Record
	if err := json.Unmarshal(data, &r); err != nil {
		return nil, fmt.Errorf("%s: %w: %w", path, ErrFormat, err)
	}
	if r.Schema != Schema {
		return nil, fmt.Errorf("%s: %w: schema %d, known is %d", path, ErrFormat, r.Schema, Schema)
	}
	return &r, nil
}

// CSV has a line for each result, without the samples.
func (r *Record) CSV() ([]byte, error) {
	var out bytes.Buffer
	w := csv.NewWriter(&out)
	err := w.Write([]string{
		"circuit", "log2_constraints", "constraints", "engine", "mode", "runs", "proofs", "verified", "median_ms", "min_ms", "max_ms",
		"mad_ms", "p99_ms", "proofs_per_s", "proofs_per_h", "constraints_per_s", "vs_gnark", "cpu_vs_gnark", "solve_ms", "load_ms", "cpu_ms",
		"peak_memory_bytes", "device_memory_bytes", "joules_per_1000", "cost_per_1000", "offered_per_s",
	})
	for i := range r.Results {
		e := &r.Results[i]
		line := []string{e.Circuit, strconv.Itoa(e.Log), strconv.Itoa(e.Constraints), e.Engine, e.Mode, strconv.Itoa(e.Runs), strconv.Itoa(e.Proofs), strconv.Itoa(e.Verified)}
		for _, x := range []float64{
			e.MedianMS, e.MinMS, e.MaxMS, e.MADMS, e.P99MS, e.ProofsPerSecond, e.ProofsPerHour, e.ConstraintsPerSecond, e.VsReference, e.ProcessorVsReference,
			e.SolveMS, e.LoadMS, e.ProcessorMS, float64(e.PeakMemory), float64(e.DeviceMemory), e.JoulesPer1000, e.CostPer1000, e.Offered,
		} {
			line = append(line, strconv.FormatFloat(x, 'f', -1, 64))
		}
		err = errors.Join(err, w.Write(line))
	}
	w.Flush()
	if err := errors.Join(err, w.Error()); err != nil {
		return nil, fmt.Errorf("results: %w", err)
	}
	return out.Bytes(), nil
}
