// Package tinybundle makes bundles for tests in a moment: of a circuit with a few
// constraints, and of a plugin that exports it and does nothing else, so that it
// compiles fast for any machine.
package tinybundle

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/consensys/gnark-crypto/ecc"
	cs "github.com/consensys/gnark/constraint/bn254"
	"github.com/consensys/gnark/frontend"
	"github.com/consensys/gnark/frontend/cs/r1cs"

	_ "github.com/gristmill-zk/gristmill/internal/quietgnark" // gnark reports on standard output
	"github.com/gristmill-zk/gristmill/plugins/bundle"
)

// Circuit says that Out is X to the power of 2^Squares, and has the public
// inputs that every circuit of a project has.
type Circuit struct {
	Binding        frontend.Variable `gnark:",public"`
	DataCommitment frontend.Variable `gnark:",public"`
	Out            frontend.Variable `gnark:",public"`
	X              frontend.Variable
	Squares        int `gnark:"-"`
}

// Define implements frontend.Circuit.
func (c *Circuit) Define(api frontend.API) error {
	api.AssertIsEqual(api.Mul(c.Binding, c.Binding), api.Mul(c.Binding, c.Binding))
	api.AssertIsEqual(api.Mul(c.DataCommitment, c.X), api.Mul(c.X, c.DataCommitment))
	x := c.X
	for range c.Squares {
		x = api.Mul(x, x)
	}
	api.AssertIsEqual(c.Out, x)
	return nil
}

// Compile makes the constraint system: about squares constraints.
func Compile(squares int) (*cs.R1CS, error) {
	ccs, err := frontend.Compile(ecc.BN254.ScalarField(), r1cs.NewBuilder, &Circuit{Squares: squares})
	if err != nil {
		return nil, fmt.Errorf("tinybundle: %w", err)
	}
	system, ok := ccs.(*cs.R1CS)
	if !ok {
		return nil, fmt.Errorf("tinybundle: got a %T", ccs)
	}
	return system, nil
}

// answer are all wires for X = 1.
func answer(system *cs.R1CS, squares int) (io.WriterTo, error) {
	full, err := frontend.NewWitness(&Circuit{Binding: 3, DataCommitment: 5, X: 1, Out: 1, Squares: squares}, ecc.BN254.ScalarField())
	if err != nil {
		return nil, fmt.Errorf("tinybundle: %w", err)
	}
	solved, err := system.Solve(full)
	if err != nil {
		return nil, fmt.Errorf("tinybundle: %w", err)
	}
	solution, ok := solved.(*cs.R1CSSolution)
	if !ok {
		return nil, fmt.Errorf("tinybundle: got a %T", solved)
	}
	return &solution.W, nil
}

// Build makes a bundle in out, with keys of a local setup when keys is nil.
func Build(ctx context.Context, out string, squares int, keys *bundle.KeySource) (*bundle.Bundle, error) {
	source, err := os.MkdirTemp("", "gm-tiny-")
	if err != nil {
		return nil, fmt.Errorf("tinybundle: %w", err)
	}
	defer os.RemoveAll(source)
	if err := Source(source, squares); err != nil {
		return nil, err
	}
	return bundle.Build(ctx, bundle.BuildConfig{
		Source: source, OutDir: out, Keys: keys, AllowInsecure: keys == nil, Logger: slog.New(slog.DiscardHandler),
	})
}

// Source writes the source of a plugin for a circuit of about squares
// constraints.
func Source(dir string, squares int) error {
	system, err := Compile(squares)
	if err != nil {
		return err
	}
	known, err := answer(system, squares)
	if err != nil {
		return err
	}
	wires := system.GetNbPublicVariables() + system.GetNbSecretVariables() + system.GetNbInternalVariables()
	description, err := json.Marshal(struct {
		Name    string `json:"name"`
		Version string `json:"version"`
		bundle.CircuitInfo
	}{"tiny", "1.0.0", bundle.CircuitInfo{
		Curve: "bn254", Scheme: "groth16", DeviceScheme: "eddsa-bn254", BatchSize: 1, PayloadLimit: 8, Outputs: []string{"out"},
		Constraints: uint64(system.GetNbConstraints()), Wires: uint64(wires), PublicWires: uint32(system.GetNbPublicVariables()),
	}})
	if err != nil {
		return fmt.Errorf("tinybundle: %w", err)
	}
	return WriteSource(dir, description, system, known)
}

// program writes on export what is embedded in it.
const program = `package main

import (
	"embed"
	"os"
)

//go:embed description.json circuit.r1cs known-answer.wires
var files embed.FS

func main() {
	for _, name := range []string{"description.json", "circuit.r1cs", "known-answer.wires"} {
		content, _ := files.ReadFile(name)
		if err := os.WriteFile(os.Args[3]+"/"+name, content, 0o644); err != nil {
			panic(err)
		}
	}
}
`

// WriteSource writes the source of a plugin that exports what it is given here.
func WriteSource(dir string, description []byte, circuit, known io.WriterTo) error {
	files := map[string][]byte{
		"go.mod": []byte("module example.org/tiny\n\ngo 1.24\n"), "main.go": []byte(program), "description.json": description,
	}
	for name, content := range map[string]io.WriterTo{"circuit.r1cs": circuit, "known-answer.wires": known} {
		var text bytes.Buffer
		if _, err := content.WriteTo(&text); err != nil {
			return fmt.Errorf("tinybundle: %w", err)
		}
		files[name] = text.Bytes()
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o644); err != nil {
			return fmt.Errorf("tinybundle: %w", err)
		}
	}
	return nil
}
