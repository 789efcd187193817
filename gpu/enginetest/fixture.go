package enginetest

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"slices"
	"testing"

	"github.com/consensys/gnark-crypto/ecc"
	"github.com/consensys/gnark-crypto/ecc/bn254"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/consensys/gnark/backend/groth16"
	groth16bn254 "github.com/consensys/gnark/backend/groth16/bn254"
	"github.com/consensys/gnark/backend/witness"
	"github.com/consensys/gnark/constraint"
	"github.com/consensys/gnark/frontend"
	"github.com/consensys/gnark/frontend/cs/r1cs"

	"github.com/gristmill-zk/gristmill/gpu"
	"github.com/gristmill-zk/gristmill/gpu/solver"
	_ "github.com/gristmill-zk/gristmill/internal/quietgnark" // gnark would log on standard output
)

// Fixture is a compiled circuit with keys and a witness that satisfies it.
type Fixture struct {
	Circuit constraint.ConstraintSystem
	PK      groth16.ProvingKey
	VK      groth16.VerifyingKey
	Witness witness.Witness
	// Dump is the proving key as gnark dumps it.
	Dump []byte

	solution gpu.Solution
}

// NewFixture compiles, sets up and solves. The keys are worth nothing outside
// tests.
func NewFixture(circuit, assignment frontend.Circuit) (*Fixture, error) {
	field := ecc.BN254.ScalarField()
	ccs, err := frontend.Compile(field, r1cs.NewBuilder, circuit, frontend.IgnoreUnconstrainedInputs())
	if err != nil {
		return nil, fmt.Errorf("compile: %w", err)
	}
	f := &Fixture{Circuit: ccs}
	if f.PK, f.VK, err = groth16.Setup(ccs); err != nil {
		return nil, fmt.Errorf("set up: %w", err)
	}
	var dump bytes.Buffer
	if err := f.PK.WriteDump(&dump); err != nil {
		return nil, fmt.Errorf("dump: %w", err)
	}
	f.Dump = dump.Bytes()
	if f.Witness, err = frontend.NewWitness(assignment, field); err != nil {
		return nil, fmt.Errorf("witness: %w", err)
	}
	f.solution, err = solver.Solve(ccs, f.Witness, solver.Options{Commit: f.Commit})
	return f, err
}

// Commit makes a commitment with gnark's own key, for engines to be held
// against.
func (f *Fixture) Commit(index int, values fr.Vector) (bn254.G1Affine, error) {
	return f.PK.(*groth16bn254.ProvingKey).CommitmentKeys[index].Commit(values)
}

// Solution is a copy of the solution, the caller's to spoil.
func (f *Fixture) Solution() gpu.Solution {
	s := f.solution
	s.W, s.A, s.B, s.C = slices.Clone(s.W), slices.Clone(s.A), slices.Clone(s.B), slices.Clone(s.C)
	s.Commitments = slices.Clone(s.Commitments)
	for i := range s.Commitments {
		s.Commitments[i].Wires = slices.Clone(s.Commitments[i].Wires)
	}
	return s
}

// Key is the proving key in memory.
func (f *Fixture) Key() gpu.Key { return BytesKey(f.Dump) }

// BytesKey is a key with the given bytes.
func BytesKey(dump []byte) gpu.Key {
	return gpu.Key{
		ID:   sha256.Sum256(dump),
		Size: int64(len(dump)),
		Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(dump)), nil },
	}
}

// Request is a request for a right proof.
func (f *Fixture) Request(t testing.TB) gpu.Request {
	t.Helper()
	blinding, err := gpu.NewBlinding()
	if err != nil {
		t.Fatal(err)
	}
	return gpu.Request{Key: f.Key(), Solution: f.Solution(), Blinding: blinding}
}

// Verify checks a proof of the fixture's witness with gnark.
func (f *Fixture) Verify(proof *gpu.Proof) error {
	public, err := f.Witness.Public()
	if err != nil {
		return err
	}
	return groth16.Verify(gnarks(proof), f.VK, public)
}

// gnarks is a proof as gnark has it.
func gnarks(p *gpu.Proof) *groth16bn254.Proof {
	return &groth16bn254.Proof{Ar: p.Ar, Bs: p.Bs, Krs: p.Krs, Commitments: p.Commitments, CommitmentPok: p.Knowledge}
}
