// Package bsb22 is the one gnark commitment that a circuit may use: which wires
// it covers, and the challenge that follows from it.
//
// A circuit that asks for randomness of its own (gnark's range checks, lookups
// and emulated arithmetic do) commits to some of its wires, and a challenge
// drawn from the commitment and the committed public inputs is fed back as
// another wire. Prover, host and verifier must draw the same one: it is
//
//	keccak256(point.x ‖ point.y ‖ committed public inputs…) mod r
//
// with 32 bytes big-endian each, what gnark calls its Solidity target and what
// the chain can repeat. gnark's std folds all that a circuit commits to into
// one commitment, so more than one is refused everywhere.
package bsb22

import (
	"fmt"
	"math/big"

	"github.com/consensys/gnark-crypto/ecc/bn254"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/consensys/gnark/constraint"
	cs "github.com/consensys/gnark/constraint/bn254"
	"github.com/consensys/gnark/constraint/solver"
	fcs "github.com/consensys/gnark/frontend/cs"
	"golang.org/x/crypto/sha3"
)

// Most is how many commitments a circuit may use.
const Most = 1

// Commitment says which wires of a circuit are committed to.
type Commitment struct {
	Public    []uint32 // committed public wires, ascending; the constant one is never among them
	Wires     []uint32 // committed private wires, ascending, in the order of the key's basis
	Challenge uint32   // the private wire that holds the challenge
}

// Of is the commitment of a circuit, nil if it uses none. A circuit with more,
// or one whose lists do not fit its wires, is refused.
func Of(system *cs.R1CS) (*Commitment, error) {
	infos, ok := system.CommitmentInfo.(constraint.Groth16Commitments)
	if !ok || len(infos) == 0 {
		return nil, nil
	}
	if len(infos) > Most {
		return nil, fmt.Errorf("the circuit uses %d gnark commitments, at most %d can be settled", len(infos), Most)
	}
	info := &infos[0]
	public := system.GetNbPublicVariables()
	wires := public + system.GetNbSecretVariables() + system.GetNbInternalVariables()
	switch {
	case info.NbPublicCommitted != len(info.PublicAndCommitmentCommitted) || !ascending(info.PublicAndCommitmentCommitted, 1, public):
		return nil, fmt.Errorf("the circuit's commitment names public wires that it does not have")
	case len(info.PrivateCommitted) == 0 || !ascending(info.PrivateCommitted, public, wires):
		return nil, fmt.Errorf("the circuit's commitment names private wires that it does not have")
	case info.CommitmentIndex <= info.PrivateCommitted[len(info.PrivateCommitted)-1] || info.CommitmentIndex >= wires:
		return nil, fmt.Errorf("the circuit's commitment has its challenge on a wire that it can not be on")
	}
	return &Commitment{
		Public: narrow(info.PublicAndCommitmentCommitted), Wires: narrow(info.PrivateCommitted), Challenge: uint32(info.CommitmentIndex),
	}, nil
}

func narrow(list []int) []uint32 {
	out := make([]uint32, len(list))
	for i, v := range list {
		out[i] = uint32(v)
	}
	return out
}

// ascending says whether a list has each number once, in order, from low to below high.
func ascending(list []int, low, high int) bool {
	for _, i := range list {
		if i < low || i >= high {
			return false
		}
		low = i + 1
	}
	return true
}

// Covered are the values that a commitment commits to, copied from all wires.
func (c *Commitment) Covered(wires fr.Vector) fr.Vector { return pick(wires, c.Wires) }

// Holds says whether the challenge among all wires is the one that follows
// from the point.
func (c *Commitment) Holds(wires fr.Vector, point *bn254.G1Affine) bool {
	challenge := Challenge(point, pick(wires, c.Public))
	return challenge.Equal(&wires[c.Challenge])
}

func pick(wires fr.Vector, at []uint32) fr.Vector {
	values := make(fr.Vector, len(at))
	for i, wire := range at {
		values[i] = wires[wire]
	}
	return values
}

// Challenge is what a commitment and the committed public inputs are hashed to.
func Challenge(point *bn254.G1Affine, public fr.Vector) (challenge fr.Element) {
	h := sha3.NewLegacyKeccak256()
	h.Write(point.Marshal())
	for i := range public {
		word := public[i].Bytes()
		h.Write(word[:])
	}
	challenge.SetBytes(h.Sum(nil))
	return challenge
}

// Commit makes the commitment to the values of a circuit's committed private
// wires, in their order.
type Commit func(values fr.Vector) (bn254.G1Affine, error)

// Hint has gnark's solver commit. It is for one run of the solver.
func Hint(c *Commitment, commit Commit) solver.Option {
	id := solver.GetHintID(fcs.Bsb22CommitmentComputePlaceholder)
	return solver.OverrideHint(id, func(_ *big.Int, in, out []*big.Int) error {
		if c == nil || len(in) != 1+len(c.Public)+len(c.Wires) || in[0].Sign() != 0 {
			return fmt.Errorf("the solver asks for a commitment that the circuit does not declare")
		}
		public, values := elements(in[1:1+len(c.Public)]), elements(in[1+len(c.Public):])
		defer clear(values)
		point, err := commit(values)
		if err != nil {
			return fmt.Errorf("commitment: %w", err)
		}
		challenge := Challenge(&point, public)
		challenge.BigInt(out[0])
		return nil
	})
}

func elements(in []*big.Int) fr.Vector {
	out := make(fr.Vector, len(in))
	for i := range in {
		out[i].SetBigInt(in[i])
	}
	return out
}
