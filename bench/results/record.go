package results

import (
	"fmt"
	"slices"
	"time"

	"github.com/gristmill-zk/gristmill/bench/machine"
)

// Schema is the version of the record's format.
const Schema = 1

// Reference is the engine that the others are compared with.
const Reference = "gnark"

// Record is one benchmark.
type Record struct {
	Schema   int             `json:"schema"`
	Machine  machine.Machine `json:"machine"`
	Command  string          `json:"command"`
	Started  time.Time       `json:"started"`
	Finished time.Time       `json:"finished"`
	Settings Settings        `json:"settings"`
	Engines  []Engine        `json:"engines"`
	// Notes say what the numbers mean and what is missing.
	Notes   []string `json:"notes"`
	Results []Result `json:"results"`
}

// Settings are what a benchmark was asked to do besides its cells.
type Settings struct {
	Runs     int `json:"runs"`
	Proofs   int `json:"proofs_per_run"`
	InFlight int `json:"in_flight"`
	// Load is the queued mode's rate of arrivals over the engine's warm rate,
	// Arrivals how many come in one run, Seed what their times are drawn from.
	Load     float64 `json:"load"`
	Arrivals int     `json:"arrivals_per_run"`
	Seed     uint64  `json:"seed"`

	// Watts and the prices are 0 when unknown.
	Watts        float64 `json:"watts,omitempty"`
	PricePerHour float64 `json:"price_per_hour,omitempty"`
	PricePerKWh  float64 `json:"price_per_kwh,omitempty"`
}

// Engine is a contender as it describes itself.
type Engine struct {
	Name     string `json:"name"`
	Device   string `json:"device"`
	ID       string `json:"id"`
	Runtime  string `json:"runtime"`
	Parallel int    `json:"parallel"`
}

// Result is one cell: a circuit at a size, by an engine, in a mode. Times are in
// milliseconds. A zero in an optional field means that it is not known.
type Result struct {
	Circuit     string `json:"circuit"`
	Log         int    `json:"log2_constraints"`
	Constraints int    `json:"constraints"`
	Engine      string `json:"engine"`
	Mode        string `json:"mode"`
	Runs        int    `json:"runs"`
	// Proofs is how many were asked for, Verified how many gnark's verifier
	// took. Everything below counts verified proofs only.
	Proofs   int `json:"proofs"`
	Verified int `json:"verified"`

	MedianMS float64 `json:"median_ms"`
	MinMS    float64 `json:"min_ms"`
	MaxMS    float64 `json:"max_ms"`
	MADMS    float64 `json:"mad_ms"`
	P99MS    float64 `json:"p99_ms"`

	ProofsPerSecond      float64 `json:"proofs_per_s"`
	ProofsPerHour        float64 `json:"proofs_per_h"`
	ConstraintsPerSecond float64 `json:"constraints_per_s"`

	// VsReference is the reference's median over this one's in the same cell:
	// above 1, this engine is faster. 0 without a reference.
	VsReference float64 `json:"vs_gnark,omitempty"`
	// ProcessorVsReference is the same ratio of processor times, which says more
	// than the clock on a machine that others use too.
	ProcessorVsReference float64 `json:"cpu_vs_gnark,omitempty"`

	// SolveMS is the median of the solving alone, LoadMS of making a key ready,
	// which the cold mode's proofs contain. ProcessorMS is the processor time of
	// this process for one proof; work in other processes is not in it.
	SolveMS     float64 `json:"solve_ms,omitempty"`
	LoadMS      float64 `json:"load_ms,omitempty"`
	ProcessorMS float64 `json:"cpu_ms,omitempty"`

	// PeakMemory is what the process grew by for key and proof, in bytes;
	// DeviceMemory the most that was in use on the device, by anybody.
	PeakMemory   int64 `json:"peak_memory_bytes,omitempty"`
	DeviceMemory int64 `json:"device_memory_bytes,omitempty"`

	JoulesPer1000 float64 `json:"joules_per_1000,omitempty"`
	CostPer1000   float64 `json:"cost_per_1000,omitempty"`

	// Offered is the queued mode's rate of arrivals per second.
	Offered float64 `json:"offered_per_s,omitempty"`

	Samples []float64 `json:"samples_ms"`
}

// Relate fills the ratios to the reference.
func (r *Record) Relate() {
	for i := range r.Results {
		one := &r.Results[i]
		at := slices.IndexFunc(r.Results, func(o Result) bool {
			return o.Engine == Reference && o.key(false) == one.key(false)
		})
		if at < 0 || one.Engine == Reference {
			continue
		}
		if one.MedianMS > 0 {
			one.VsReference = r.Results[at].MedianMS / one.MedianMS
		}
		if one.ProcessorMS > 0 {
			one.ProcessorVsReference = r.Results[at].ProcessorMS / one.ProcessorMS
		}
	}
}

// key names the cell, with or without its engine.
func (r *Result) key(withEngine bool) string {
	name := fmt.Sprintf("%s 2^%d %s", r.Circuit, r.Log, r.Mode)
	if withEngine {
		name += " " + r.Engine
	}
	return name
}

// distinct are the values of a field over results, in order of appearance.
func distinct[T comparable](results []Result, field func(*Result) T) []T {
	var seen []T
	for i := range results {
		if v := field(&results[i]); !slices.Contains(seen, v) {
			seen = append(seen, v)
		}
	}
	return seen
}
