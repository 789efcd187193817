package enginetest

import (
	"bufio"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/consensys/gnark-crypto/ecc"
	"github.com/consensys/gnark/backend/groth16"
	"github.com/consensys/gnark/frontend"
	"github.com/consensys/gnark/frontend/cs/r1cs"

	"github.com/gristmill-zk/gristmill/gpu"
)

// Sized makes a circuit that fills a domain of 2^log constraints: "dense" has
// wires as large as the field, "bits" has mostly wires of 0 or 1.
func Sized(kind string, log int) (*Fixture, error) {
	circuit, assignment, err := sized(kind, log)
	if err != nil {
		return nil, err
	}
	return NewFixture(circuit, assignment)
}

func sized(kind string, log int) (circuit, assignment frontend.Circuit, err error) {
	n := 1 << log
	switch kind {
	case "dense":
		c := &chain{N: n - 2}
		return c, c.assign(3, ecc.BN254.ScalarField()), nil
	case "bits":
		c := &bits{Words: make([]frontend.Variable, n/(wordBits+4))}
		return c, c.assign(0x0a5f3c99b71e2d4), nil
	}
	return nil, nil, fmt.Errorf("no circuit of kind %q", kind)
}

// FileKey writes a key for a circuit of 2^log constraints into a folder. It has
// the shape of a real one and points of its curves, but proves nothing: making
// it takes seconds, where a real one takes minutes.
func FileKey(folder, kind string, log int) (gpu.Key, error) {
	circuit, _, err := sized(kind, log)
	if err != nil {
		return gpu.Key{}, err
	}
	ccs, err := frontend.Compile(ecc.BN254.ScalarField(), r1cs.NewBuilder, circuit)
	if err != nil {
		return gpu.Key{}, fmt.Errorf("compile: %w", err)
	}
	pk, err := groth16.DummySetup(ccs)
	if err != nil {
		return gpu.Key{}, fmt.Errorf("set up: %w", err)
	}
	path := filepath.Join(folder, fmt.Sprintf("%s-%d.dump", kind, log))
	file, err := os.Create(path)
	if err != nil {
		return gpu.Key{}, err
	}
	digest := sha256.New()
	to := bufio.NewWriterSize(io.MultiWriter(file, digest), 1<<20)
	if err := errors.Join(pk.WriteDump(to), to.Flush(), file.Close()); err != nil {
		return gpu.Key{}, fmt.Errorf("dump: %w", err)
	}
	return gpu.FileKey(gpu.KeyID(digest.Sum(nil)), path)
}
