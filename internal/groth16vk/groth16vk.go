// Package groth16vk converts between gnark's Groth16 verifying keys on BN254
// and the bytes that gristmill registers on chain, and verifies proofs
// natively with a key in that form.
//
// The bytes are "GVK1" ‖ number of public inputs u16 ‖ commitments u8 ‖
// alpha G1 ‖ beta, gamma, delta G2 ‖ K[0..n] G1, points uncompressed in EVM
// order; their keccak256 is the key's identity, pinned by a project version.
// The key of a circuit with a commitment has one more K, of its challenge, then
// G, GSigmaNeg G2 ‖ number of committed public inputs u16 ‖ their indices u16
// each, ascending from 1.
//
// What is refused here is what the contract refuses at registration, no more
// and no less: points off the curve, out of the subgroup or at infinity (but
// for K[0]), delta equal to gamma or its negative, GSigmaNeg equal to G or its
// negative, other than 2 to 302 public inputs, more than one commitment,
// indices that are no public inputs or out of order, trailing bytes. Refused bytes are a *wire.Reject; a
// well-formed proof that proves nothing is [ErrInvalid].
package groth16vk

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	curve "github.com/consensys/gnark-crypto/ecc/bn254"
	"github.com/consensys/gnark-crypto/ecc/bn254/fp"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr/pedersen"
	"github.com/consensys/gnark/backend"
	"github.com/consensys/gnark/backend/groth16"
	groth16bn254 "github.com/consensys/gnark/backend/groth16/bn254"
	"github.com/consensys/gnark/backend/solidity"

	"github.com/gristmill-zk/gristmill/internal/bsb22"
	"github.com/gristmill-zk/gristmill/wire"
)

const (
	magic      = "GVK1"
	headerSize = len(magic) + 3
	g1Size     = 2 * fp.Bytes
	g2Size     = 4 * fp.Bytes
	// MinInputs is how many public inputs a key has at least: binding and data
	// commitment. MaxInputs adds 300 outputs.
	MinInputs = 2
	MaxInputs = MinInputs + wire.MaxOutputs
)

// ID is the identity of a key: keccak256 of its bytes.
func ID(key []byte) wire.Hash { return wire.Keccak256(key) }

// EncodeVK writes a gnark key as registration bytes. A key that could not be
// registered is refused.
func EncodeVK(key groth16.VerifyingKey) ([]byte, error) {
	vk, ok := key.(*groth16bn254.VerifyingKey)
	if !ok {
		return nil, fmt.Errorf("verifying key: curve is %s, want bn254", key.CurveID())
	}
	commitments := len(vk.CommitmentKeys)
	if commitments > bsb22.Most || len(vk.PublicAndCommitmentCommitted) != commitments {
		return nil, fmt.Errorf("verifying key: circuit uses %d commitments, the on-chain verifier takes %d at most", commitments, bsb22.Most)
	}
	inputs := Inputs(vk)
	if inputs < MinInputs || inputs > MaxInputs {
		return nil, fmt.Errorf("verifying key: %w", badInputs(inputs))
	}
	out := append([]byte(nil), magic...)
	out = binary.BigEndian.AppendUint16(out, uint16(inputs))
	out = append(out, byte(commitments))
	out = appendG1(out, &vk.G1.Alpha)
	out = appendG2(out, &vk.G2.Beta, &vk.G2.Gamma, &vk.G2.Delta)
	for i := range vk.G1.K {
		out = appendG1(out, &vk.G1.K[i])
	}
	for i := range vk.CommitmentKeys {
		out = appendG2(out, &vk.CommitmentKeys[i].G, &vk.CommitmentKeys[i].GSigmaNeg)
		committed := vk.PublicAndCommitmentCommitted[i]
		out = binary.BigEndian.AppendUint16(out, uint16(len(committed)))
		for _, index := range committed {
			if index < 1 || index > inputs {
				return nil, fmt.Errorf("verifying key: %w", badCommitted(index, inputs))
			}
			out = binary.BigEndian.AppendUint16(out, uint16(index))
		}
	}
	if _, err := ParseVK(out); err != nil {
		return nil, fmt.Errorf("verifying key: %w", err)
	}
	return out, nil
}

func badInputs(n int) error {
	return refuse(wire.RejectBadCount, "inputs", "%d public inputs, want %d to %d", n, MinInputs, MaxInputs)
}

func badCommitted(index, inputs int) error {
	return refuse(wire.RejectMalformed, "committed", "input %d is hashed: not one of 1 to %d, or out of order", index, inputs)
}

func appendG2(out []byte, points ...*curve.G2Affine) []byte {
	for _, p := range points {
		raw := p.RawBytes()
		out = append(out, raw[:]...)
	}
	return out
}

func appendG1(out []byte, p *curve.G1Affine) []byte {
	raw := p.RawBytes()
	return append(out, raw[:]...)
}

// ParseVK reads registration bytes.
func ParseVK(key []byte) (*groth16bn254.VerifyingKey, error) {
	if len(key) < headerSize || string(key[:len(magic)]) != magic {
		return nil, refuse(wire.RejectMalformed, "", "does not start with %s", magic)
	}
	inputs := int(binary.BigEndian.Uint16(key[len(magic):]))
	if inputs < MinInputs || inputs > MaxInputs {
		return nil, badInputs(inputs)
	}
	commitments := int(key[len(magic)+2])
	if commitments > bsb22.Most {
		return nil, refuse(wire.RejectMalformed, "commitments", "%d commitments, at most %d", commitments, bsb22.Most)
	}
	// Up to the last K, and what a commitment adds.
	points := headerSize + (inputs+2+commitments)*g1Size + 3*g2Size
	want := points
	if commitments > 0 {
		want += 2*g2Size + 2
		if len(key) >= want {
			want += 2 * int(binary.BigEndian.Uint16(key[want-2:]))
		}
	}
	if len(key) != want {
		code := wire.RejectTruncated
		if len(key) > want {
			code = wire.RejectTrailing
		}
		return nil, refuse(code, "", "%d bytes, want %d", len(key), want)
	}
	vk, err := parsePoints(key[headerSize:points], inputs+commitments)
	if err != nil {
		return nil, err
	}
	if commitments > 0 {
		if err := parseCommitment(vk, key[points:], inputs); err != nil {
			return nil, err
		}
	}
	if err := vk.Precompute(); err != nil {
		return nil, fmt.Errorf("verifying key: %w", err)
	}
	return vk, nil
}

// parseCommitment reads what follows the last K.
func parseCommitment(vk *groth16bn254.VerifyingKey, rest []byte, inputs int) (err error) {
	var key pedersen.VerifyingKey
	if key.G, err = parseG2("commitment.G", rest); err != nil {
		return err
	}
	if key.GSigmaNeg, err = parseG2("commitment.GSigmaNeg", rest[g2Size:]); err != nil {
		return err
	}
	// Sigma would be one or its negative, and no secret: anyone could show to
	// know what he commits to, whatever it is.
	if key.G.X.Equal(&key.GSigmaNeg.X) {
		return refuse(wire.RejectBadPoint, "commitment.GSigmaNeg", "is G or its negative: commitments would bind nothing")
	}
	committed, previous := []int{}, 0
	for at := 2*g2Size + 2; at < len(rest); at += 2 {
		index := int(binary.BigEndian.Uint16(rest[at:]))
		if index <= previous || index > inputs {
			return badCommitted(index, inputs)
		}
		committed, previous = append(committed, index), index
	}
	vk.CommitmentKeys = []pedersen.VerifyingKey{key}
	vk.PublicAndCommitmentCommitted = [][]int{committed}
	return nil
}

// parsePoints reads the points from alpha to the last K.
func parsePoints(rest []byte, last int) (*groth16bn254.VerifyingKey, error) {
	vk := &groth16bn254.VerifyingKey{}
	vk.G1.K = make([]curve.G1Affine, last+1)
	var err error
	if vk.G1.Alpha, err = parseG1("alpha", rest); err != nil {
		return nil, err
	}
	rest = rest[g1Size:]
	for _, f := range []struct {
		name string
		to   *curve.G2Affine
	}{{"beta", &vk.G2.Beta}, {"gamma", &vk.G2.Gamma}, {"delta", &vk.G2.Delta}} {
		if *f.to, err = parseG2(f.name, rest); err != nil {
			return nil, err
		}
		rest = rest[g2Size:]
	}
	// On the curve the same x means the same point or its negative. Either way
	// a proof's C could make up for any input.
	if vk.G2.Delta.X.Equal(&vk.G2.Gamma.X) {
		return nil, refuse(wire.RejectBadPoint, "delta", "is gamma or its negative: proofs would bind nothing")
	}
	for i := range vk.G1.K {
		name := fmt.Sprintf("K[%d]", i)
		if vk.G1.K[i], err = parseG1(name, rest); err != nil {
			return nil, err
		}
		if vk.G1.K[i].IsInfinity() && i > 0 {
			return nil, refuse(wire.RejectBadPoint, name, "is the point at infinity: the input would be bound to nothing")
		}
		rest = rest[g1Size:]
	}
	return vk, nil
}

func parseG1(name string, raw []byte) (curve.G1Affine, error) {
	var p curve.G1Affine
	if err := coordinates(name, raw, &p.X, &p.Y); err != nil {
		return p, err
	}
	// On BN254 every point of G1's curve is in the subgroup.
	if !p.IsOnCurve() {
		return p, refuse(wire.RejectBadPoint, name, "is not on the curve")
	}
	if name == "alpha" && p.IsInfinity() {
		return p, refuse(wire.RejectBadPoint, name, "is the point at infinity")
	}
	return p, nil
}

func parseG2(name string, raw []byte) (curve.G2Affine, error) {
	var p curve.G2Affine
	if err := coordinates(name, raw, &p.X.A1, &p.X.A0, &p.Y.A1, &p.Y.A0); err != nil {
		return p, err
	}
	if p.IsInfinity() || !p.IsOnCurve() || !p.IsInSubGroup() {
		return p, refuse(wire.RejectBadPoint, name, "is not a point of the subgroup")
	}
	return p, nil
}

func coordinates(name string, raw []byte, to ...*fp.Element) error {
	for i, e := range to {
		if err := e.SetBytesCanonical(raw[i*fp.Bytes : (i+1)*fp.Bytes]); err != nil {
			return refuse(wire.RejectNotField, name, "has a coordinate not below the field's modulus")
		}
	}
	return nil
}

// ParseProof reads a proof in the order of its words on chain.
func ParseProof(p wire.Proof) (*groth16bn254.Proof, error) {
	points, err := p.Points()
	if err != nil {
		return nil, err
	}
	proof := &groth16bn254.Proof{Ar: points.A, Bs: points.B, Krs: points.C}
	if p.Committed() {
		proof.Commitments, proof.CommitmentPok = []curve.G1Affine{points.Commitment}, points.Knowledge
	}
	return proof, nil
}

// EncodeProof writes a gnark proof as words in the order of the contract.
func EncodeProof(proof groth16.Proof) (wire.Proof, error) {
	p, ok := proof.(*groth16bn254.Proof)
	if !ok {
		return wire.Proof{}, fmt.Errorf("proof: curve is %s, want bn254", proof.CurveID())
	}
	points := wire.ProofPoints{A: p.Ar, B: p.Bs, C: p.Krs}
	switch n := len(p.Commitments); {
	case n > bsb22.Most:
		return wire.Proof{}, fmt.Errorf("proof: has %d commitments, the on-chain verifier takes %d at most", n, bsb22.Most)
	case n == 1:
		points.Commitment, points.Knowledge = p.Commitments[0], p.CommitmentPok
	}
	return wire.NewProof(points), nil
}

// Inputs is how many public inputs a key has, the constant one not counted.
func Inputs(vk *groth16bn254.VerifyingKey) int { return len(vk.G1.K) - 1 - len(vk.CommitmentKeys) }

// ErrInvalid is a well-formed proof that does not prove the inputs.
var ErrInvalid = errors.New("proof does not verify")

// Verify checks a proof for public inputs (without the constant one), as
// wire.PublicInputs gives them.
func Verify(vk *groth16bn254.VerifyingKey, proof wire.Proof, inputs []fr.Element) error {
	p, err := ParseProof(proof)
	if err != nil {
		return err
	}
	if want := len(vk.CommitmentKeys); len(p.Commitments) != want {
		return refuse(wire.RejectBadCount, "proof", "%d commitments, the key wants %d", len(p.Commitments), want)
	}
	if want := Inputs(vk); len(inputs) != want {
		return refuse(wire.RejectBadCount, "inputs", "%d public inputs, the key wants %d", len(inputs), want)
	}
	// gnark appends the challenge to the inputs it is given.
	inputs = slices.Clip(inputs)
	if err := groth16bn254.Verify(p, vk, inputs, solidity.WithVerifierTargetSolidityVerifier(backend.GROTH16)); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return nil
}

func refuse(code wire.RejectCode, field, format string, args ...any) error {
	return &wire.Reject{Code: code, Field: field, Msg: fmt.Sprintf(format, args...)}
}
