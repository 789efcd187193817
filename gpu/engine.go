package gpu

import (
	"context"
	"time"

	"github.com/consensys/gnark-crypto/ecc/bn254"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
)

// Engine proves on one device. All methods are safe for concurrent use;
// several proofs may be in flight, and how many make progress at once is the
// engine's own choice ([Info.Parallel]); the others wait.
type Engine interface {
	// Info says what the engine is. It never changes and works after Close.
	Info() Info

	// Load makes a key resident ahead of its first proof. A resident key is
	// left as it is. Other keys may be evicted for it, but none in use: Load
	// waits for those. Fails with ErrBadKey, ErrBudget, ErrUnsupported,
	// ErrDevice, ErrClosed or the cause of ctx.
	Load(ctx context.Context, key Key) error

	// Commit makes the Pedersen commitment to values under the key of the
	// circuit's commitment number index, loading the key first when it is not
	// resident. A solver calls it in mid-solution: the circuit's challenge
	// follows from the point. Fails as Prove does.
	Commit(ctx context.Context, key Key, index int, values fr.Vector) (bn254.G1Affine, error)

	// Prove makes one proof, loading the key first when it is not resident.
	// The request's solution is only read; the engine clears every copy that
	// it makes. When ctx ends Prove stops as soon as it can and returns the
	// cause; when it returns, nothing of it runs any more. Fails as Load does,
	// and with ErrBadSolution.
	Prove(ctx context.Context, req Request) (*Proof, error)

	// Evict frees the memory of a key. Fails with ErrInUse, ErrNotLoaded or
	// ErrClosed.
	Evict(id KeyID) error

	// Stats is a snapshot for people and metrics. It works after Close.
	Stats() Stats

	// Close ends the proofs in flight (they return ErrClosed), waits for them
	// and frees everything. A second Close does nothing.
	Close() error
}

// Info describes an engine and its device.
type Info struct {
	// Name is the kind of engine, as it appears in proof envelopes: "cpu".
	Name string
	// Device is the device's own name, for people.
	Device string
	// ID tells devices apart: a card's UUID, or the engine's name where there
	// is only one. Two engines with one ID share a device.
	ID string
	// Runtime is what runs on the device, for people: "gnark-crypto v0.20.1",
	// "ICICLE 3.2.2, CUDA driver 550.54".
	Runtime string
	// Parallel is how many proofs make progress at once.
	Parallel int
	// Memory is the budget for resident keys in bytes.
	Memory int64
}

// Stats counts what an engine did since it was made.
type Stats struct {
	Proofs   uint64 // proofs returned
	Failures uint64 // Prove calls that failed, cancelled ones excepted
	Canceled uint64 // Prove calls ended by their context or by Close
	InFlight int    // Prove calls that have not returned

	Loads     uint64 // keys read
	Evictions uint64 // keys freed to make room, or by Evict
	Keys      int    // keys resident
	KeyBytes  int64  // memory that they take
	ProveTime time.Duration
}

// Request is the work for one proof.
type Request struct {
	Key      Key
	Solution Solution
	Blinding Blinding
	// Progress, when set, is called as stages of the proof are reached, by any
	// goroutine, so that a watchdog can tell a slow proof from a stuck one. It
	// returns at once.
	Progress func(stage string)
}

// Reached reports a stage of the proof, if anybody listens.
func (r *Request) Reached(stage string) {
	if r.Progress != nil {
		r.Progress(stage)
	}
}

// Proof is a Groth16 proof over BN254.
type Proof struct {
	Ar, Krs bn254.G1Affine
	Bs      bn254.G2Affine
	// Commitments are the solution's points and Knowledge the folded proof that
	// their values are known. Without commitments they are empty.
	Commitments []bn254.G1Affine
	Knowledge   bn254.G1Affine
}
