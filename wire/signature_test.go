package wire_test

import (
	"bytes"
	"crypto/elliptic"
	"crypto/rand"
	"math/big"
	mrand "math/rand/v2"
	"slices"
	"testing"

	"filippo.io/edwards25519"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr/poseidon2"
	"github.com/consensys/gnark-crypto/ecc/bn254/twistededwards"
	"github.com/consensys/gnark-crypto/ecc/bn254/twistededwards/eddsa"
	"github.com/decred/dcrd/dcrec/secp256k1/v4"
	"github.com/stretchr/testify/require"

	"github.com/gristmill-zk/gristmill/wire"
)

func TestSignersRoundTrip(t *testing.T) {
	t.Parallel()
	for _, scheme := range wire.Schemes() {
		secret, err := wire.GenerateSecret(scheme, rand.Reader)
		require.NoError(t, err)
		signer := must(wire.NewSigner(scheme, secret))
		m := wire.Message{Project: 3, Nonce: 9, Time: 1, Payload: []byte("p")}
		require.NoError(t, signer.Sign(devnet, 8, &m))
		require.NoError(t, m.Verify(devnet, 8), scheme)
		require.True(t, signer.Key().Equal(m.Key))
		require.NoError(t, m.Key.Validate())
		again := m
		require.NoError(t, signer.Sign(devnet, 8, &again))
		require.Equal(t, m, again, "signing is deterministic")
		m.Key.Bytes[0] ^= 0xff
		require.False(t, signer.Key().Equal(m.Key), "the signer's key is its own")
	}
	_, err := wire.GenerateSecret(77, rand.Reader)
	require.Equal(t, wire.RejectUnknownScheme, wire.CodeOf(err))
	_, err = wire.GenerateSecret(wire.SchemeP256, bytes.NewReader(nil))
	require.Error(t, err)
	_, err = wire.GenerateSecret(wire.SchemeP256, bytes.NewReader(make([]byte, 4096)))
	require.Error(t, err, "zeros are no scalar")
}

// TestEveryBitOfAMessageIsSigned flips each bit of the encoding: the result
// must not decode, or not verify.
func TestEveryBitOfAMessageIsSigned(t *testing.T) {
	t.Parallel()
	for _, scheme := range wire.Schemes() {
		t.Run(scheme.String(), func(t *testing.T) {
			t.Parallel()
			m := signed(scheme, 9, 1, 2, []byte("reading"), 31)
			raw := must(m.MarshalBinary())
			for bit := range len(raw) * 8 {
				changed := set(raw, bit/8, raw[bit/8]^1<<(bit%8))
				var decoded wire.Message
				if decoded.UnmarshalBinary(changed) != nil {
					continue
				}
				require.Errorf(t, decoded.Verify(devnet, 31), "bit %d", bit)
			}
		})
	}
}

// TestSignaturesAreNotMalleable tries the other forms of valid signatures.
func TestSignaturesAreNotMalleable(t *testing.T) {
	t.Parallel()
	refused := func(m wire.Message, signature []byte, why string) {
		t.Helper()
		require.NoError(t, m.Verify(devnet, 32))
		m.Signature = signature
		require.Equal(t, wire.RejectBadSignature, wire.CodeOf(m.Verify(devnet, 32)), why)
	}
	negated := func(signature []byte, order *big.Int) []byte {
		out := slices.Clone(signature)
		s := new(big.Int).SetBytes(out[32:64])
		s.Sub(order, s).FillBytes(out[32:64])
		return out
	}
	secp := signed(wire.SchemeSecp256k1, 4, 1, 1, nil, 32)
	high := negated(secp.Signature, secp256k1.S256().N)
	high[64] ^= 27 ^ 28
	refused(secp, high, "high s")
	for _, v := range []byte{0, 1, 26, 29, 30, 31, 32, 255} {
		refused(secp, set(secp.Signature, 64, v), "v")
	}
	refused(secp, make([]byte, 65), "zero")

	p := signed(wire.SchemeP256, 4, 1, 1, nil, 32)
	refused(p, negated(p.Signature, elliptic.P256().Params().N), "high s")
	refused(p, make([]byte, 64), "zero")

	added := func(signature []byte, at int, order *big.Int, littleEndian bool) []byte {
		out := slices.Clone(signature)
		half := out[at : at+32]
		if littleEndian {
			slices.Reverse(half)
		}
		sum := new(big.Int).Add(new(big.Int).SetBytes(half), order)
		if sum.BitLen() > 256 {
			t.Fatal("no room for s + order")
		}
		sum.FillBytes(half)
		if littleEndian {
			slices.Reverse(half)
		}
		return out
	}
	baby := signed(wire.SchemeEdDSABN254, 4, 1, 1, nil, 32)
	curve := twistededwards.GetEdwardsCurve()
	refused(baby, added(baby.Signature, 32, &curve.Order, false), "s + order")
	refused(baby, make([]byte, 64), "zero")
	for _, identity := range identityEncodings() {
		refused(baby, append(identity, baby.Signature[32:]...), "R is the identity")
	}
	ed := signed(wire.SchemeEd25519, 4, 1, 1, nil, 32)
	order, _ := new(big.Int).SetString("7237005577332262213973186563042994240857116359379907606001950938285454250989", 10)
	refused(ed, added(ed.Signature, 32, order, true), "s + order")
}

func identityEncodings() [][]byte {
	plain := make([]byte, 32)
	plain[0] = 1
	return [][]byte{plain, set(plain, 31, 0x80)}
}

func littleEndian(v *big.Int) []byte {
	out := make([]byte, 32)
	v.FillBytes(out)
	slices.Reverse(out)
	return out
}

// TestIdentityNonceIsRefused makes the signatures that verify with R the
// identity, in both encodings of it.
func TestIdentityNonceIsRefused(t *testing.T) {
	t.Parallel()
	seed := filled(4)
	private, err := eddsa.GenerateKey(bytes.NewReader(seed[:]))
	require.NoError(t, err)
	m := signed(wire.SchemeEdDSABN254, 4, 1, 1, nil, 32)
	digest := must(m.Digest(devnet, 32))
	a := private.PublicKey.A
	hram := wire.P2(fr.NewElement(0), fr.NewElement(1), a.X, a.Y, digest)
	curve := twistededwards.GetEdwardsCurve()
	s := new(big.Int).SetBytes(private.Bytes()[32:64])
	s.Mul(s, hram.BigInt(new(big.Int))).Mod(s, &curve.Order)
	hash := digest.Bytes()
	for _, r := range identityEncodings() {
		m.Signature = append(r, s.FillBytes(make([]byte, 32))...)
		ok, err := private.PublicKey.Verify(m.Signature, hash[:], poseidon2.NewMerkleDamgardHasher())
		require.NoError(t, err)
		require.True(t, ok, "the library takes it, so the test means something")
		require.Equal(t, wire.RejectBadSignature, wire.CodeOf(m.Verify(devnet, 32)))
	}
}

// TestBadKeys has keys that a lenient decoder takes.
func TestBadKeys(t *testing.T) {
	t.Parallel()
	p25519 := new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 255), big.NewInt(19))
	good := signed(wire.SchemeEdDSABN254, 4, 1, 1, nil, 32).Key.Bytes
	y := slices.Clone(good)
	slices.Reverse(y)
	y[0] &= 0x7f
	shifted := littleEndian(new(big.Int).Add(new(big.Int).SetBytes(y), fr.Modulus()))
	var minusOne fr.Element
	minusOne.SetInt64(-1)
	orderTwo := littleEndian(minusOne.BigInt(new(big.Int)))
	keys := map[string]wire.DeviceKey{
		"unknown scheme":         {Scheme: 5, Bytes: make([]byte, 32)},
		"zero address":           {Scheme: wire.SchemeSecp256k1, Bytes: make([]byte, 20)},
		"eddsa identity":         {Scheme: wire.SchemeEdDSABN254, Bytes: identityEncodings()[0]},
		"eddsa identity, signed": {Scheme: wire.SchemeEdDSABN254, Bytes: identityEncodings()[1]},
		"eddsa y above r":        {Scheme: wire.SchemeEdDSABN254, Bytes: shifted},
		"eddsa order two":        {Scheme: wire.SchemeEdDSABN254, Bytes: orderTwo},
		"eddsa order four":       {Scheme: wire.SchemeEdDSABN254, Bytes: make([]byte, 32)},
		"p256 uncompressed tag":  {Scheme: wire.SchemeP256, Bytes: append([]byte{4}, bytes.Repeat([]byte{1}, 32)...)},
		"p256 infinity":          {Scheme: wire.SchemeP256, Bytes: make([]byte, 33)},
		"p256 x above p":         {Scheme: wire.SchemeP256, Bytes: append([]byte{2}, bytes.Repeat([]byte{0xff}, 32)...)},
		"ed25519 identity":       {Scheme: wire.SchemeEd25519, Bytes: identityEncodings()[0]},
		"ed25519 order four":     {Scheme: wire.SchemeEd25519, Bytes: make([]byte, 32)},
		"ed25519 y above p":      {Scheme: wire.SchemeEd25519, Bytes: littleEndian(new(big.Int).Add(p25519, big.NewInt(3)))},
		"ed25519 off the curve":  {Scheme: wire.SchemeEd25519, Bytes: littleEndian(big.NewInt(2))},
		"ed25519 short":          {Scheme: wire.SchemeEd25519, Bytes: make([]byte, 31)},
	}
	for name, key := range keys {
		_, idErr := key.ID()
		require.Error(t, idErr, name)
		require.Error(t, key.Validate(), name)
		m := wire.Message{Key: key, Signature: make([]byte, key.Scheme.SignatureLen())}
		require.Error(t, m.Verify(devnet, 1), name)
	}
	// What "y above p" would be if it were canonical is a key.
	_, err := new(edwards25519.Point).SetBytes(littleEndian(new(big.Int).Add(p25519, big.NewInt(3))))
	require.NoError(t, err, "the lenient decoder takes it, so the test means something")
}

// TestEdDSAKeysAreInTheSubgroup: of random strings half are on the curve and
// an eighth of those in the subgroup. All that pass are points of the subgroup.
func TestEdDSAKeysAreInTheSubgroup(t *testing.T) {
	t.Parallel()
	random := mrand.New(mrand.NewPCG(3, 4))
	curve := twistededwards.GetEdwardsCurve()
	passed := 0
	for range 2000 {
		raw := make([]byte, 32)
		for i := range raw {
			raw[i] = byte(random.Uint32())
		}
		raw[31] &= 0x9f // keeps y below the modulus
		key := wire.DeviceKey{Scheme: wire.SchemeEdDSABN254, Bytes: raw}
		if key.Validate() != nil {
			continue
		}
		passed++
		elements := must(key.Elements())
		point := twistededwards.NewPointAffine(elements[1], elements[2])
		require.True(t, point.IsOnCurve())
		require.True(t, new(twistededwards.PointAffine).ScalarMultiplication(&point, &curve.Order).IsZero())
	}
	require.InDelta(t, 2000/16, passed, 60)
}

func BenchmarkVerify(b *testing.B) {
	for _, scheme := range wire.Schemes() {
		m := signed(scheme, 9, 1, 2, pattern(32, 0), 32)
		b.Run(scheme.String(), func(b *testing.B) {
			for b.Loop() {
				if err := m.Verify(devnet, 32); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
