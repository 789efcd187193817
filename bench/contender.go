package bench

import (
	"context"
	"fmt"

	"github.com/consensys/gnark-crypto/ecc/bn254"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/consensys/gnark/backend/groth16"
	groth16bn254 "github.com/consensys/gnark/backend/groth16/bn254"

	"github.com/gristmill-zk/gristmill/bench/circuits"
	"github.com/gristmill-zk/gristmill/bench/results"
	"github.com/gristmill-zk/gristmill/gpu"
	"github.com/gristmill-zk/gristmill/gpu/cpu"
	"github.com/gristmill-zk/gristmill/gpu/engines"
	"github.com/gristmill-zk/gristmill/gpu/remote"
	"github.com/gristmill-zk/gristmill/gpu/solver"
)

// tabledName is the CPU engine with its tables of multiples made when a key is
// loaded. In a worker they are made beside the proofs, once a key is used often; a
// measurement wants to know which of the two it measures.
const tabledName = "cpu-tables"

// Engines are the engines that gpu/engines can open, and the CPU engine with its
// tables.
func Engines() map[string]Opener {
	all := map[string]Opener{tabledName: openTabled}
	for _, name := range engines.Names() {
		all[name] = func(context.Context) (gpu.Engine, error) {
			return engines.Open(name, engines.Options{WithoutTables: true})
		}
	}
	return all
}

func openTabled(context.Context) (gpu.Engine, error) {
	engine, err := cpu.New(cpu.Config{TablesAfter: -1})
	if err != nil {
		return nil, err
	}
	return &tabled{engine}, nil
}

// tabled makes a key's tables when it loads it.
type tabled struct{ *cpu.Engine }

func (t *tabled) Load(ctx context.Context, key gpu.Key) error {
	if err := t.Engine.Load(ctx, key); err != nil {
		return err
	}
	return t.Tabulate(ctx, key)
}

// contender is one side of a measurement, an engine or a peer.
type contender interface {
	describe() results.Engine
	// load makes the circuit's key resident.
	load(ctx context.Context, c *circuits.Circuit) error
	// solve does what precedes a proof and returns what prove needs.
	solve(ctx context.Context, c *circuits.Circuit) (*gpu.Solution, error)
	// prove makes a proof. It only reads the solution.
	prove(ctx context.Context, c *circuits.Circuit, s *gpu.Solution) (groth16.Proof, error)
	// solves says that prove solves the circuit once more by itself.
	solves() bool
	// process is the process that proves, 0 for this one.
	process() int
	close() error
}

// seam is an engine behind gpu.Engine.
type seam struct {
	name   string
	engine gpu.Engine
}

func (s *seam) describe() results.Engine {
	info := s.engine.Info()
	return results.Engine{Name: s.name, Device: info.Device, ID: info.ID, Runtime: info.Runtime, Parallel: info.Parallel}
}

func (s *seam) load(ctx context.Context, c *circuits.Circuit) error { return s.engine.Load(ctx, c.Key) }

func (s *seam) solve(ctx context.Context, c *circuits.Circuit) (*gpu.Solution, error) {
	system, back, err := c.System()
	if err != nil {
		return nil, err
	}
	defer back()
	solution, err := solver.Solve(system, c.Witness, solver.Options{Commit: func(i int, values fr.Vector) (bn254.G1Affine, error) {
		return s.engine.Commit(ctx, c.Key, i, values)
	}})
	return &solution, err
}

func (s *seam) prove(ctx context.Context, c *circuits.Circuit, solution *gpu.Solution) (groth16.Proof, error) {
	blinding, err := gpu.NewBlinding()
	if err != nil {
		return nil, err
	}
	p, err := s.engine.Prove(ctx, gpu.Request{Key: c.Key, Solution: *solution, Blinding: blinding})
	if err != nil {
		return nil, err
	}
	return &groth16bn254.Proof{Ar: p.Ar, Bs: p.Bs, Krs: p.Krs, Commitments: p.Commitments, CommitmentPok: p.Knowledge}, nil
}

func (*seam) solves() bool { return false }

func (s *seam) process() int {
	if r, is := s.engine.(*remote.Engine); is {
		return r.State().PID
	}
	return 0
}

func (s *seam) close() error { return s.engine.Close() }

// open makes a contender by name.
func (c *Config) open(ctx context.Context, name string) (contender, error) {
	open := c.Openers[name]
	if open == nil && name == gnarkName {
		return &gnark{}, nil
	}
	engine, err := open(ctx)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrNoEngine, name, err)
	}
	return &seam{name, engine}, nil
}
