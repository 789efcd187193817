// Command circuit makes what a plugin without the Go SDK needs of its circuit,
// once, when its bundle is built: `export` as any plugin has it, and `program`,
// which prints how to compute all wires from the inputs.
//
// The circuit is the SDK's statement about one message, and that the output
// `first` is the first byte of its payload.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/consensys/gnark/constraint"
	cs "github.com/consensys/gnark/constraint/bn254"
	"github.com/consensys/gnark/frontend"
	"github.com/consensys/gnark/logger"

	"github.com/gristmill-zk/gristmill/plugins/sdk"
	"github.com/gristmill-zk/gristmill/wire"
)

type circuit struct {
	First frontend.Variable `gnark:"first,public"`
}

// Define implements sdk.Circuit.
func (c *circuit) Define(api frontend.API, m *sdk.Messages) error {
	api.AssertIsEqual(c.First, m.Items[0].Bytes()[0])
	return nil
}

func project() *sdk.Project {
	return &sdk.Project{
		Name: "first", Version: "1.0.0", BatchSize: 1, PayloadLimit: 8, UncheckedSignatures: true,
		New: func(int) sdk.Circuit { return &circuit{} },
		Assign: func(t sdk.Task) (sdk.Circuit, error) {
			if len(t.Messages[0].Payload) == 0 {
				return nil, errors.New("message 0: the payload is empty")
			}
			return &circuit{First: t.Messages[0].Payload[0]}, nil
		},
		Sample: func(int) []byte { return []byte{42} },
	}
}

func main() {
	if len(os.Args) < 2 || os.Args[1] != "program" {
		sdk.Main(project())
		return
	}
	logger.Disable()
	if err := program(); err != nil {
		fmt.Fprintf(os.Stderr, "circuit: %v\n", err)
		os.Exit(1)
	}
}

// term is a coefficient, in decimal, and a wire.
type term [2]any

// instruction is one step of the solver: a constraint L·R = O with at most one
// wire that is not known before, or a hint whose outputs begin at a wire.
type instruction struct {
	L      []term   `json:"l,omitempty"`
	R      []term   `json:"r,omitempty"`
	O      []term   `json:"o,omitempty"`
	Hint   string   `json:"hint,omitempty"`
	Inputs [][]term `json:"inputs,omitempty"`
	Start  uint32   `json:"start,omitempty"`
	End    uint32   `json:"end,omitempty"`
}

// program prints, as JSON, the names of the inputs, which are the wires after
// the constant one, and the instructions that lead to the others.
func program() error {
	p := project()
	system, _, err := sdk.Compile(p)
	if err != nil {
		return err
	}
	inputs, err := inputNames(p)
	if err != nil {
		return err
	}
	steps, err := instructions(system)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(map[string]any{
		"inputs": inputs, "public": system.GetNbPublicVariables(), "constraints": system.GetNbConstraints(),
		"wires":        system.GetNbPublicVariables() + system.GetNbSecretVariables() + system.GetNbInternalVariables(),
		"instructions": steps,
	})
}

// inputNames are the inputs of any task's witness.
func inputNames(p *sdk.Project) ([]string, error) {
	d := wire.Deployment{ChainID: 1}
	signer, err := wire.NewSigner(wire.SchemeEdDSABN254, make([]byte, 32))
	if err != nil {
		return nil, err
	}
	m := wire.Message{Project: 1, Nonce: 1, Payload: p.Sample(0)}
	if err := signer.Sign(d, uint32(p.PayloadLimit), &m); err != nil {
		return nil, err
	}
	w, err := sdk.NewWitness(p, d, &wire.Body{Project: 1, Version: 1, Messages: []wire.Message{m}}, wire.Hash{}, wire.Address{})
	if err != nil {
		return nil, err
	}
	return w.Names, nil
}

func instructions(system *cs.R1CS) ([]instruction, error) {
	terms := func(l constraint.LinearExpression) []term {
		out := []term{}
		for _, t := range l {
			out = append(out, term{system.Coefficients[t.CoeffID()].String(), t.WireID()})
		}
		return out
	}
	var steps []instruction
	for _, packed := range system.Instructions {
		inst := packed.Unpack(&system.System)
		switch blueprint := system.Blueprints[packed.BlueprintID].(type) {
		case constraint.BlueprintHint:
			var h constraint.HintMapping
			blueprint.DecompressHint(&h, inst)
			step := instruction{Hint: system.MHintsDependencies[h.HintID], Start: h.OutputRange.Start, End: h.OutputRange.End}
			for _, in := range h.Inputs {
				step.Inputs = append(step.Inputs, terms(in))
			}
			steps = append(steps, step)
		case constraint.BlueprintR1C:
			var c constraint.R1C
			blueprint.DecompressR1C(&c, inst)
			steps = append(steps, instruction{L: terms(c.L), R: terms(c.R), O: terms(c.O)})
		default:
			return nil, fmt.Errorf("the circuit has an instruction of kind %T", blueprint)
		}
	}
	return steps, nil
}
