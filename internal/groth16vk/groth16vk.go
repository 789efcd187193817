// Package groth16vk converts between gnark's Groth16 verifying keys on BN254
// and the bytes that gristmill registers on chain, and verifies proofs
// natively with a key in that form.
//
// The bytes are "GVK1" ‖ number of public inputs u16 ‖ commitments u8 (0) ‖
// alpha G1 ‖ beta, gamma, delta G2 ‖ K[0..n] G1, points uncompressed in EVM
// order; their keccak256 is the key's identity, pinned by a project version.
// What is refused here is what the contract refuses at registration, no more
// and no less: points off the curve, out of the subgroup or at infinity (but
// for K[0]), delta equal to gamma or its negative, other than 2 to 302 public
// inputs, commitments, trailing bytes. Refused bytes are a *wire.Reject; a
// well-formed proof that proves nothing is [ErrInvalid].
package groth16vk

import (
	"encoding/binary"
	"errors"
	"fmt"

	curve "github.com/consensys/gnark-crypto/ecc/bn254"
	"github.com/consensys/gnark-crypto/ecc/bn254/fp"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/consensys/gnark/backend/groth16"
	groth16bn254 "github.com/consensys/gnark/backend/groth16/bn254"

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
	if n := len(vk.PublicAndCommitmentCommitted); n != 0 {
		return nil, fmt.Errorf("verifying key: circuit uses %d commitments, the on-chain verifier takes none", n)
	}
	inputs := len(vk.G1.K) - 1
	if inputs < MinInputs || inputs > MaxInputs {
		return nil, fmt.Errorf("verifying key: %w", badInputs(inputs))
	}
	out := make([]byte, 0, headerSize+(inputs+2)*g1Size+3*g2Size)
	out = append(out, magic...)
	out = binary.BigEndian.AppendUint16(out, uint16(inputs))
	out = append(out, 0)
	out = appendG1(out, &vk.G1.Alpha)
	for _, p := range []*curve.G2Affine{&vk.G2.Beta, &vk.G2.Gamma, &vk.G2.Delta} {
		raw := p.RawBytes()
		out = append(out, raw[:]...)
	}
	for i := range vk.G1.K {
		out = appendG1(out, &vk.G1.K[i])
	}
	if _, err := ParseVK(out); err != nil {
		return nil, fmt.Errorf("verifying key: %w", err)
	}
	return out, nil
}

func badInputs(n int) error {
	return refuse(wire.RejectBadCount, "inputs", "%d public inputs, want %d to %d", n, MinInputs, MaxInputs)
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
	if n := key[len(magic)+2]; n != 0 {
		return nil, refuse(wire.RejectMalformed, "commitments", "%d commitments, want 0", n)
	}
	if want := headerSize + (inputs+2)*g1Size + 3*g2Size; len(key) != want {
		code := wire.RejectTruncated
		if len(key) > want {
			code = wire.RejectTrailing
		}
		return nil, refuse(code, "", "%d bytes, want %d", len(key), want)
	}
	return parsePoints(key[headerSize:], inputs)
}

func parsePoints(rest []byte, inputs int) (*groth16bn254.VerifyingKey, error) {
	vk := &groth16bn254.VerifyingKey{}
	vk.G1.K = make([]curve.G1Affine, inputs+1)
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
	if err := vk.Precompute(); err != nil {
		return nil, fmt.Errorf("verifying key: %w", err)
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
	a, b, c, err := p.Points()
	if err != nil {
		return nil, err
	}
	return &groth16bn254.Proof{Ar: a, Bs: b, Krs: c}, nil
}

// EncodeProof writes a gnark proof as words in the order of the contract.
func EncodeProof(proof groth16.Proof) (wire.Proof, error) {
	p, ok := proof.(*groth16bn254.Proof)
	if !ok {
		return wire.Proof{}, fmt.Errorf("proof: curve is %s, want bn254", proof.CurveID())
	}
	if len(p.Commitments) != 0 {
		return wire.Proof{}, fmt.Errorf("proof: has %d commitments, the on-chain verifier takes none", len(p.Commitments))
	}
	return wire.NewProof(&p.Ar, &p.Bs, &p.Krs), nil
}

// ErrInvalid is a well-formed proof that does not prove the inputs.
var ErrInvalid = errors.New("proof does not verify")

// Verify checks a proof for public inputs (without the constant one), as
// wire.PublicInputs gives them.
func Verify(vk *groth16bn254.VerifyingKey, proof wire.Proof, inputs []fr.Element) error {
	p, err := ParseProof(proof)
	if err != nil {
		return err
	}
	if want := len(vk.G1.K) - 1; len(inputs) != want {
		return refuse(wire.RejectBadCount, "inputs", "%d public inputs, the key wants %d", len(inputs), want)
	}
	if err := groth16bn254.Verify(p, vk, inputs); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return nil
}

func refuse(code wire.RejectCode, field, format string, args ...any) error {
	return &wire.Reject{Code: code, Field: field, Msg: fmt.Sprintf(format, args...)}
}
