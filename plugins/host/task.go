package host

import (
	"context"
	"sync"

	"github.com/consensys/gnark-crypto/ecc/bn254"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr"

	"github.com/gristmill-zk/gristmill/plugins/internal/solution"
	"github.com/gristmill-zk/gristmill/wire"
)

// Task is what a plugin is asked to solve.
type Task struct {
	ID             wire.Hash
	Deployment     wire.Deployment
	Prover         wire.Address // the proof is bound to it
	Body           []byte       // canonical body; the caller checked its hash
	DataCommitment wire.Hash    // what the chain says the proof must be about

	// Commit makes the commitment to the values of the circuit's committed wires
	// under its proving key. It is called at most once, only for a circuit that
	// uses a gnark commitment, and not after Solve has returned. The values are
	// lent; an error of it comes back from Solve, wrapped.
	Commit func(ctx context.Context, values fr.Vector) (bn254.G1Affine, error)

	// Progress is told the stages the plugin reports. Nil is fine.
	Progress func(stage string)
}

// Solution is a checked solution of a circuit: the public wires are the task's
// and A∘B = C holds. It belongs to the caller, who gives it back with Release.
type Solution struct {
	W       fr.Vector // all wires: the constant one, public, secret, internal
	A, B, C fr.Vector // one entry per constraint
	Public  int       // how many of W are public, the constant one included
	Outputs []fr.Element
	SolveMS float64 // time in the plugin's solver

	// Commitment is nil unless the circuit uses one.
	Commitment *Commitment

	vectors *solution.Vectors // W, A, B and C as the circuit gave them out
	spare   *sync.Pool        // where it wants them back
}

// Release overwrites the vectors, which hold what a proof keeps secret, and gives
// their memory back for the circuit's next solution: nothing may use them any
// more. A second call does nothing. Without any, the memory is lost to the
// circuit and its contents stay until something else is put there.
func (s *Solution) Release() {
	v := s.vectors
	if v == nil {
		v = &solution.Vectors{W: s.W, A: s.A, B: s.B, C: s.C}
	}
	v.Clear()
	if s.spare != nil {
		s.spare.Put(v)
	}
	s.W, s.A, s.B, s.C, s.vectors, s.spare = nil, nil, nil, nil, nil, nil
}

// Commitment is the checked gnark commitment of a solution: its point is what
// Task.Commit returned for the values of the wires, and the challenge follows
// from it and from the committed public inputs.
type Commitment struct {
	Wires     []uint32 // committed private wires, ascending; shared, not to be changed
	Challenge uint32   // the wire that holds the challenge
	Point     bn254.G1Affine
}
