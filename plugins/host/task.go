package host

import (
	"github.com/consensys/gnark-crypto/ecc/bn254/fr"

	"github.com/gristmill-zk/gristmill/wire"
)

// Task is what a plugin is asked to solve.
type Task struct {
	ID             wire.Hash
	Deployment     wire.Deployment
	Prover         wire.Address // the proof is bound to it
	Body           []byte       // canonical body; the caller checked its hash
	DataCommitment wire.Hash    // what the chain says the proof must be about

	// Progress is told the stages the plugin reports. Nil is fine.
	Progress func(stage string)
}

// Solution is a checked solution of a circuit: the public wires are the task's
// and A∘B = C holds. It belongs to the caller.
type Solution struct {
	W       fr.Vector // all wires: the constant one, public, secret, internal
	A, B, C fr.Vector // one entry per constraint; capacity is the domain's size
	Public  int       // how many of W are public, the constant one included
	Outputs []fr.Element
	SolveMS float64 // time in the plugin's solver
}
