package sdk

import (
	"fmt"
	"reflect"

	"github.com/consensys/gnark-crypto/ecc"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/consensys/gnark/frontend"
	"github.com/consensys/gnark/frontend/schema"

	"github.com/gristmill-zk/gristmill/wire"
)

// Witness is the input of a circuit's solver with the name of every element,
// public inputs first. It is what package sdktest mutates.
type Witness struct {
	Names  []string
	Values fr.Vector
	Public int
}

// NewWitness assigns a body as the plugin does, but checks nothing beforehand:
// only Assign and the circuit stand between a wrong body and a solution.
func NewWitness(p *Project, d wire.Deployment, body *wire.Body, task wire.Hash, prover wire.Address) (*Witness, error) {
	if err := p.validate(); err != nil {
		return nil, err
	}
	commitment, err := body.Commitment(d, uint32(p.BatchSize), uint32(p.PayloadLimit))
	if err != nil {
		return nil, err
	}
	assignment, err := p.assign(&job{
		deployment: d, body: *body, commitment: commitment, binding: wire.Binding(d, task, prover),
	})
	if err != nil {
		return nil, err
	}
	full, err := frontend.NewWitness(assignment, ecc.BN254.ScalarField())
	if err != nil {
		return nil, fmt.Errorf("witness: %w", err)
	}
	values, ok := full.Vector().(fr.Vector)
	if !ok {
		return nil, fmt.Errorf("witness is a %T", full.Vector())
	}
	w := &Witness{Values: values}
	var secret []string
	_, err = schema.Walk(ecc.BN254.ScalarField(), assignment, variableType, func(leaf schema.LeafInfo, _ reflect.Value) error {
		if leaf.Visibility == schema.Public {
			w.Names = append(w.Names, leaf.FullName())
		} else {
			secret = append(secret, leaf.FullName())
		}
		return nil
	})
	w.Public = len(w.Names)
	w.Names = append(w.Names, secret...)
	return w, err
}
