package bench

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"

	"github.com/consensys/gnark-crypto/ecc"
	"github.com/consensys/gnark/backend/groth16"

	"github.com/gristmill-zk/gristmill/bench/circuits"
	"github.com/gristmill-zk/gristmill/bench/results"
	"github.com/gristmill-zk/gristmill/gpu"
)

const gnarkName = results.Reference

// gnark is the peer that the engines are compared with: gnark's own prover on
// the processor, from the same key file.
type gnark struct {
	key groth16.ProvingKey
	of  gpu.KeyID
}

func (*gnark) describe() results.Engine {
	return results.Engine{
		Name: gnarkName, Device: fmt.Sprintf("%d cores, %s", runtime.GOMAXPROCS(0), runtime.GOARCH), ID: gnarkName,
		Runtime: "groth16.Prove", Parallel: 1,
	}
}

func (g *gnark) load(_ context.Context, c *circuits.Circuit) error {
	if g.key != nil && g.of == c.Key.ID {
		return nil
	}
	file, err := os.Open(c.Path)
	if err != nil {
		return err
	}
	key := groth16.NewProvingKey(ecc.BN254)
	if err := errors.Join(key.ReadDump(bufio.NewReaderSize(file, 1<<20)), file.Close()); err != nil {
		return fmt.Errorf("%s: %w", c.Path, err)
	}
	g.key, g.of = key, c.Key.ID
	return nil
}

// solve is what Prove will do once more by itself: there is nothing to hand on.
func (g *gnark) solve(_ context.Context, c *circuits.Circuit) (*gpu.Solution, error) {
	system, back, err := c.System()
	if err != nil {
		return nil, err
	}
	defer back()
	_, err = system.Solve(c.Witness)
	return nil, err
}

func (g *gnark) prove(_ context.Context, c *circuits.Circuit, _ *gpu.Solution) (groth16.Proof, error) {
	system, back, err := c.System()
	if err != nil {
		return nil, err
	}
	defer back()
	return groth16.Prove(system, g.key, c.Witness)
}

func (*gnark) solves() bool { return true }
func (*gnark) process() int { return 0 }
func (g *gnark) close() error {
	g.key = nil
	return nil
}
