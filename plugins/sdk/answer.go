package sdk

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math/big"
	"os"
	"strings"

	"github.com/consensys/gnark-crypto/ecc/bn254"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr/pedersen"
	cs "github.com/consensys/gnark/constraint/bn254"
	"github.com/consensys/gnark/constraint/solver"

	"github.com/gristmill-zk/gristmill/internal/bsb22"
)

// answer writes the known answer of a circuit that uses a commitment. Unlike
// others it follows from the circuit's keys, so it is asked for after these were
// made, with the one that commits: a Pedersen key as gnark's WriteRawTo writes it.
func answer(p *Project, circuitFile, keyFile, dir string) error {
	if circuitFile == "" || keyFile == "" || dir == "" {
		return errors.New("answer: --circuit, --commitment-key and --out must be given")
	}
	system := new(cs.R1CS)
	if err := readFile(circuitFile, system); err != nil {
		return err
	}
	var key pedersen.ProvingKey
	if err := readFile(keyFile, &key); err != nil {
		return err
	}
	known, err := knownAnswer(p, system, func(values fr.Vector) (bn254.G1Affine, error) { return key.Commit(values) })
	if err != nil {
		return err
	}
	return writeFile(dir, ExportKnownAnswer, &known)
}

func readFile(name string, into io.ReaderFrom) error {
	f, err := os.Open(name)
	if err != nil {
		return fmt.Errorf("answer: %w", err)
	}
	defer f.Close()
	if _, err := into.ReadFrom(bufio.NewReaderSize(f, 1<<20)); err != nil {
		return fmt.Errorf("answer: %s: %w", name, err)
	}
	return nil
}

// knownAnswer are all wires of the project's sample task. They are the same on
// every machine and say nothing about any real device.
func knownAnswer(p *Project, system *cs.R1CS, commit bsb22.Commit) (fr.Vector, error) {
	commitment, err := bsb22.Of(system)
	if err != nil {
		return nil, fmt.Errorf("known answer: %w", err)
	}
	j, err := sampleJob(p)
	if err != nil {
		return nil, fmt.Errorf("known answer: %w", err)
	}
	assignment, err := p.assign(j)
	if err != nil {
		return nil, fmt.Errorf("known answer: %w", err)
	}
	solved, err := solve(system, assignment, commitment, commit, unmasked()...)
	if err != nil {
		return nil, fmt.Errorf("known answer: the sample messages: %w", err)
	}
	return solved.W, nil
}

// unmasked takes the randomness out of gnark's commitments, which it adds to
// hide what is committed to: a sample is public, and two builds must agree.
func unmasked() []solver.Option {
	var opts []solver.Option
	for _, hint := range solver.GetRegisteredHints() {
		if strings.HasSuffix(solver.GetHintName(hint), "/internal/hints.Randomize") {
			opts = append(opts, solver.OverrideHint(solver.GetHintID(hint), func(_ *big.Int, _, out []*big.Int) error {
				for i := range out {
					out[i].SetUint64(uint64(i) + 1)
				}
				return nil
			}))
		}
	}
	return opts
}
