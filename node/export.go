package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"

	"github.com/consensys/gnark-crypto/ecc/bn254"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	groth16bn254 "github.com/consensys/gnark/backend/groth16/bn254"

	"github.com/gristmill-zk/gristmill/chain/bindings"
	"github.com/gristmill-zk/gristmill/internal/groth16vk"
	"github.com/gristmill-zk/gristmill/wire"
)

// ProofFormat is a way to write a proof for other people's tools.
type ProofFormat string

// The formats of `proof export`.
const (
	FormatSnarkJS  ProofFormat = "snarkjs"
	FormatSolidity ProofFormat = "solidity"
	FormatJSON     ProofFormat = "json"
)

// settledProof is a settlement with all that is needed to check it.
type settledProof struct {
	task   TaskView
	vkID   wire.Hash
	bundle wire.Hash
	key    *groth16bn254.VerifyingKey
	inputs []fr.Element
}

// ExportProof writes a settled task's proof to a folder and returns the files.
// A proof that does not verify is not written.
func (s *Session) ExportProof(ctx context.Context, task string, format ProofFormat, out string) ([]string, error) {
	p, err := s.settledProof(ctx, task)
	if err != nil {
		return nil, err
	}
	var files map[string]any
	switch format {
	case FormatSnarkJS:
		files, err = p.snarkJS()
	case FormatSolidity:
		files = p.solidity()
	case FormatJSON:
		files = map[string]any{"proof.json": s.envelope(ctx, p)}
	default:
		return nil, fmt.Errorf("--format %q: want snarkjs, solidity or json", format)
	}
	if err != nil {
		return nil, err
	}
	return writeExport(out, files)
}

func writeExport(out string, files map[string]any) ([]string, error) {
	if err := os.MkdirAll(out, 0o755); err != nil {
		return nil, fmt.Errorf("export: %w", err)
	}
	var paths []string
	for _, name := range sortedNames(files) {
		data, isText := files[name].([]byte)
		if !isText {
			var err error
			if data, err = json.MarshalIndent(files[name], "", "  "); err != nil {
				return nil, fmt.Errorf("export %s: %w", name, err)
			}
		}
		path := filepath.Join(out, name)
		if err := os.WriteFile(path, append(data, '\n'), 0o644); err != nil {
			return nil, fmt.Errorf("export: %w", err)
		}
		paths = append(paths, path)
	}
	return paths, nil
}

func (s *Session) settledProof(ctx context.Context, id string) (settledProof, error) {
	t, err := s.Task(ctx, id)
	if err != nil {
		return settledProof{}, err
	}
	if t.Status != "settled" {
		return settledProof{}, fmt.Errorf("task %s is %s: only a settled task has its proof on chain", t.ID, t.Status)
	}
	version, err := s.deployment.Version(ctx, t.Project, t.Version)
	if err != nil {
		return settledProof{}, err
	}
	raw, err := s.deployment.VerifyingKey(ctx, version.VkId)
	if err != nil {
		return settledProof{}, err
	}
	p := settledProof{task: t, vkID: version.VkId, bundle: version.BundleDigest}
	if p.key, err = groth16vk.ParseVK(raw); err != nil {
		return p, fmt.Errorf("verifying key %s: %w", p.vkID, err)
	}
	if p.inputs, err = wire.PublicInputs(s.deployment.Wire(), t.ID, t.Prover, t.DataCommitment, t.Outputs); err != nil {
		return p, err
	}
	if err := groth16vk.Verify(p.key, t.Proof, p.inputs); err != nil {
		return p, fmt.Errorf("the proof of task %s does not verify: %w", t.ID, err)
	}
	return p, nil
}

// envelope is the prover's own record of the proof when it can be asked, which
// knows engine and timings, else one made from what the chain says.
func (s *Session) envelope(ctx context.Context, p settledProof) *wire.ProofEnvelope {
	var own wire.ProofEnvelope
	if url := s.SchedulerURL(); url != "" {
		err := getJSON(ctx, url+"/v1/proofs/"+p.task.ID.String(), &own)
		if err == nil && own.Proof == p.task.Proof {
			return &own
		}
	}
	return &wire.ProofEnvelope{
		TaskID: p.task.ID, Prover: p.task.Prover, Curve: wire.CurveBN254, Proof: p.task.Proof,
		Outputs: p.task.Outputs, BundleDigest: p.bundle, VKID: p.vkID, Engine: "unknown",
	}
}

// snarkJS is the form of snarkjs' groth16: coordinates as decimal strings,
// projective, an Fp2 element as [real, imaginary].
func (p settledProof) snarkJS() (map[string]any, error) {
	if p.task.Proof.Committed() {
		return nil, errors.New("--format snarkjs: the circuit uses a gnark commitment, which snarkjs' proofs and keys have no place for: take solidity or json")
	}
	points, err := p.task.Proof.Points()
	if err != nil {
		return nil, err
	}
	inputs := make([]string, len(p.inputs))
	for i := range p.inputs {
		inputs[i] = p.inputs[i].String()
	}
	ic := make([][3]string, len(p.key.G1.K))
	for i := range p.key.G1.K {
		ic[i] = snarkG1(&p.key.G1.K[i])
	}
	return map[string]any{
		"proof.json": map[string]any{
			"pi_a": snarkG1(&points.A), "pi_b": snarkG2(&points.B), "pi_c": snarkG1(&points.C),
			"protocol": "groth16", "curve": "bn128",
		},
		"public.json": inputs,
		"verification_key.json": map[string]any{
			"protocol": "groth16", "curve": "bn128", "nPublic": len(p.inputs),
			"vk_alpha_1": snarkG1(&p.key.G1.Alpha), "vk_beta_2": snarkG2(&p.key.G2.Beta),
			"vk_gamma_2": snarkG2(&p.key.G2.Gamma), "vk_delta_2": snarkG2(&p.key.G2.Delta),
			"IC": ic,
		},
	}, nil
}

func snarkG1(p *bn254.G1Affine) [3]string {
	if p.IsInfinity() {
		return [3]string{"0", "1", "0"}
	}
	return [3]string{p.X.String(), p.Y.String(), "1"}
}

func snarkG2(p *bn254.G2Affine) [3][2]string {
	return [3][2]string{
		{p.X.A0.String(), p.X.A1.String()},
		{p.Y.A0.String(), p.Y.A1.String()},
		{"1", "0"},
	}
}

// solidity is calldata for Groth16Verifier.verify and its arguments by name.
func (p settledProof) solidity() map[string]any {
	inputs := make([]*big.Int, len(p.inputs))
	texts := make([]string, len(p.inputs))
	for i := range p.inputs {
		inputs[i] = p.inputs[i].BigInt(new(big.Int))
		texts[i] = inputs[i].String()
	}
	words := p.task.Proof.Words()
	proof := make([]string, len(words))
	for i, w := range words {
		proof[i] = w.String()
	}
	calldata := bindings.NewGroth16Verifier().PackVerify(p.vkID, words, inputs)
	return map[string]any{
		"calldata.txt": fmt.Appendf(nil, "0x%x", calldata),
		"arguments.json": map[string]any{
			"function": "verify(bytes32,uint256[],uint256[])", "vkId": p.vkID, "proof": proof, "inputs": texts,
		},
	}
}
