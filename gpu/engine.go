package gpu

import (
	"context"
	"time"

	"github.com/consensys/gnark-crypto/ecc/bn254"
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
}

// Proof is a Groth16 proof over BN254.
type Proof struct {
	Ar, Krs bn254.G1Affine
	Bs      bn254.G2Affine
}
