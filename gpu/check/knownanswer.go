package check

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/big"
	"reflect"
	"sync"

	"github.com/consensys/gnark-crypto/ecc"
	"github.com/consensys/gnark/backend/groth16"
	groth16bn254 "github.com/consensys/gnark/backend/groth16/bn254"
	"github.com/consensys/gnark/backend/witness"
	"github.com/consensys/gnark/frontend"
	"github.com/consensys/gnark/frontend/cs/r1cs"

	"github.com/gristmill-zk/gristmill/gpu"
	"github.com/gristmill-zk/gristmill/gpu/cpu"
	"github.com/gristmill-zk/gristmill/gpu/solver"
	_ "github.com/gristmill-zk/gristmill/internal/quietgnark" // gnark would log on standard output
)

// ErrWrong is an engine whose proof is not the right one.
var ErrWrong = errors.New("the engine made a wrong proof")

// Case is a solved circuit with its keys.
type Case struct {
	Key    gpu.Key
	VK     groth16.VerifyingKey
	Public witness.Witness

	solution gpu.Solution
	saved    Saved
}

// Constraints is their number.
func (c *Case) Constraints() int { return len(c.solution.A) }

// Request is a request for a proof with a blinding of its own. The solution is
// the case's, which engines only read.
func (c *Case) Request() (gpu.Request, error) {
	blinding, err := gpu.NewBlinding()
	return gpu.Request{Key: c.Key, Solution: c.solution, Blinding: blinding}, err
}

// Verify checks a proof with gnark.
func (c *Case) Verify(p *gpu.Proof) error {
	err := groth16.Verify(&groth16bn254.Proof{
		Ar: p.Ar, Bs: p.Bs, Krs: p.Krs, Commitments: p.Commitments, CommitmentPok: p.Knowledge,
	}, c.VK, c.Public)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrWrong, err)
	}
	return nil
}

// known is the case of known answers. It has wires as large as the field, bits,
// wires without a part in A or B, and a domain that transforms in several steps.
var known = sync.OnceValues(func() (*Case, error) { return newCase(&mixed{}, (&mixed{}).assign()) })

// KnownAnswer has the engine make a proof, verifies it and holds it against the
// CPU engine's. It fails with ErrWrong, or with the engine's own error.
func KnownAnswer(ctx context.Context, engine gpu.Engine) error {
	c, err := known()
	if err != nil {
		return fmt.Errorf("known answer: %w", err)
	}
	reference, err := cpu.New(cpu.Config{})
	if err != nil {
		return fmt.Errorf("known answer: %w", err)
	}
	defer func() { _ = reference.Close() }() // the CPU engine's never fails
	request, err := c.Request()
	if err != nil {
		return err
	}
	want, err := reference.Prove(ctx, request)
	if err != nil {
		return fmt.Errorf("known answer: the CPU engine: %w", err)
	}
	got, err := engine.Prove(ctx, request)
	if err != nil {
		return fmt.Errorf("known answer: %w", err)
	}
	if err := c.Verify(got); err != nil {
		return err
	}
	if !reflect.DeepEqual(want, got) {
		return fmt.Errorf("%w: it verifies, but is not the CPU engine's", ErrWrong)
	}
	return nil
}

func newCase(circuit, assignment frontend.Circuit) (*Case, error) {
	field := ecc.BN254.ScalarField()
	ccs, err := frontend.Compile(field, r1cs.NewBuilder, circuit)
	if err != nil {
		return nil, fmt.Errorf("compile: %w", err)
	}
	pk, vk, err := groth16.Setup(ccs)
	if err != nil {
		return nil, fmt.Errorf("set up: %w", err)
	}
	var dump bytes.Buffer
	if err := pk.WriteDump(&dump); err != nil {
		return nil, fmt.Errorf("dump: %w", err)
	}
	full, err := frontend.NewWitness(assignment, field)
	if err != nil {
		return nil, fmt.Errorf("witness: %w", err)
	}
	public, err := full.Public()
	if err != nil {
		return nil, fmt.Errorf("public witness: %w", err)
	}
	solution, err := solver.Solve(ccs, full, solver.Options{})
	if err != nil {
		return nil, err
	}
	raw := dump.Bytes()
	key := gpu.Key{
		ID: sha256.Sum256(raw), Size: int64(len(raw)),
		Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(raw)), nil },
	}
	return &Case{
		Key: key, VK: vk, Public: public, solution: solution,
		saved: Saved{Circuit: ccs, PK: pk, VK: vk, Witness: full},
	}, nil
}

// mixed squares and adds, and takes the intermediate results apart into bits.
type mixed struct {
	Out  frontend.Variable `gnark:",public"`
	Bits frontend.Variable `gnark:",public"`
	In   frontend.Variable
}

const (
	mixedSteps = 700
	mixedEvery = 200 // steps between decompositions
)

func (c *mixed) Define(api frontend.API) error {
	x, ones := c.In, frontend.Variable(0)
	for i := range mixedSteps {
		x = api.Add(api.Mul(x, x), c.In)
		if i%mixedEvery == 0 {
			for _, bit := range api.ToBinary(x) {
				ones = api.Add(ones, bit)
			}
		}
	}
	api.AssertIsEqual(x, c.Out)
	api.AssertIsEqual(ones, c.Bits)
	return nil
}

func (c *mixed) assign() frontend.Circuit {
	in, ones := big.NewInt(11), 0
	x := new(big.Int).Set(in)
	for i := range mixedSteps {
		x.Mul(x, x).Add(x, in).Mod(x, ecc.BN254.ScalarField())
		if i%mixedEvery == 0 {
			for bit := range x.BitLen() {
				ones += int(x.Bit(bit))
			}
		}
	}
	return &mixed{Out: x, Bits: ones, In: in}
}
