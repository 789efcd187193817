// Package mining measures how many headers a second this machine's miner tries.
//
// It runs the miner's own search on a job that no hash solves, so every worker
// is busy for the whole time. It changes nothing and needs no chain.
package mining

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"runtime"
	"slices"
	"sync/atomic"
	"time"

	"github.com/gristmill-zk/gristmill/bench/machine"
	"github.com/gristmill-zk/gristmill/bench/stats"
	"github.com/gristmill-zk/gristmill/miner"
	"github.com/gristmill-zk/gristmill/wire"
)

// ErrConfig is a setting that can not be.
var ErrConfig = errors.New("bad benchmark setting")

// Config is what to measure.
type Config struct {
	// Workers are the numbers of goroutines to search on; none means 1 and one
	// for each core.
	Workers []int
	// Time is how long each run lasts. Default 3 s.
	Time time.Duration
	// Runs is how often each number of workers has its turn. Default 3.
	Runs int
	// Progress is told a line at each step. Nil: nobody listens.
	Progress func(line string)
}

// Report is what was measured.
type Report struct {
	Machine machine.Machine `json:"machine"`
	Seconds float64         `json:"seconds_per_run"`
	Results []Result        `json:"results"`
}

// Result is the rate of some workers, in headers (two SHA-256 each) a second.
type Result struct {
	Workers int     `json:"workers"`
	Rate    float64 `json:"hashes_per_s"`
	PerCore float64 `json:"hashes_per_s_per_worker"`
	Least   float64 `json:"min_hashes_per_s"`
	Most    float64 `json:"max_hashes_per_s"`
	// Samples are the rates of all runs.
	Samples []float64 `json:"samples"`
}

func (c *Config) validate() error {
	if len(c.Workers) == 0 {
		c.Workers = slices.Compact([]int{1, runtime.GOMAXPROCS(0)})
	}
	if c.Time == 0 {
		c.Time = 3 * time.Second
	}
	if c.Runs == 0 {
		c.Runs = 3
	}
	if c.Progress == nil {
		c.Progress = func(string) {}
	}
	for _, n := range c.Workers {
		if n < 1 || n > 4096 {
			return fmt.Errorf("%w: %d workers, allowed are 1 to 4096", ErrConfig, n)
		}
	}
	if c.Time < 0 || c.Runs < 1 {
		return fmt.Errorf("%w: %d runs of %s", ErrConfig, c.Runs, c.Time)
	}
	return nil
}

// Run measures. When ctx ends it returns the cause.
func Run(ctx context.Context, cfg Config) (*Report, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	report := &Report{Machine: machine.Describe(ctx), Seconds: cfg.Time.Seconds(), Results: make([]Result, len(cfg.Workers))}
	for n := range cfg.Runs {
		for i, workers := range cfg.Workers {
			rate, err := rate(ctx, workers, cfg.Time)
			if err != nil {
				return nil, err
			}
			r := &report.Results[i]
			r.Workers, r.Samples = workers, append(r.Samples, rate)
			cfg.Progress(fmt.Sprintf("run %d of %d, %d workers: %.2f MH/s", n+1, cfg.Runs, workers, rate/1e6))
		}
	}
	for i := range report.Results {
		r := &report.Results[i]
		s := stats.Summarize(r.Samples)
		r.Rate, r.Least, r.Most, r.PerCore = s.Median, s.Min, s.Max, s.Median/float64(r.Workers)
	}
	return report, nil
}

// rate is how many headers some workers try in a second.
func rate(ctx context.Context, workers int, length time.Duration) (float64, error) {
	timed, stop := context.WithTimeout(ctx, length)
	defer stop()
	// No header has a hash of at most 1.
	job := miner.Job{ID: "bench", Header: wire.Header{Version: 0x20000000, Bits: 0x1d00ffff}, Target: big.NewInt(1)}
	var hashes atomic.Uint64
	start := time.Now()
	_, _, err := miner.Search(timed, job, workers, &hashes)
	took := time.Since(start)
	switch {
	case ctx.Err() != nil:
		return 0, context.Cause(ctx)
	case err != nil && !errors.Is(err, context.DeadlineExceeded):
		return 0, err
	}
	return float64(hashes.Load()) / took.Seconds(), nil
}
