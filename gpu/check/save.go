package check

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/consensys/gnark-crypto/ecc"
	"github.com/consensys/gnark/backend/groth16"
	"github.com/consensys/gnark/backend/witness"
	"github.com/consensys/gnark/constraint"
)

// Saved is a case as gnark has it, for a peer that proves in another process.
type Saved struct {
	Circuit constraint.ConstraintSystem
	PK      groth16.ProvingKey
	VK      groth16.VerifyingKey
	Witness witness.Witness
}

// Files of a saved case.
const (
	circuitFile = "circuit"
	pkFile      = "proving-key"
	vkFile      = "verifying-key"
	witnessFile = "witness"
)

// Save writes what a peer needs into dir.
func (c *Case) Save(dir string) error {
	for name, write := range map[string]func(io.Writer) error{
		circuitFile: func(w io.Writer) error { _, err := c.saved.Circuit.WriteTo(w); return err },
		pkFile:      func(w io.Writer) error { return c.saved.PK.WriteDump(w) },
		vkFile:      func(w io.Writer) error { _, err := c.VK.WriteTo(w); return err },
		witnessFile: func(w io.Writer) error { _, err := c.saved.Witness.WriteTo(w); return err },
	} {
		if err := writeFile(filepath.Join(dir, name), write); err != nil {
			return fmt.Errorf("save the %s: %w", name, err)
		}
	}
	return nil
}

func writeFile(path string, write func(io.Writer) error) (err error) {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	buffered := bufio.NewWriterSize(file, 1<<20)
	if err := write(buffered); err != nil {
		return err
	}
	return buffered.Flush()
}

// Read reads a saved case. The proving key is read into pk, of whatever type
// the peer needs.
func Read(dir string, pk groth16.ProvingKey) (*Saved, error) {
	s := &Saved{Circuit: groth16.NewCS(ecc.BN254), PK: pk, VK: groth16.NewVerifyingKey(ecc.BN254)}
	var err error
	if s.Witness, err = witness.New(ecc.BN254.ScalarField()); err != nil {
		return nil, err
	}
	for name, read := range map[string]func(io.Reader) error{
		circuitFile: func(r io.Reader) error { _, err := s.Circuit.ReadFrom(r); return err },
		pkFile:      func(r io.Reader) error { return s.PK.ReadDump(r) },
		vkFile:      func(r io.Reader) error { _, err := s.VK.ReadFrom(r); return err },
		witnessFile: func(r io.Reader) error { _, err := s.Witness.ReadFrom(r); return err },
	} {
		file, err := os.Open(filepath.Join(dir, name))
		if err != nil {
			return nil, err
		}
		if err := errors.Join(read(bufio.NewReaderSize(file, 1<<20)), file.Close()); err != nil {
			return nil, fmt.Errorf("read the %s: %w", name, err)
		}
	}
	return s, nil
}
