package sdk

import (
	"errors"
	"fmt"
	"strings"

	"github.com/consensys/gnark-crypto/ecc"
	"github.com/consensys/gnark/constraint"
	cs "github.com/consensys/gnark/constraint/bn254"
	"github.com/consensys/gnark/frontend"
	"github.com/consensys/gnark/frontend/cs/r1cs"

	"github.com/gristmill-zk/gristmill/internal/bsb22"
)

// MaxOutputs is how many outputs the contracts accept.
const MaxOutputs = 300

// Description is what a bundle's manifest needs to know of a circuit.
type Description struct {
	Name         string   `json:"name"`
	Version      string   `json:"version"`
	Curve        string   `json:"curve"`
	Scheme       string   `json:"scheme"`
	DeviceScheme string   `json:"device_scheme"`
	BatchSize    uint32   `json:"batch_size"`
	PayloadLimit uint32   `json:"payload_limit"`
	Outputs      []string `json:"outputs"`
	Constraints  uint64   `json:"constraints"`
	Wires        uint64   `json:"wires"`
	PublicWires  uint32   `json:"public_wires"`
	// Commitments is how many gnark commitments the circuit uses, 0 or 1.
	Commitments uint32 `json:"commitments,omitempty"`
}

// Compile makes the constraint system of a project. It refuses circuits that
// could not be settled: with more than one gnark commitment, with too many
// outputs, or with an output that Define leaves free.
func Compile(p *Project) (*cs.R1CS, *Description, error) {
	if err := p.validate(); err != nil {
		return nil, nil, err
	}
	circuit := newPlatform(p, p.New(p.BatchSize))
	outputs, err := outputNames(circuit.Team)
	if err != nil {
		return nil, nil, err
	}
	ccs, err := frontend.Compile(ecc.BN254.ScalarField(), r1cs.NewBuilder, circuit)
	if err != nil {
		return nil, nil, fmt.Errorf("compile %s: %w", p.Name, err)
	}
	system, ok := ccs.(*cs.R1CS)
	if !ok {
		return nil, nil, fmt.Errorf("compile %s: got a %T", p.Name, ccs)
	}
	if _, err := bsb22.Of(system); err != nil {
		return nil, nil, fmt.Errorf("compile %s: %w", p.Name, err)
	}
	if free := unboundOutputs(system, 2+len(outputs)); len(free) != 0 {
		return nil, nil, fmt.Errorf("compile %s: Define does not constrain the output %s", p.Name, nameFree(free, outputs))
	}
	return system, p.describe(system, outputs), nil
}

func (p *Project) describe(system *cs.R1CS, outputs []string) *Description {
	return &Description{
		Name: p.Name, Version: p.Version,
		Curve: "bn254", Scheme: "groth16", DeviceScheme: p.deviceScheme().String(),
		BatchSize: uint32(p.BatchSize), PayloadLimit: uint32(p.PayloadLimit),
		Outputs:     outputs,
		Constraints: uint64(system.GetNbConstraints()),
		Wires:       uint64(system.GetNbPublicVariables() + system.GetNbSecretVariables() + system.GetNbInternalVariables()),
		PublicWires: uint32(system.GetNbPublicVariables()),
		Commitments: uint32(len(system.GetCommitments().CommitmentIndexes())),
	}
}

func outputNames(team Circuit) ([]string, error) {
	if team == nil {
		return nil, errors.New("project: New returned no circuit")
	}
	var names []string
	if err := walkPublic(team, func(name string, _ frontend.Variable) { names = append(names, name) }); err != nil {
		return nil, err
	}
	if len(names) == 0 || len(names) > MaxOutputs {
		return nil, fmt.Errorf("project: the circuit has %d public fields, must have 1 to %d", len(names), MaxOutputs)
	}
	return names, nil
}

// unboundOutputs are the public inputs after the constant one that appear in no
// constraint but the platform's own first ones. The binding is meant to.
func unboundOutputs(system *cs.R1CS, inputs int) []int {
	seen := make([]bool, inputs+1)
	mark := func(l constraint.LinearExpression) {
		for _, t := range l {
			if id := t.WireID(); id <= inputs {
				seen[id] = true
			}
		}
	}
	for i, c := range system.GetR1Cs() {
		if i < inputs {
			continue
		}
		mark(c.L)
		mark(c.R)
		mark(c.O)
	}
	var free []int
	for id := 2; id <= inputs; id++ {
		if !seen[id] {
			free = append(free, id)
		}
	}
	return free
}

func nameFree(free []int, outputs []string) string {
	var names []string
	for _, id := range free {
		if id < 3 {
			names = append(names, "dataCommitment")
			continue
		}
		names = append(names, outputs[id-3])
	}
	return strings.Join(names, ", ")
}
