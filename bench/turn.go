package bench

import (
	"context"
	"fmt"
	"runtime"
	"time"

	"github.com/consensys/gnark/backend/groth16"

	"github.com/gristmill-zk/gristmill/bench/machine"
	"github.com/gristmill-zk/gristmill/bench/stats"
	"github.com/gristmill-zk/gristmill/gpu"
)

// phase is what some work done n times took.
type phase struct {
	each      []time.Duration
	wall      time.Duration
	processor time.Duration
	joules    float64
	device    int64 // most memory in use on the engine's card
}

// measure does work n times, servers of it at once, on a collected heap.
func (g *group) measure(ctx context.Context, engine string, n, servers int, work func(ctx context.Context, i int) error) (phase, error) {
	p := g.begin(engine)
	each := make([]time.Duration, n)
	_, _, err := openLoop(ctx, make([]time.Duration, n), servers, func(ctx context.Context, i int) error {
		start := time.Now()
		err := work(ctx, i)
		each[i] = time.Since(start)
		return err
	})
	return p.end(each), err
}

// reading is the start of a phase.
type reading struct {
	g         *group
	card      string
	start     time.Time
	processor time.Duration
}

func (g *group) begin(engine string) reading {
	runtime.GC()
	r := reading{g: g, card: g.engines[engine].ID}
	g.energy.Joules()
	g.cards.Take(r.card)
	r.processor, r.start = machine.CPUTime(), time.Now()
	return r
}

func (r *reading) end(each []time.Duration) phase {
	p := phase{each: each, wall: time.Since(r.start), processor: machine.CPUTime() - r.processor}
	joules, used := r.g.cards.Take(r.card)
	p.joules, p.device = joules+r.g.energy.Joules(), used
	return p
}

// warmTurn solves and then proves, each for itself, with the key resident.
func (g *group) warmTurn(ctx context.Context, engine string, _ int, c *cell) error {
	one, n := g.warm[engine], g.cfg.Proofs
	var solution *gpu.Solution
	solved, err := g.measure(ctx, engine, n, g.cfg.InFlight, func(ctx context.Context, i int) error {
		s, err := one.solve(ctx, g.circuit)
		if i == 0 {
			solution = s // one serves all: engines only read it
		}
		return err
	})
	if err != nil {
		c.proofs += n
		return fmt.Errorf("solve: %w", err)
	}
	proofs := make([]groth16.Proof, n)
	proved, err := g.measure(ctx, engine, n, g.cfg.InFlight, func(ctx context.Context, i int) (err error) {
		proofs[i], err = one.prove(ctx, g.circuit, solution)
		return err
	})
	if err != nil {
		c.proofs += n
		return fmt.Errorf("prove: %w", err)
	}
	whole := g.whole[engine]
	whole.tasks, whole.took = whole.tasks+n, whole.took+proved.wall
	if !one.solves() {
		whole.took += solved.wall
	}
	g.whole[engine] = whole
	c.solves = append(c.solves, durations(solved.each)...)
	return g.count(c, proofs, net(one, solved, proved))
}

// net takes the solving off a phase of proofs that contained it. Both had as
// many in flight.
func net(one contender, solved, proved phase) phase {
	if !one.solves() {
		return proved
	}
	out := proved
	solve := time.Duration(stats.Median(durations(solved.each)) * float64(time.Millisecond))
	out.each = make([]time.Duration, len(proved.each))
	for i, took := range proved.each {
		out.each[i] = max(took-solve, 0)
	}
	out.wall = max(proved.wall-solved.wall, 0)
	out.processor = max(proved.processor-solved.processor, 0)
	if proved.wall > 0 {
		out.joules *= out.wall.Seconds() / proved.wall.Seconds()
	}
	return out
}

// count verifies the proofs of a turn and adds those that are right to a cell.
func (g *group) count(c *cell, proofs []groth16.Proof, p phase) error {
	var wrong error
	right := 0
	for i, proof := range proofs {
		c.proofs++
		if err := g.circuit.Verify(proof); err != nil {
			wrong = fmt.Errorf("a wrong proof: %w", err)
			continue
		}
		right++
		c.samples = append(c.samples, milliseconds(p.each[i]))
	}
	c.verified += right
	c.busy += p.wall
	c.joules += p.joules
	c.device = max(c.device, p.device)
	if p.processor > 0 && !c.elsewhere {
		c.processor = append(c.processor, milliseconds(p.processor)/float64(len(proofs)))
	}
	return wrong
}

// coldTurn makes each proof with an engine of its own, key reading contained.
func (g *group) coldTurn(ctx context.Context, engine string, _ int, c *cell) error {
	for range g.cfg.Proofs {
		if err := g.coldProof(ctx, engine, c); err != nil {
			return err
		}
	}
	return nil
}

func (g *group) coldProof(ctx context.Context, engine string, c *cell) (err error) {
	base := machine.Resident()
	machine.ResetPeak()
	reading := g.begin(engine)
	one, err := g.cfg.open(ctx, engine)
	if err != nil {
		c.proofs++
		return err
	}
	defer func() {
		if closing := one.close(); err == nil {
			err = closing
		}
	}()
	if err := one.load(ctx, g.circuit); err != nil {
		c.proofs++
		return fmt.Errorf("load: %w", err)
	}
	loaded := reading.end(nil)
	c.loads = append(c.loads, milliseconds(loaded.wall))
	var solution *gpu.Solution
	solved, err := g.measure(ctx, engine, 1, 1, func(ctx context.Context, _ int) (err error) {
		solution, err = one.solve(ctx, g.circuit)
		return err
	})
	if err != nil {
		c.proofs++
		return fmt.Errorf("solve: %w", err)
	}
	proofs := make([]groth16.Proof, 1)
	proved, err := g.measure(ctx, engine, 1, 1, func(ctx context.Context, i int) (err error) {
		proofs[i], err = one.prove(ctx, g.circuit, solution)
		return err
	})
	if err != nil {
		c.proofs++
		return fmt.Errorf("prove: %w", err)
	}
	c.peak, c.elsewhere = max(c.peak, peak(one, base)), one.process() != 0
	c.solves = append(c.solves, durations(solved.each)...)
	p := net(one, solved, proved)
	p.each = []time.Duration{p.each[0] + loaded.wall}
	p.wall, p.processor, p.joules = p.wall+loaded.wall, p.processor+loaded.processor, p.joules+loaded.joules
	return g.count(c, proofs, p)
}

// queuedTurn lets tasks arrive and solves and proves each.
func (g *group) queuedTurn(ctx context.Context, engine string, run int, c *cell) error {
	one, whole := g.warm[engine], g.whole[engine]
	if whole.tasks == 0 || whole.took <= 0 {
		return fmt.Errorf("there is no warm rate to derive the arrivals from")
	}
	c.offered = g.cfg.Load * float64(whole.tasks) / whole.took.Seconds()
	proofs := make([]groth16.Proof, g.cfg.Arrivals)
	reading := g.begin(engine)
	latencies, _, err := openLoop(ctx, poisson(len(proofs), c.offered, g.cfg.Seed+uint64(run)), g.cfg.InFlight, func(ctx context.Context, i int) (err error) {
		var solution *gpu.Solution
		if !one.solves() {
			if solution, err = one.solve(ctx, g.circuit); err != nil {
				return err
			}
		}
		proofs[i], err = one.prove(ctx, g.circuit, solution)
		return err
	})
	p := reading.end(latencies)
	if err != nil {
		c.proofs += len(proofs)
		return err
	}
	return g.count(c, proofs, p)
}

func durations(each []time.Duration) []float64 {
	out := make([]float64, len(each))
	for i, d := range each {
		out[i] = milliseconds(d)
	}
	return out
}
