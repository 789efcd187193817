package sdk

import (
	"errors"
	"fmt"

	"github.com/consensys/gnark/frontend"

	"github.com/gristmill-zk/gristmill/wire"
)

// MaxBatch bounds the messages of a task.
const MaxBatch = 1024

// ErrTask marks a task refused because of what is in it.
var ErrTask = errors.New("task refused")

// ErrUnsatisfied marks messages that do not satisfy the circuit.
var ErrUnsatisfied = errors.New("circuit not satisfied")

// Circuit is a team's part of the statement: a pointer to a struct whose public
// fields are the outputs, in order, and whose secret fields help the prover.
type Circuit interface {
	// Define states what must hold. Each message is bound to the data
	// commitment; slots that are not used must not influence the outputs.
	Define(api frontend.API, m *Messages) error
}

// Task is what Assign turns into an assignment.
type Task struct {
	Deployment wire.Deployment
	Project    uint64
	BatchSize  int
	Messages   []wire.Message // 1 to BatchSize, signatures checked
}

// Project describes a team's circuit.
type Project struct {
	// Name and Version identify the circuit in its bundle.
	Name, Version string

	// BatchSize is how many messages a task has room for, 1 to MaxBatch. The
	// flag --batch of the plugin binary replaces it.
	BatchSize int

	// PayloadLimit is how many bytes a payload has room for, 1 to 65536. With
	// DeviceScheme p256 every payload has exactly so many.
	PayloadLimit int

	// DeviceScheme is how the project's devices sign: eddsa-bn254, the default,
	// or p256, what secure elements have, at 30 to 40 times the constraints.
	DeviceScheme wire.Scheme

	// UncheckedSignatures leaves the device signatures out of the statement.
	// A proof then says nothing about who sent the data.
	UncheckedSignatures bool

	// New returns the circuit for a batch size, its slices made.
	New func(batch int) Circuit

	// Assign returns the assignment for a task. An error refuses the task; it
	// should name the message that is wrong.
	Assign func(t Task) (Circuit, error)

	// Sample returns the payload of message i of a task that satisfies the
	// circuit. A bundle carries the witness of that task, with which any worker
	// can check that circuit and keys belong together.
	Sample func(i int) []byte
}

func (p *Project) validate() error {
	switch {
	case p.Name == "" || len(p.Name) > 64:
		return fmt.Errorf("project: Name must have 1 to 64 characters, has %d", len(p.Name))
	case p.Version == "" || len(p.Version) > 64:
		return fmt.Errorf("project: Version must have 1 to 64 characters, has %d", len(p.Version))
	case p.BatchSize < 1 || p.BatchSize > MaxBatch:
		return fmt.Errorf("project: BatchSize is %d, must be 1 to %d", p.BatchSize, MaxBatch)
	case p.PayloadLimit < 1 || p.PayloadLimit > wire.MaxPayload:
		return fmt.Errorf("project: PayloadLimit is %d, must be 1 to %d", p.PayloadLimit, wire.MaxPayload)
	case p.deviceScheme() != wire.SchemeEdDSABN254 && p.deviceScheme() != wire.SchemeP256:
		return fmt.Errorf("project: DeviceScheme is %s, a circuit takes %s or %s",
			p.DeviceScheme, wire.SchemeEdDSABN254, wire.SchemeP256)
	case p.New == nil || p.Assign == nil || p.Sample == nil:
		return errors.New("project: New, Assign and Sample must be set")
	}
	return nil
}

func (p *Project) deviceScheme() wire.Scheme {
	if p.DeviceScheme == 0 {
		return wire.SchemeEdDSABN254
	}
	return p.DeviceScheme
}
