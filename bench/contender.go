package bench

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/consensys/gnark-crypto/ecc/bn254"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/consensys/gnark/backend/groth16"
	groth16bn254 "github.com/consensys/gnark/backend/groth16/bn254"

	"github.com/gristmill-zk/gristmill/bench/circuits"
	"github.com/gristmill-zk/gristmill/bench/results"
	"github.com/gristmill-zk/gristmill/gpu"
	"github.com/gristmill-zk/gristmill/gpu/cpu"
	"github.com/gristmill-zk/gristmill/gpu/remote"
	"github.com/gristmill-zk/gristmill/gpu/solver"
)

// icicleProgram is the engine on ICICLE, looked for next to this program and
// then in PATH. Each engine is a process of its own.
const icicleProgram = "gristmill-engine-icicle"

// Engines are the engines that this program can open: cpu in this process;
// icicle on the first CUDA card and icicle-cpu on ICICLE's own processor device,
// which is there to test the former, each in a process of its own.
func Engines() map[string]Opener {
	return map[string]Opener{
		cpu.Name:     func(context.Context) (gpu.Engine, error) { return cpu.New(cpu.Config{}) },
		"icicle":     openICICLE("cuda"),
		"icicle-cpu": openICICLE("cpu"),
	}
}

func openICICLE(device string) Opener {
	return func(context.Context) (gpu.Engine, error) {
		program := icicleProgram
		if self, err := os.Executable(); err == nil {
			if beside := filepath.Join(filepath.Dir(self), icicleProgram); isProgram(beside) {
				program = beside
			}
		}
		return remote.New(remote.Config{
			Command: []string{program, "--device", device},
			Env:     []string{"PATH", "LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER", "ICICLE_BACKEND_INSTALL_DIR"},
		})
	}
}

func isProgram(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
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
