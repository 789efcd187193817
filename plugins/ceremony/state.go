package ceremony

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/consensys/gnark-crypto/ecc"
	curve "github.com/consensys/gnark-crypto/ecc/bn254"
	"github.com/consensys/gnark/backend/groth16/bn254/mpcsetup"
	"github.com/consensys/gnark/constraint"
	cs "github.com/consensys/gnark/constraint/bn254"

	"github.com/gristmill-zk/gristmill/wire"
)

// Sizes in gnark's encoding of contributions.
const (
	g1Size        = curve.SizeOfG1AffineCompressed
	g2Size        = curve.SizeOfG2AffineCompressed
	proofSize     = g1Size + g2Size
	challengeSize = 1 + sha256.Size
)

// phase1Size is how long a contribution of phase 1 is: proofs for τ, α and β,
// the domain's size, β on G2, and the powers.
func phase1Size(domain uint64) int64 {
	n := int64(domain)
	return 3*proofSize + 8 + g2Size + (2*n-2)*g1Size + (n-1)*g2Size + 2*n*g1Size + challengeSize
}

// checkPhase1Shape refuses a file that gnark would allocate wrongly by.
func checkPhase1Shape(domain uint64) func(io.ReaderAt, int64) error {
	return func(at io.ReaderAt, size int64) error {
		var raw [8]byte
		if _, err := at.ReadAt(raw[:], 3*proofSize); err != nil {
			return errors.New("it ends in its header")
		}
		if n := binary.BigEndian.Uint64(raw[:]); n != domain || size != phase1Size(domain) {
			return fmt.Errorf("it has %d bytes for a domain of %d, must have %d for %d", size, n, phase1Size(domain), domain)
		}
		return nil
	}
}

// checkPhase2Shape does the same for phase 2, whose length in points depends on
// the circuit. The start has no challenge.
func checkPhase2Shape(at io.ReaderAt, size int64) error {
	var raw [4]byte
	if _, err := at.ReadAt(raw[:2], 0); err != nil {
		return errors.New("it ends in its header")
	}
	commitments := int64(binary.BigEndian.Uint16(raw[:2]))
	offset := int64(2 + g1Size)
	slice := func() error {
		if _, err := at.ReadAt(raw[:], offset); err != nil {
			return fmt.Errorf("it ends before byte %d", offset+4)
		}
		offset += 4
		n := int64(binary.BigEndian.Uint32(raw[:]))
		if n > (size-offset)/g1Size {
			return fmt.Errorf("it announces %d points in %d bytes", n, size-offset)
		}
		offset += n * g1Size
		return nil
	}
	if err := errors.Join(slice(), slice()); err != nil { // private wires, and Z
		return err
	}
	offset += g2Size
	for range commitments {
		if err := slice(); err != nil {
			return err
		}
	}
	offset += commitments*(g2Size+proofSize) + proofSize
	if rest := size - offset; rest != 1 && rest != challengeSize {
		return fmt.Errorf("it has %d bytes where a challenge of %d belongs", rest, challengeSize)
	}
	return nil
}

// state is a contribution of either phase.
type state interface {
	io.ReaderFrom
	io.WriterTo
}

// load reads a state into which, and makes sure that it is written the one way
// that gnark writes it: its SHA-256 is the challenge of the next.
func load(dir, name string, want wire.Hash, shape func(io.ReaderAt, int64) error, into state) error {
	err := checked(dir, name, want, shape, func(r io.Reader) error {
		_, err := into.ReadFrom(r)
		return err
	})
	if err != nil {
		return err
	}
	if digest(into) != want {
		return fmt.Errorf("%s is malformed: it is not written as it should be", name)
	}
	return nil
}

func digest(s io.WriterTo) wire.Hash {
	hash := sha256.New()
	_, _ = s.WriteTo(hash) // a hash never fails
	return wire.Hash(hash.Sum(nil))
}

func loadPhase1(dir string, domain uint64, c *Contribution) (*mpcsetup.Phase1, error) {
	p := new(mpcsetup.Phase1)
	if err := load(dir, contributionFile(1, c.Number), c.SHA256, checkPhase1Shape(domain), p); err != nil {
		return nil, err
	}
	if len(p.Challenge) != sha256.Size {
		return nil, errors.New("it does not say which state it follows")
	}
	return p, nil
}

func loadPhase2(dir string, c *Contribution) (*mpcsetup.Phase2, error) {
	p := new(mpcsetup.Phase2)
	if err := load(dir, contributionFile(2, c.Number), c.SHA256, checkPhase2Shape, p); err != nil {
		return nil, err
	}
	if len(p.Challenge) != sha256.Size {
		return nil, errors.New("it does not say which state it follows")
	}
	return p, nil
}

func loadStart(dir string, want wire.Hash) (*mpcsetup.Phase2, error) {
	p := new(mpcsetup.Phase2)
	return p, load(dir, fileStart, want, checkPhase2Shape, p)
}

// domainOf is the size of the domain of a circuit.
func domainOf(constraints uint64) uint64 {
	return max(ecc.NextPowerOfTwo(constraints), 1<<MinPower)
}

// readCircuit reads a constraint system and describes it.
func readCircuit(r io.Reader, hash wire.Hash) (*cs.R1CS, *Circuit, error) {
	system := new(cs.R1CS)
	if _, err := system.ReadFrom(r); err != nil {
		return nil, nil, err
	}
	commitments, ok := system.CommitmentInfo.(constraint.Groth16Commitments)
	if !ok {
		return nil, nil, errors.New("it is no circuit for Groth16")
	}
	return system, &Circuit{
		SHA256:      hash,
		Constraints: uint64(system.GetNbConstraints()),
		Wires:       uint64(system.GetNbPublicVariables() + system.GetNbSecretVariables() + system.GetNbInternalVariables()),
		Commitments: len(commitments),
	}, nil
}

// loadCircuit reads the ceremony's own copy of its circuit.
func loadCircuit(dir string, want *Circuit) (*cs.R1CS, error) {
	var system *cs.R1CS
	var have *Circuit
	err := checked(dir, fileCircuit, want.SHA256, checkCircuitShape, func(r io.Reader) (err error) {
		system, have, err = readCircuit(r, want.SHA256)
		return err
	})
	if err != nil {
		return nil, err
	}
	if *have != *want {
		return nil, fmt.Errorf("%s has %d constraints, %d wires and %d commitments, the log says %d, %d and %d", fileCircuit,
			have.Constraints, have.Wires, have.Commitments, want.Constraints, want.Wires, want.Commitments)
	}
	return system, nil
}

// checkCircuitShape holds the length that a constraint system begins with
// against the file's.
func checkCircuitShape(at io.ReaderAt, size int64) error {
	const header = 4 * 8
	var length [8]byte
	if _, err := at.ReadAt(length[:], 0); err != nil {
		return errors.New("it ends in its header")
	}
	if n := binary.LittleEndian.Uint64(length[:]); size < header || n != uint64(size-header) {
		return fmt.Errorf("it announces %d bytes after its header, in a file of %d", n, size)
	}
	return nil
}
