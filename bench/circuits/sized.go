package circuits

import (
	"fmt"
	"math/big"
	mathbits "math/bits"

	"github.com/consensys/gnark-crypto/ecc"
	"github.com/consensys/gnark/backend/witness"
	cs "github.com/consensys/gnark/constraint/bn254"
	"github.com/consensys/gnark/frontend"
	"github.com/consensys/gnark/frontend/cs/r1cs"
)

// dense squares and adds Steps times: every wire is as large as the field.
type dense struct {
	Out   frontend.Variable `gnark:",public"`
	In    frontend.Variable
	Steps int `gnark:"-"`
}

func (c *dense) Define(api frontend.API) error {
	x := c.In
	for range c.Steps {
		x = api.Add(api.Mul(x, x), c.In)
	}
	api.AssertIsEqual(x, c.Out)
	return nil
}

func makeDense(log int) (*cs.R1CS, witness.Witness, error) {
	const start = 3
	steps, modulus := 1<<log-2, ecc.BN254.ScalarField()
	x, in := big.NewInt(start), big.NewInt(start)
	for range steps {
		x.Mul(x, x).Add(x, in).Mod(x, modulus)
	}
	return build(&dense{Steps: steps}, &dense{In: start, Out: x})
}

// bits takes words apart, so most wires are 0 or 1.
type bits struct {
	Sum   frontend.Variable `gnark:",public"`
	Words []frontend.Variable
}

const (
	wordBits     = 60
	word         = uint64(0x0a5f3c99b71e2d4)
	bitsLeastLog = 6 // one word
)

func (c *bits) Define(api frontend.API) error {
	sum := frontend.Variable(0)
	for _, w := range c.Words {
		for _, b := range api.ToBinary(w, wordBits) {
			sum = api.Add(sum, b)
		}
	}
	api.AssertIsEqual(sum, c.Sum)
	return nil
}

func makeBits(log int) (*cs.R1CS, witness.Witness, error) {
	words := make([]frontend.Variable, (1<<log-2)/(wordBits+1))
	for i := range words {
		words[i] = word
	}
	return build(&bits{Words: make([]frontend.Variable, len(words))}, &bits{Words: words, Sum: mathbits.OnesCount64(word) * len(words)})
}

// build compiles a circuit and makes the full witness of an assignment.
func build(circuit, assignment frontend.Circuit) (*cs.R1CS, witness.Witness, error) {
	field := ecc.BN254.ScalarField()
	compiled, err := frontend.Compile(field, r1cs.NewBuilder, circuit)
	if err != nil {
		return nil, nil, fmt.Errorf("compile: %w", err)
	}
	system, ok := compiled.(*cs.R1CS)
	if !ok {
		return nil, nil, fmt.Errorf("compile: got a %T", compiled)
	}
	full, err := frontend.NewWitness(assignment, field)
	if err != nil {
		return nil, nil, fmt.Errorf("witness: %w", err)
	}
	return system, full, nil
}
