package circuits

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/consensys/gnark/backend/groth16"
	"github.com/consensys/gnark/backend/witness"
	cs "github.com/consensys/gnark/constraint/bn254"

	"github.com/gristmill-zk/gristmill/gpu"
)

// ErrUnknown is a kind of circuit that there is not.
var ErrUnknown = errors.New("no such circuit")

// ErrSize is a size at which a circuit can not be made.
var ErrSize = errors.New("circuit size out of range")

// Sizes that can be asked for, as powers of two.
const (
	MinLog = 4
	MaxLog = 26
)

// Circuit is a compiled circuit with keys and a witness that satisfies it. Its
// methods are safe for concurrent use, Lend excepted.
type Circuit struct {
	Kind string
	// Log is the domain's size as a power of two, Constraints how many of its
	// places are taken.
	Log         int
	Constraints int

	Witness      witness.Witness
	VerifyingKey groth16.VerifyingKey
	// Key is the proving key in a file, as engines take it.
	Key gpu.Key
	// Path is that file, a dump by gnark's WriteDump.
	Path string

	public  witness.Witness
	systems chan *cs.R1CS
	encoded []byte // of the system, for copies
}

// maker compiles a circuit that fills 2^log and assigns it.
type maker func(log int) (*cs.R1CS, witness.Witness, error)

var makers = map[string]maker{"meter": makeMeter, "geofence": makeGeofence, "dense": makeDense, "bits": makeBits}

// Kinds are the circuits there are.
func Kinds() []string { return []string{"meter", "geofence", "dense", "bits"} }

// Check says whether a circuit can be asked for.
func Check(kind string, log int) error {
	if makers[kind] == nil {
		return fmt.Errorf("%w: %q, there are %s", ErrUnknown, kind, strings.Join(Kinds(), ", "))
	}
	if least := leastLog(kind); log < least || log > MaxLog {
		return fmt.Errorf("%w: %s has sizes 2^%d to 2^%d, not 2^%d", ErrSize, kind, least, MaxLog, log)
	}
	return nil
}

func leastLog(kind string) int {
	switch kind {
	case "meter":
		return meterLeastLog
	case "geofence":
		return geofenceLeastLog
	case "bits":
		return bitsLeastLog
	}
	return MinLog
}

// Make compiles a circuit, takes its keys from the folder keys or makes them
// there, and checks that its witness solves it.
func Make(ctx context.Context, kind string, log int, keys string) (*Circuit, error) {
	if err := Check(kind, log); err != nil {
		return nil, err
	}
	system, full, err := makers[kind](log)
	if err != nil {
		return nil, fmt.Errorf("circuit %s at 2^%d: %w", kind, log, err)
	}
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	c := &Circuit{Kind: kind, Log: log, Constraints: system.GetNbConstraints(), Witness: full}
	if err := c.prepare(ctx, system, keys); err != nil {
		return nil, fmt.Errorf("circuit %s at 2^%d: %w", kind, log, err)
	}
	return c, nil
}

func (c *Circuit) prepare(ctx context.Context, system *cs.R1CS, keys string) (err error) {
	var encoded bytes.Buffer
	if _, err := system.WriteTo(&encoded); err != nil {
		return fmt.Errorf("encode: %w", err)
	}
	c.encoded = slices.Clip(encoded.Bytes())
	digest := sha256.Sum256(c.encoded)
	if c.public, err = c.Witness.Public(); err != nil {
		return fmt.Errorf("public witness: %w", err)
	}
	if err := c.setUp(ctx, system, keys, hex.EncodeToString(digest[:8])); err != nil {
		return err
	}
	c.systems = make(chan *cs.R1CS, 1)
	c.systems <- system
	return nil
}

// System lends the constraint system to the caller alone until back is called:
// gnark's solver keeps state in it. A second borrower gets a copy.
func (c *Circuit) System() (system *cs.R1CS, back func(), err error) {
	select {
	case system = <-c.systems:
	default:
		system = new(cs.R1CS)
		if _, err := system.ReadFrom(bytes.NewReader(c.encoded)); err != nil {
			return nil, nil, fmt.Errorf("copy the constraint system: %w", err)
		}
	}
	return system, func() {
		select {
		case c.systems <- system:
		default:
		}
	}, nil
}

// Lend makes sure that n borrowers find a constraint system without waiting for
// a copy. Nobody may have borrowed one yet.
func (c *Circuit) Lend(n int) error {
	if n <= cap(c.systems) {
		return nil
	}
	wider := make(chan *cs.R1CS, n)
	for range n {
		system, _, err := c.System()
		if err != nil {
			return err
		}
		wider <- system
	}
	c.systems = wider
	return nil
}

// Verify checks a proof of the witness with gnark.
func (c *Circuit) Verify(proof groth16.Proof) error {
	return groth16.Verify(proof, c.VerifyingKey, c.public)
}
