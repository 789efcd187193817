package sdk

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	cs "github.com/consensys/gnark/constraint/bn254"
	"github.com/consensys/gnark/debug"

	"github.com/gristmill-zk/gristmill/wire"
)

// Files that export writes.
const (
	ExportCircuit     = "circuit.r1cs"
	ExportDescription = "description.json"
	ExportKnownAnswer = "known-answer.wires"
)

// export writes what a bundle is built from.
func export(p *Project, dir string) error {
	if dir == "" {
		return errors.New("export: --out names no directory")
	}
	system, description, err := Compile(p)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("export: %w", err)
	}
	if err := writeFile(dir, ExportCircuit, withoutSource(system)); err != nil {
		return err
	}
	// With a commitment it follows from keys that there are none of yet: see answer.
	if description.Commitments == 0 {
		known, err := knownAnswer(p, system, nil)
		if err != nil {
			return err
		}
		if err := writeFile(dir, ExportKnownAnswer, &known); err != nil {
			return err
		}
	}
	text, err := json.MarshalIndent(description, "", "  ")
	if err != nil {
		return fmt.Errorf("export: %w", err)
	}
	if err := os.WriteFile(filepath.Join(dir, ExportDescription), append(text, '\n'), 0o644); err != nil {
		return fmt.Errorf("export: %w", err)
	}
	return nil
}

// withoutSource is a circuit without what gnark noted of its source: files, lines
// and what Println was given. Keys are for a circuit's bytes, which must not
// change when a line above Define does.
func withoutSource(system *cs.R1CS) *cs.R1CS {
	bare := *system
	bare.Logs, bare.DebugInfo = nil, nil
	bare.MDebug, bare.SymbolTable = map[int]int{}, debug.NewSymbolTable()
	return &bare
}

func writeFile(dir, name string, content io.WriterTo) error {
	f, err := os.Create(filepath.Join(dir, name))
	if err != nil {
		return fmt.Errorf("export: %w", err)
	}
	_, err = content.WriteTo(f)
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("export %s: %w", name, err)
	}
	return nil
}

// sampleJob is a full batch of the project's sample payloads, signed by keys
// made for nothing else.
func sampleJob(p *Project) (*job, error) {
	j := &job{
		deployment: wire.Deployment{ChainID: 1, Registry: wire.Address{0: 0x5a, 19: 0x5a}},
		body:       wire.Body{Project: 1, Version: 1},
	}
	for i := range p.BatchSize {
		seed := wire.SHA256([]byte("gristmill sample device"), []byte{byte(i >> 8), byte(i)})
		signer, err := wire.NewSigner(p.deviceScheme(), seed[:])
		if err != nil {
			return nil, err
		}
		m := wire.Message{Project: 1, Nonce: 1, Time: 1_700_000_000_000, Payload: p.Sample(i)}
		if err := signer.Sign(j.deployment, uint32(p.PayloadLimit), &m); err != nil {
			return nil, fmt.Errorf("sample message %d: %w", i, err)
		}
		j.body.Messages = append(j.body.Messages, m)
	}
	var err error
	j.commitment, err = j.body.Commitment(j.deployment, uint32(p.BatchSize), uint32(p.PayloadLimit))
	j.binding = wire.Binding(j.deployment, wire.Hash{31: 1}, wire.Address{19: 1})
	return j, err
}
