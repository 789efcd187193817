// Package solver solves gnark circuits in this process and hands the result to
// proving engines. A worker does not use it: there a plugin solves. It is for
// known answers, benchmarks and tests, where circuit and engine stand side by
// side.
package solver

import (
	"fmt"
	"hash"
	"math/big"

	"github.com/consensys/gnark-crypto/ecc/bn254"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr/hash_to_field"
	"github.com/consensys/gnark/backend/witness"
	"github.com/consensys/gnark/constraint"
	cs "github.com/consensys/gnark/constraint/bn254"
	gnarksolver "github.com/consensys/gnark/constraint/solver"
	fcs "github.com/consensys/gnark/frontend/cs"

	"github.com/gristmill-zk/gristmill/gpu"
)

// Commit makes the Pedersen commitment number index of a circuit's key to
// values: an engine's Commit with its key, or a key's own.
type Commit func(index int, values fr.Vector) (bn254.G1Affine, error)

// Options are what a solution depends on besides circuit and witness.
type Options struct {
	// Commit is called for each BSB22 commitment while the circuit is solved; a
	// circuit without them needs none.
	Commit Commit
	// HashToField draws the challenges from commitments; nil is gnark's default.
	// The verifier must use the same.
	HashToField hash.Hash
}

// Solve solves an R1CS over BN254 for a full witness. The error is gnark's when
// the witness does not satisfy the circuit.
func Solve(circuit constraint.ConstraintSystem, full witness.Witness, opts Options) (gpu.Solution, error) {
	r1cs, ok := circuit.(*cs.R1CS)
	if !ok {
		return gpu.Solution{}, fmt.Errorf("solve: a %T is no R1CS over BN254", circuit)
	}
	infos, _ := r1cs.CommitmentInfo.(constraint.Groth16Commitments)
	commitments := make([]gpu.Commitment, len(infos))
	for i := range infos {
		commitments[i].Challenge = uint32(infos[i].CommitmentIndex)
		for _, wire := range infos[i].PrivateCommitted {
			commitments[i].Wires = append(commitments[i].Wires, uint32(wire))
		}
	}
	h := hinter{infos: infos, commitments: commitments, opts: opts}
	if h.opts.HashToField == nil {
		h.opts.HashToField = hash_to_field.New([]byte(constraint.CommitmentDst))
	}
	override := gnarksolver.OverrideHint(gnarksolver.GetHintID(fcs.Bsb22CommitmentComputePlaceholder), h.challenge)
	solved, err := r1cs.Solve(full, override)
	if err != nil {
		return gpu.Solution{}, fmt.Errorf("solve: %w", err)
	}
	s := solved.(*cs.R1CSSolution)
	n := r1cs.GetNbConstraints()
	return gpu.Solution{W: s.W, A: s.A[:n], B: s.B[:n], C: s.C[:n], NbPublic: r1cs.GetNbPublicVariables(), Commitments: commitments}, nil
}

type hinter struct {
	infos       constraint.Groth16Commitments
	commitments []gpu.Commitment
	opts        Options
}

// challenge is gnark's hint for a commitment: in holds its number, the public
// and challenge wires that are hashed with it, and the covered values.
func (h *hinter) challenge(_ *big.Int, in, out []*big.Int) error {
	i := int(in[0].Int64())
	if h.opts.Commit == nil {
		return fmt.Errorf("the circuit makes commitment %d and nothing was given to make it with", i)
	}
	hashed := in[1 : 1+len(h.infos[i].PublicAndCommitmentCommitted)]
	covered := in[1+len(hashed):]
	values := make(fr.Vector, len(covered))
	for j := range covered {
		values[j].SetBigInt(covered[j])
	}
	point, err := h.opts.Commit(i, values)
	clear(values)
	if err != nil {
		return fmt.Errorf("commitment %d: %w", i, err)
	}
	h.commitments[i].Point = point
	to := h.opts.HashToField
	to.Reset()
	if _, err := to.Write(constraint.SerializeCommitment(point.Marshal(), hashed, (fr.Bits-1)/8+1)); err != nil {
		return err
	}
	digest := to.Sum(nil)
	var challenge fr.Element
	challenge.SetBytes(digest[:min(fr.Bytes, len(digest))])
	challenge.BigInt(out[0])
	return nil
}
