package sdk

import (
	"crypto/elliptic"
	"encoding/binary"
	"errors"
	"fmt"
	"math/big"
	"slices"

	"github.com/consensys/gnark/frontend"
	"github.com/consensys/gnark/std/algebra/emulated/sw_emulated"
	"github.com/consensys/gnark/std/math/emulated"
	"github.com/consensys/gnark/std/signature/ecdsa"

	"github.com/gristmill-zk/gristmill/wire"
)

// Devices of p256 sign SHA-256 over tag, deployment id and the encoding of the
// message without its signature. In the circuit that encoding has a constant
// length, because every payload of the project has: so has its padding.
//
// A slot that is not used holds a message signed by a key that everybody knows,
// so that nothing needs to be switched off; it counts for nothing as in any
// other scheme.
//
// Three valid signatures can not be proven: those whose s lies in the upper half
// of the order are no valid messages anyway; one whose R.x is not below the
// order, one in 2^32, must be made again; and a key that is not canonical has
// another device id.

// p256Signature is what the prover knows of one message besides the slot: the
// signature and the point's coordinate that the compressed key leaves out.
type p256Signature struct {
	R, S emulated.Element[emulated.P256Fr]
	Y    emulated.Element[emulated.P256Fp]
}

// p256Verifier checks devices of p256. With payloads of 31 bytes a signature
// costs 213,065 constraints: about 134,000 for ECDSA and 26,000 for each block of
// SHA-256, of which payloads of 4 to 67 bytes need three. Once there are 8,736 for
// lookup tables, and one gnark commitment.
type p256Verifier struct {
	api        frontend.API
	curve      *sw_emulated.Curve[emulated.P256Fp, emulated.P256Fr]
	base       *emulated.Field[emulated.P256Fp]
	scalar     *emulated.Field[emulated.P256Fr]
	signatures []p256Signature

	// Bits of the encoding that all messages share, most significant first.
	deployment, project []frontend.Variable
	payloadLimit        int
}

func newP256Verifier(api frontend.API, c *platform, projectBits []frontend.Variable) (*p256Verifier, error) {
	v := &p256Verifier{api: api, signatures: c.P256, payloadLimit: c.shape.payloadLimit, project: reversed(projectBits)}
	if len(c.P256) == 0 {
		return v, nil
	}
	var errs [3]error
	v.curve, errs[0] = sw_emulated.New[emulated.P256Fp, emulated.P256Fr](api, sw_emulated.GetP256Params())
	v.base, errs[1] = emulated.NewField[emulated.P256Fp](api)
	v.scalar, errs[2] = emulated.NewField[emulated.P256Fr](api)
	if err := errors.Join(errs[:]...); err != nil {
		return nil, fmt.Errorf("p256: %w", err)
	}
	v.deployment = append([]frontend.Variable{0, 0}, reversed(api.ToBinary(c.DeploymentID))...)
	return v, nil
}

func reversed(bits []frontend.Variable) []frontend.Variable {
	out := slices.Clone(bits)
	slices.Reverse(out)
	return out
}

// verify says that the key is a compressed point in canonical form and that it
// signed the message.
func (v *p256Verifier) verify(m *Message, i int) error {
	if len(v.signatures) == 0 {
		return nil
	}
	sig := &v.signatures[i]
	parity := v.base.ToBitsCanonical(&sig.Y)[0]
	x := v.keyBits(m, parity)
	point := sw_emulated.AffinePoint[emulated.P256Fp]{X: *v.base.FromBits(reversed(x)...), Y: sig.Y}
	v.base.AssertIsInRange(&point.X)
	v.curve.AssertIsOnCurve(&point)

	digest := sha256Bits(v.api, v.encoding(m, parity, x))
	hash := v.scalar.FromBits(reversed(digest)...)
	key := ecdsa.PublicKey[emulated.P256Fp, emulated.P256Fr](point)
	key.Verify(v.api, sw_emulated.GetP256Params(), hash, &ecdsa.Signature[emulated.P256Fr]{R: sig.R, S: sig.S})
	return nil
}

// keyBits takes the chunks of the compressed key apart: a byte of 2 or 3 for y's
// parity, then 32 bytes of x. It returns x's bits, most significant first.
func (v *p256Verifier) keyBits(m *Message, parity frontend.Variable) []frontend.Variable {
	const high, low = 8 * (chunkBytes - 1), 8 * (wordBytes - chunkBytes + 1)
	prefix := v.api.Mul(v.api.Add(2, parity), new(big.Int).Lsh(big.NewInt(1), high))
	bits := v.api.ToBinary(v.api.Sub(m.key[0], prefix), high)
	rest := v.api.ToBinary(v.api.Mul(m.key[1], inverseOfPower(8*chunkBytes-low)), low)
	return append(reversed(bits), reversed(rest)...)
}

const wordBytes = 32

// encoding is what the device hashed, as bits.
func (v *p256Verifier) encoding(m *Message, parity frontend.Variable, x []frontend.Variable) []frontend.Variable {
	out := constantBits([]byte("gristmill message v1"))
	out = append(out, v.deployment...)
	out = append(out, constantBits([]byte{1, byte(wire.SchemeP256), byte(wire.SchemeP256.KeyLen())})...)
	out = append(append(out, constantBits([]byte{2})[:7]...), parity)
	out = append(out, x...)
	out = append(out, v.project...)
	out = append(out, reversed(m.nonceBits)...)
	out = append(out, reversed(m.timeBits)...)
	out = append(out, constantBits(binary.BigEndian.AppendUint32(nil, uint32(v.payloadLimit)))...)
	return append(out, m.Bits()...)
}

func constantBits(data []byte) []frontend.Variable {
	out := make([]frontend.Variable, 0, 8*len(data))
	for _, b := range data {
		for i := 7; i >= 0; i-- {
			out = append(out, int(b>>i&1))
		}
	}
	return out
}

func assignP256(m *wire.Message) (p256Signature, error) {
	_, y := elliptic.UnmarshalCompressed(elliptic.P256(), m.Key.Bytes)
	if y == nil {
		return p256Signature{}, errors.New("device key: not a compressed point of P-256")
	}
	if want := wire.SchemeP256.SignatureLen(); len(m.Signature) != want {
		return p256Signature{}, fmt.Errorf("signature: has %d bytes, not %d", len(m.Signature), want)
	}
	return p256Signature{
		R: emulated.ValueOf[emulated.P256Fr](m.Signature[:wordBytes]),
		S: emulated.ValueOf[emulated.P256Fr](m.Signature[wordBytes:]),
		Y: emulated.ValueOf[emulated.P256Fp](y),
	}, nil
}

// assignEmptyP256 fills a slot that is not used with a message of a device that
// anyone could be.
func (c *platform) assignEmptyP256(i int, j *job) error {
	seed := wire.SHA256([]byte("gristmill empty slot"))
	signer, err := wire.NewSigner(wire.SchemeP256, seed[:])
	if err != nil {
		return fmt.Errorf("empty slot: %w", err)
	}
	m := wire.Message{Project: j.body.Project, Payload: make([]byte, c.shape.payloadLimit)}
	if err := signer.Sign(j.deployment, uint32(c.shape.payloadLimit), &m); err != nil {
		return fmt.Errorf("empty slot: %w", err)
	}
	if err := c.assignMessage(i, &m); err != nil {
		return fmt.Errorf("empty slot: %w", err)
	}
	c.Slots[i].Used = 0
	return nil
}
