package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/gristmill-zk/gristmill/bench/circuits"
	"github.com/gristmill-zk/gristmill/bench/machine"
	"github.com/gristmill-zk/gristmill/bench/results"
)

// Run measures everything that cfg asks for. With ErrUnverified it returns the
// record as well; with any other error, the cause of ctx among them, none.
func Run(ctx context.Context, cfg Config) (*results.Record, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	r := &run{cfg: cfg, engines: map[string]results.Engine{}}
	r.record = &results.Record{
		Schema: results.Schema, Machine: machine.Describe(ctx), Command: cfg.Command, Started: time.Now().UTC(), Results: []results.Result{},
		Settings: results.Settings{
			Runs: cfg.Runs, Proofs: cfg.Proofs, InFlight: cfg.InFlight, Load: cfg.Load, Arrivals: cfg.Arrivals, Seed: cfg.Seed,
			Watts: cfg.Watts, PricePerHour: cfg.PricePerHour, PricePerKWh: cfg.PricePerKWh,
		},
	}
	if err := r.lookForEngines(ctx); err != nil {
		return nil, err
	}
	r.cards = machine.WatchGPUs(ctx)
	defer r.cards.Close()
	r.energy = machine.OpenEnergy()
	if err := r.all(ctx); err != nil {
		if cause := context.Cause(ctx); cause != nil {
			return nil, cause
		}
		return nil, err
	}
	return r.finish()
}

// run is one benchmark under way.
type run struct {
	cfg     Config
	record  *results.Record
	engines map[string]results.Engine
	energy  *machine.Energy
	cards   *machine.Watch
	notes   []string
	bad     int // proofs asked for that are not verified
}

// lookForEngines opens each engine once, so that a missing one is known before
// an hour was spent on the others.
func (r *run) lookForEngines(ctx context.Context) error {
	for _, name := range r.cfg.Engines {
		one, err := r.cfg.open(ctx, name)
		if err != nil {
			return err
		}
		r.engines[name] = one.describe()
		r.record.Engines = append(r.record.Engines, r.engines[name])
		if err := one.close(); err != nil {
			return fmt.Errorf("engine %s: %w", name, err)
		}
	}
	return nil
}

func (r *run) all(ctx context.Context) (err error) {
	keys := r.cfg.Keys
	if keys == "" {
		if keys, err = os.MkdirTemp("", "gristmill-bench-"); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(keys)) }()
	} else if err := os.MkdirAll(keys, 0o755); err != nil {
		return err
	}
	for _, kind := range r.cfg.Circuits {
		for _, log := range r.cfg.Sizes {
			if err := r.circuit(ctx, kind, log, keys); err != nil {
				return err
			}
		}
	}
	return nil
}

// circuit measures one circuit at one size: all engines, in turns, mode by mode.
func (r *run) circuit(ctx context.Context, kind string, log int, keys string) error {
	r.say("%s 2^%d: compiling, making keys or reading them", kind, log)
	c, err := circuits.Make(ctx, kind, log, keys)
	if err != nil {
		return err
	}
	if err := c.Lend(r.cfg.InFlight); err != nil {
		return err
	}
	g := &group{run: r, circuit: c, cells: map[string]*cell{}, whole: map[string]pace{}}
	if slices.Contains(r.cfg.Modes, Cold) {
		if err := g.turns(ctx, Cold, g.coldTurn); err != nil {
			return err
		}
	}
	if err := g.resident(ctx); err != nil {
		return err
	}
	for _, mode := range Modes() {
		if !slices.Contains(r.cfg.Modes, mode) {
			continue
		}
		for _, engine := range r.cfg.Engines {
			r.record.Results = append(r.record.Results, g.result(mode, engine))
		}
	}
	return nil
}

func (r *run) finish() (*results.Record, error) {
	r.record.Relate()
	r.record.Finished = time.Now().UTC()
	r.record.Notes = append(r.explain(), r.notes...)
	if r.bad > 0 {
		return r.record, fmt.Errorf("%w: %d (the notes of the results say why)", ErrUnverified, r.bad)
	}
	return r.record, nil
}

// explain says what the numbers are.
func (r *run) explain() []string {
	notes := []string{"Only proofs that gnark's verifier took count. Verifying is outside the times."}
	if slices.Contains(r.cfg.Engines, gnarkName) {
		notes = append(notes, "Cold and warm times are of proving a solved circuit. gnark's Prove solves by itself: its solving was measured apart in the same turn and taken off, from its processor time too.")
	}
	if slices.Contains(r.cfg.Modes, Cold) {
		notes = append(notes, "Cold times contain making the engine and reading the key, whose file the system has in memory.")
	}
	if slices.Contains(r.cfg.Modes, Queued) {
		notes = append(notes, fmt.Sprintf("Queued tasks arrive at random (Poisson, seed %d) at %g of the rate at which the same engine solves and proves when warm; latency is from the intended arrival to the proof, solving contained.", r.cfg.Seed, r.cfg.Load))
	}
	if r.cfg.InFlight > 1 {
		notes = append(notes, fmt.Sprintf("%d proofs are in flight at once, so a proof's time contains waiting for the others; proofs/s does not follow from it.", r.cfg.InFlight))
	}
	switch {
	case r.cfg.Watts > 0:
		notes = append(notes, fmt.Sprintf("Energy is %g W, as given, over the time.", r.cfg.Watts))
	case r.energy != nil || r.cards != nil:
		notes = append(notes, "Energy is what the counters of "+counters(r.energy != nil, r.cards != nil)+" say: less than the machine draws.")
	default:
		notes = append(notes, "Energy is unknown: there is no counter to read, and no power was given.")
	}
	return append(notes, "Peak memory is the growth of the process from before the key was read to the first proof, as Go's collector lets it grow; for an engine in a process of its own, that process's peak.")
}

func counters(processor, cards bool) string {
	switch {
	case processor && cards:
		return "the processor packages and the engine's card"
	case cards:
		return "the engine's card"
	}
	return "the processor packages"
}

func (r *run) say(format string, args ...any) { r.cfg.Progress(fmt.Sprintf(format, args...)) }

// note keeps a remark, once.
func (r *run) note(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if !slices.Contains(r.notes, text) {
		r.notes = append(r.notes, text)
		r.say("%s", text)
	}
}
