package node

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/consensys/gnark-crypto/ecc/bn254"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr"

	"github.com/gristmill-zk/gristmill/plugins/bundle"
	"github.com/gristmill-zk/gristmill/plugins/host"
	"github.com/gristmill-zk/gristmill/plugins/sdk"
	"github.com/gristmill-zk/gristmill/plugins/sdk/golden"
	"github.com/gristmill-zk/gristmill/wire"
)

// PluginSource is a circuit plugin under development.
type PluginSource struct {
	Source    string // folder of its main package; files beside it are read too
	Binary    string // or a plugin built before, in any language
	BatchSize int    // 0: the circuit's default
}

func (p *PluginSource) validate() error {
	switch {
	case p.Source == "" && p.Binary == "":
		return errors.New("nothing to run: name the plugin's folder, or a plugin with --binary")
	case p.Source != "" && p.Binary != "":
		return errors.New("a folder and --binary: name one of them")
	case p.Source == "":
		return nil
	}
	info, err := os.Stat(p.Source)
	if err != nil {
		return fmt.Errorf("plugin's folder: %w", err)
	}
	if !info.IsDir() {
		return fmt.Errorf("%s is a file: name the plugin's folder, or a plugin with --binary", p.Source)
	}
	if ours, _ := filepath.Glob(filepath.Join(p.Source, "*.go")); len(ours) == 0 {
		return fmt.Errorf("%s has no Go file: it is not the folder of a plugin's main package (see: gristmill plugin new)", p.Source)
	}
	return nil
}

// file is the path of a file beside the plugin's code; empty when a binary was
// named.
func (p *PluginSource) file(name string) string {
	if p.Source == "" {
		return ""
	}
	return filepath.Join(p.Source, name)
}

// templateFile is where a plugin's folder keeps the payload template that
// `gristmill send --set` fills.
const templateFile = "payload.template"

// goldenCases reads the golden messages beside a plugin; nil when it has none.
func (p *PluginSource) goldenCases() (*golden.Cases, error) {
	path := p.file(golden.FileName)
	if path == "" {
		return nil, nil
	}
	cases, err := golden.Read(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return cases, err
}

// samplePayloads asks a bundle's plugin for a batch that satisfies its circuit.
func samplePayloads(ctx context.Context, b *bundle.Bundle) ([][]byte, error) {
	path, err := b.Path(bundle.PartPlugin)
	if err != nil {
		return nil, err
	}
	size := int(b.Manifest.Circuit.BatchSize)
	cmd := exec.CommandContext(ctx, path, "sample", "--batch", fmt.Sprint(size))
	cmd.Env = []string{}
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("the plugin gives no sample messages: %w: %s", err, shortened(said.Bytes()))
	}
	var s sdk.Sample
	if err := json.Unmarshal(out, &s); err != nil {
		return nil, fmt.Errorf("the plugin's sample messages: %w", err)
	}
	if len(s.Payloads) != size {
		return nil, fmt.Errorf("the plugin gives %d sample messages, a batch has %d", len(s.Payloads), size)
	}
	payloads := make([][]byte, size)
	for i, text := range s.Payloads {
		if payloads[i], err = hex.DecodeString(text); err != nil {
			return nil, fmt.Errorf("the plugin's sample message %d: %w", i, err)
		}
	}
	return payloads, nil
}

// shortened is what a tool printed, cut to what fits into an error.
func shortened(out []byte) string {
	const most = 2000
	out = bytes.TrimSpace(out)
	if len(out) > most {
		return "…" + string(out[len(out)-most:])
	}
	return string(out)
}

// trial makes tasks of a circuit as its deployment would, on no chain.
type trial struct {
	deployment wire.Deployment
	circuit    *bundle.CircuitInfo
	signers    []wire.Signer
	made       byte
	// commit makes commitments for circuits that use one.
	commit func(context.Context, fr.Vector) (bn254.G1Affine, error)
}

func newTrial(c *bundle.CircuitInfo) (*trial, error) {
	scheme, err := wire.ParseScheme(c.DeviceScheme)
	if err != nil {
		return nil, err
	}
	t := &trial{deployment: wire.Deployment{ChainID: 1, Registry: wire.Address{19: 1}}, circuit: c}
	t.signers, err = wire.GenerateSigners(scheme, int(c.BatchSize), rand.Reader)
	return t, err
}

// task signs each payload by a device of its own. spoil may change the body
// before its commitment is made. Nil: nothing is changed.
func (t *trial) task(payloads [][]byte, spoil func(*wire.Body)) (host.Task, error) {
	c := t.circuit
	if len(payloads) > len(t.signers) {
		return host.Task{}, fmt.Errorf("%d messages, the circuit has room for %d", len(payloads), len(t.signers))
	}
	body := wire.Body{Project: 1, Version: 1}
	for i, payload := range payloads {
		m := wire.Message{Project: 1, Nonce: uint64(i) + 1, Time: 1_700_000_000_000, Payload: payload}
		if err := t.signers[i].Sign(t.deployment, c.PayloadLimit, &m); err != nil {
			return host.Task{}, fmt.Errorf("message %d: %w", i, err)
		}
		body.Messages = append(body.Messages, m)
	}
	if spoil != nil {
		spoil(&body)
	}
	raw, err := body.MarshalBinary()
	if err != nil {
		return host.Task{}, err
	}
	commitment, err := body.Commitment(t.deployment, c.BatchSize, c.PayloadLimit)
	if err != nil {
		return host.Task{}, err
	}
	t.made++
	return host.Task{
		ID: wire.SHA256([]byte{t.made}), Deployment: t.deployment, Prover: wire.Address{19: 2},
		Body: raw, DataCommitment: wire.ElementHash(commitment), Commit: t.commit,
	}, nil
}
