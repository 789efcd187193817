package bench

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/gristmill-zk/gristmill/bench/circuits"
	"github.com/gristmill-zk/gristmill/gpu"
)

// Errors of a benchmark. They come wrapped with what was wrong.
var (
	// ErrConfig is a setting that can not be.
	ErrConfig = errors.New("bad benchmark setting")
	// ErrNoEngine is an engine that was asked for and is not there.
	ErrNoEngine = errors.New("engine is not available")
	// ErrUnverified is a finished benchmark in which a proof did not verify.
	ErrUnverified = errors.New("proofs did not verify")
)

// Mode is under which circumstances proofs are made.
type Mode string

// The modes.
const (
	// Cold makes a new engine for each proof, which reads its key from disk.
	Cold Mode = "cold"
	// Warm has the key resident and the circuit solved.
	Warm Mode = "warm"
	// Queued has tasks arrive at random at a fixed rate.
	Queued Mode = "queued"
)

// Modes are all modes in the order in which they are measured.
func Modes() []Mode { return []Mode{Cold, Warm, Queued} }

// Opener makes an engine, or says what it needs that is not there.
type Opener func(ctx context.Context) (gpu.Engine, error)

// Config is what to measure.
type Config struct {
	Circuits []string
	Sizes    []int // powers of two
	Engines  []string
	Modes    []Mode

	// Runs is how many turns each engine has in each mode. Default 5.
	Runs int
	// Proofs is how many proofs a turn makes in the cold and warm modes.
	// Default 1.
	Proofs int
	// InFlight is how many proofs are made at once in the warm and queued modes,
	// by every engine alike. Default 1.
	InFlight int
	// Load is the rate of the queued mode's arrivals over the rate at which the
	// engine solves and proves when warm. Default 0.7.
	Load float64
	// Arrivals is how many tasks arrive in a turn of the queued mode. Default 10.
	Arrivals int
	// Seed is what the arrival times are drawn from. Default 1.
	Seed uint64

	// Keys is the folder in which proving keys are kept; empty for one that is
	// removed afterwards.
	Keys string

	// Watts is what the machine draws while it proves, 0 to read the processor's
	// and the cards' own counters where there are any.
	Watts float64
	// PricePerHour is what the machine costs, PricePerKWh its power; 0 if unknown.
	PricePerHour, PricePerKWh float64

	// Openers make the engines by name. The name "gnark" is the reference's and
	// needs none. Default: Engines().
	Openers map[string]Opener
	// Progress is told a line at each step. Nil: nobody listens.
	Progress func(line string)
	// Command is what the record says was run.
	Command string
}

func (c *Config) validate() error {
	c.defaults()
	limits := []struct {
		name     string
		n, limit int
	}{{"runs", c.Runs, 10_000}, {"proofs", c.Proofs, 100_000}, {"in-flight", c.InFlight, 256}, {"arrivals", c.Arrivals, 100_000}}
	for _, l := range limits {
		if l.n < 1 || l.n > l.limit {
			return fmt.Errorf("%w: %s is %d, allowed are 1 to %d", ErrConfig, l.name, l.n, l.limit)
		}
	}
	for _, l := range []struct {
		name string
		x    float64
	}{{"watts", c.Watts}, {"price-per-hour", c.PricePerHour}, {"price-per-kwh", c.PricePerKWh}} {
		if !(l.x >= 0 && l.x < 1e9) {
			return fmt.Errorf("%w: %s is %v, want a number from 0", ErrConfig, l.name, l.x)
		}
	}
	if !(c.Load > 0 && c.Load <= 10) {
		return fmt.Errorf("%w: load is %v, allowed is up to 10", ErrConfig, c.Load)
	}
	if err := errors.Join(names("circuits", c.Circuits), names("sizes", c.Sizes), names("engines", c.Engines), names("modes", c.Modes)); err != nil {
		return err
	}
	for _, kind := range c.Circuits {
		for _, log := range c.Sizes {
			if err := circuits.Check(kind, log); err != nil {
				return fmt.Errorf("%w: %w", ErrConfig, err)
			}
		}
	}
	for _, mode := range c.Modes {
		if !slices.Contains(Modes(), mode) {
			return fmt.Errorf("%w: no mode %q, there are cold, warm and queued", ErrConfig, mode)
		}
	}
	for _, engine := range c.Engines {
		if c.Openers[engine] == nil && engine != gnarkName {
			return fmt.Errorf("%w: no engine %q is known, there are %s", ErrNoEngine, engine, strings.Join(append(slices.Sorted(maps.Keys(c.Openers)), gnarkName), ", "))
		}
	}
	return nil
}

func (c *Config) defaults() {
	for field, value := range map[*int]int{&c.Runs: 5, &c.Proofs: 1, &c.InFlight: 1, &c.Arrivals: 10} {
		if *field == 0 {
			*field = value
		}
	}
	if c.Load == 0 {
		c.Load = 0.7
	}
	if c.Seed == 0 {
		c.Seed = 1
	}
	if c.Openers == nil {
		c.Openers = Engines()
	}
	if c.Progress == nil {
		c.Progress = func(string) {}
	}
}

// names refuses a list that is empty or says something twice.
func names[T comparable](what string, list []T) error {
	if len(list) == 0 {
		return fmt.Errorf("%w: no %s", ErrConfig, what)
	}
	for i, v := range list {
		if slices.Contains(list[:i], v) {
			return fmt.Errorf("%w: %s has %v twice", ErrConfig, what, v)
		}
	}
	return nil
}
