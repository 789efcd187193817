package bench

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/gristmill-zk/gristmill/bench/circuits"
	"github.com/gristmill-zk/gristmill/bench/machine"
	"github.com/gristmill-zk/gristmill/bench/results"
	"github.com/gristmill-zk/gristmill/bench/stats"
)

// group is the measurement of one circuit at one size.
type group struct {
	*run
	circuit *circuits.Circuit
	cells   map[string]*cell
	warm    map[string]contender // with the key resident
	memory  map[string]int64     // peak of each, when warm
	// whole is how many tasks were solved and proved in which time, when warm.
	whole map[string]pace
}

type pace struct {
	tasks int
	took  time.Duration
}

// cell gathers what one engine did in one mode.
type cell struct {
	runs, proofs, verified int

	samples, solves, loads []float64 // milliseconds
	processor              []float64 // milliseconds for a proof, of each turn

	busy         time.Duration // that the verified proofs took together
	joules       float64
	peak, device int64
	offered      float64
	// elsewhere says that another process proves, whose processor time is not
	// known.
	elsewhere bool
}

func (g *group) cell(mode Mode, engine string) *cell {
	key := string(mode) + " " + engine
	if g.cells[key] == nil {
		g.cells[key] = &cell{}
	}
	return g.cells[key]
}

// turns lets the engines take turns. Who comes first changes with each run, so
// that a machine that gets slower or faster meanwhile harms nobody.
func (g *group) turns(ctx context.Context, mode Mode, turn func(ctx context.Context, engine string, run int, c *cell) error) error {
	for n := range g.cfg.Runs {
		for i := range g.cfg.Engines {
			engine := g.cfg.Engines[(i+n)%len(g.cfg.Engines)]
			if mode != Cold && g.warm[engine] == nil {
				continue // its key did not load, which is noted
			}
			c := g.cell(mode, engine)
			proofs, verified, timed := c.proofs, c.verified, len(c.samples)
			err := turn(ctx, engine, n, c)
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			c.runs++
			if err != nil {
				g.note("%s 2^%d %s, engine %s: %v", g.circuit.Kind, g.circuit.Log, mode, engine, err)
			}
			g.bad += (c.proofs - proofs) - (c.verified - verified)
			if timed < len(c.samples) {
				g.say("%s 2^%d %s, run %d of %d, %s: %s ms", g.circuit.Kind, g.circuit.Log, mode, n+1, g.cfg.Runs, engine, results.Short(stats.Median(c.samples[timed:])))
			}
		}
	}
	return nil
}

// resident measures the modes in which keys are resident.
func (g *group) resident(ctx context.Context) (err error) {
	warm, queued := slices.Contains(g.cfg.Modes, Warm), slices.Contains(g.cfg.Modes, Queued)
	if !warm && !queued {
		return nil
	}
	g.warm, g.memory = map[string]contender{}, map[string]int64{}
	defer func() {
		for _, one := range g.warm {
			err = errors.Join(err, one.close())
		}
	}()
	for _, engine := range g.cfg.Engines {
		if err := g.warmUp(ctx, engine); err != nil {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			g.bad++
			g.note("%s 2^%d, engine %s: %v", g.circuit.Kind, g.circuit.Log, engine, err)
		}
	}
	// The queued mode needs the warm rate, whether it is asked for or not.
	if err := g.turns(ctx, Warm, g.warmTurn); err != nil {
		return err
	}
	if queued {
		return g.turns(ctx, Queued, g.queuedTurn)
	}
	return nil
}

// warmUp opens an engine, loads the key and makes a proof that is checked but
// not counted.
func (g *group) warmUp(ctx context.Context, engine string) error {
	base := machine.Resident()
	machine.ResetPeak()
	one, err := g.cfg.open(ctx, engine)
	if err != nil {
		return err
	}
	start := time.Now()
	err = one.load(ctx, g.circuit)
	took := time.Since(start)
	if err == nil {
		err = g.proveOnce(ctx, one)
	}
	if err != nil {
		return errors.Join(err, one.close())
	}
	g.warm[engine], g.memory[engine] = one, peak(one, base)
	for _, mode := range []Mode{Warm, Queued} {
		c := g.cell(mode, engine)
		c.loads, c.peak, c.elsewhere = append(c.loads, milliseconds(took)), g.memory[engine], one.process() != 0
	}
	return nil
}

func (g *group) proveOnce(ctx context.Context, one contender) error {
	solution, err := one.solve(ctx, g.circuit)
	if err != nil {
		return err
	}
	proof, err := one.prove(ctx, g.circuit, solution)
	if err != nil {
		return err
	}
	if err := g.circuit.Verify(proof); err != nil {
		return fmt.Errorf("the first proof is wrong: %w", err)
	}
	return nil
}

// peak is the most memory that proving took over base.
func peak(one contender, base int64) int64 {
	if pid := one.process(); pid != 0 {
		return machine.PeakOf(pid)
	}
	if high := machine.Peak(); high > base {
		return high - base
	}
	return 0
}

// result is a cell in figures.
func (g *group) result(mode Mode, engine string) results.Result {
	c := g.cell(mode, engine)
	s := stats.Summarize(c.samples)
	r := results.Result{
		Circuit: g.circuit.Kind, Log: g.circuit.Log, Constraints: g.circuit.Constraints, Engine: engine, Mode: string(mode),
		Runs: c.runs, Proofs: c.proofs, Verified: c.verified,
		MedianMS: s.Median, MinMS: s.Min, MaxMS: s.Max, MADMS: s.MAD, P99MS: s.P99, Samples: c.samples,
		SolveMS: stats.Median(c.solves), LoadMS: stats.Median(c.loads), ProcessorMS: stats.Median(c.processor),
		PeakMemory: c.peak, DeviceMemory: c.device, Offered: c.offered,
	}
	if r.Samples == nil {
		r.Samples = []float64{}
	}
	if c.verified == 0 || c.busy <= 0 {
		return r
	}
	r.ProofsPerSecond = float64(c.verified) / c.busy.Seconds()
	r.ProofsPerHour = 3600 * r.ProofsPerSecond
	r.ConstraintsPerSecond = float64(g.circuit.Constraints) * r.ProofsPerSecond
	r.JoulesPer1000 = 1000 * c.joules / float64(c.verified)
	if g.cfg.Watts > 0 {
		r.JoulesPer1000 = 1000 * g.cfg.Watts / r.ProofsPerSecond
	}
	const joulesPerKWh = 3.6e6
	r.CostPer1000 = g.cfg.PricePerHour*1000/r.ProofsPerHour + g.cfg.PricePerKWh*r.JoulesPer1000/joulesPerKWh
	return r
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
