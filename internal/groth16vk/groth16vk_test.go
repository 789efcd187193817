package groth16vk_test

import (
	"bytes"
	"math/big"
	"sync"
	"testing"

	"github.com/consensys/gnark-crypto/ecc"
	"github.com/consensys/gnark-crypto/ecc/bn254/fp"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/consensys/gnark/backend"
	"github.com/consensys/gnark/backend/groth16"
	groth16bn254 "github.com/consensys/gnark/backend/groth16/bn254"
	"github.com/consensys/gnark/backend/solidity"
	"github.com/consensys/gnark/frontend"
	"github.com/consensys/gnark/frontend/cs/r1cs"
	"github.com/stretchr/testify/require"

	"github.com/gristmill-zk/gristmill/internal/groth16vk"
	"github.com/gristmill-zk/gristmill/wire"
)

type product struct {
	P frontend.Variable `gnark:",public"`
	S frontend.Variable `gnark:",public"`
	A frontend.Variable
	B frontend.Variable

	Commits int `gnark:"-"` // commitments to the sum and a factor
}

func (c *product) Define(api frontend.API) error {
	api.AssertIsEqual(api.Mul(c.A, c.B), c.P)
	api.AssertIsEqual(api.Add(c.A, c.B), c.S)
	for _, v := range []frontend.Variable{c.A, c.B}[:c.Commits] {
		challenge, err := api.(frontend.Committer).Commit(v, c.S)
		if err != nil {
			return err
		}
		api.AssertIsDifferent(challenge, 0)
	}
	return nil
}

type fixture struct {
	vk    groth16.VerifyingKey
	key   []byte
	proof wire.Proof
}

var setup = sync.OnceValues(func() (fixture, error) { return newFixture(&product{}) })

func newFixture(circuit *product) (fixture, error) {
	ccs, err := frontend.Compile(ecc.BN254.ScalarField(), r1cs.NewBuilder, circuit)
	if err != nil {
		return fixture{}, err
	}
	pk, vk, err := groth16.Setup(ccs)
	if err != nil {
		return fixture{}, err
	}
	witness, err := frontend.NewWitness(&product{P: 35, S: 12, A: 5, B: 7}, ecc.BN254.ScalarField())
	if err != nil {
		return fixture{}, err
	}
	made, err := groth16.Prove(ccs, pk, witness, solidity.WithProverTargetSolidityVerifier(backend.GROTH16))
	if err != nil {
		return fixture{}, err
	}
	proof, err := groth16vk.EncodeProof(made)
	if err != nil {
		return fixture{}, err
	}
	key, err := groth16vk.EncodeVK(vk)
	return fixture{vk: vk, key: key, proof: proof}, err
}

func given(t *testing.T) fixture {
	t.Helper()
	f, err := setup()
	require.NoError(t, err)
	return f
}

func elements(values ...uint64) []fr.Element {
	out := make([]fr.Element, len(values))
	for i, v := range values {
		out[i].SetUint64(v)
	}
	return out
}

func TestKeyRoundTripsAndVerifies(t *testing.T) {
	t.Parallel()
	f := given(t)
	vk, err := groth16vk.ParseVK(f.key)
	require.NoError(t, err)
	again, err := groth16vk.EncodeVK(vk)
	require.NoError(t, err)
	require.Equal(t, f.key, again)
	require.False(t, vk.IsDifferent(f.vk))
	require.Equal(t, wire.Keccak256(f.key), groth16vk.ID(f.key))

	require.NoError(t, groth16vk.Verify(vk, f.proof, elements(35, 12)))
	require.ErrorIs(t, groth16vk.Verify(vk, f.proof, elements(36, 12)), groth16vk.ErrInvalid)
	require.ErrorIs(t, groth16vk.Verify(vk, f.proof, elements(12, 35)), groth16vk.ErrInvalid)
	requireReject(t, groth16vk.Verify(vk, f.proof, elements(35)), wire.RejectBadCount)
	requireReject(t, groth16vk.Verify(vk, f.proof, elements(35, 12, 0)), wire.RejectBadCount)

	flipped := f.proof
	flipped[0][31] ^= 1
	requireReject(t, groth16vk.Verify(vk, flipped, elements(35, 12)), wire.RejectBadPoint)
	requireReject(t, groth16vk.Verify(vk, wire.Proof{}, elements(35, 12)), wire.RejectBadPoint)
	swapped := f.proof
	swapped[6], swapped[7], swapped[0], swapped[1] = f.proof[0], f.proof[1], f.proof[6], f.proof[7]
	require.ErrorIs(t, groth16vk.Verify(vk, swapped, elements(35, 12)), groth16vk.ErrInvalid)
}

// Where the parts of the fixture's key lie.
const (
	atAlpha = 7
	atBeta  = atAlpha + 64
	atGamma = atBeta + 128
	atDelta = atGamma + 128
	atK     = atDelta + 128
)

// oneInput is the key without its last input: well formed, and no task's.
func oneInput(k []byte) []byte {
	k[5] = 1
	return k[:len(k)-64]
}

// negativeGamma writes the negative of a point, in the key's order.
func negativeGamma(gamma, to []byte) {
	copy(to, gamma)
	for at := 64; at < 128; at += 32 {
		y := new(big.Int).SetBytes(gamma[at : at+32])
		y.Sub(fp.Modulus(), y).Mod(y, fp.Modulus()).FillBytes(to[at : at+32])
	}
}

func TestBadKeysAreRefused(t *testing.T) {
	t.Parallel()
	f := given(t)
	require.Len(t, f.key, atK+3*64)
	ones := bytes.Repeat([]byte{0xff}, 32)
	for name, c := range map[string]struct {
		change func([]byte) []byte
		code   wire.RejectCode
	}{
		"empty":           {func([]byte) []byte { return nil }, wire.RejectMalformed},
		"magic":           {func(k []byte) []byte { k[3] = '2'; return k }, wire.RejectMalformed},
		"commitments":     {func(k []byte) []byte { k[6] = 2; return k }, wire.RejectMalformed},
		"no commitment":   {func(k []byte) []byte { k[6] = 1; return k }, wire.RejectTruncated},
		"one input":       {oneInput, wire.RejectBadCount},
		"delta is gamma":  {func(k []byte) []byte { copy(k[atDelta:atK], k[atGamma:atDelta]); return k }, wire.RejectBadPoint},
		"delta is −gamma": {func(k []byte) []byte { negativeGamma(k[atGamma:atDelta], k[atDelta:atK]); return k }, wire.RejectBadPoint},
		"no inputs":       {func(k []byte) []byte { k[4], k[5] = 0, 0; return k }, wire.RejectBadCount},
		"too many inputs": {func(k []byte) []byte { k[4], k[5] = 1, 0x2f; return k }, wire.RejectBadCount},
		"short":           {func(k []byte) []byte { return k[:len(k)-1] }, wire.RejectTruncated},
		"long":            {func(k []byte) []byte { return append(k, 0) }, wire.RejectTrailing},
		"one more input":  {func(k []byte) []byte { k[5]++; return k }, wire.RejectTruncated},
		"coordinate ≥ p":  {func(k []byte) []byte { copy(k[atAlpha:], ones); return k }, wire.RejectNotField},
		"off the curve":   {func(k []byte) []byte { k[atAlpha+63] ^= 1; return k }, wire.RejectBadPoint},
		"alpha zero":      {func(k []byte) []byte { clear(k[atAlpha : atAlpha+64]); return k }, wire.RejectBadPoint},
		"beta zero":       {func(k []byte) []byte { clear(k[atBeta : atBeta+128]); return k }, wire.RejectBadPoint},
		"beta flipped":    {func(k []byte) []byte { k[atBeta+127] ^= 1; return k }, wire.RejectBadPoint},
		"unbound input":   {func(k []byte) []byte { clear(k[atK+64 : atK+128]); return k }, wire.RejectBadPoint},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := groth16vk.ParseVK(c.change(bytes.Clone(f.key)))
			requireReject(t, err, c.code)
		})
	}
}

// TestKeysThatCannotBeRegisteredAreNotEncoded: EncodeVK refuses what ParseVK
// and the contract do, before anybody pays gas for it.
func TestKeysThatCannotBeRegisteredAreNotEncoded(t *testing.T) {
	t.Parallel()
	f := given(t)
	for name, c := range map[string]struct {
		change func(*groth16bn254.VerifyingKey)
		code   wire.RejectCode
	}{
		"one input":       {func(vk *groth16bn254.VerifyingKey) { vk.G1.K = vk.G1.K[:2] }, wire.RejectBadCount},
		"no constant":     {func(vk *groth16bn254.VerifyingKey) { vk.G1.K = nil }, wire.RejectBadCount},
		"delta is gamma":  {func(vk *groth16bn254.VerifyingKey) { vk.G2.Delta = vk.G2.Gamma }, wire.RejectBadPoint},
		"delta is −gamma": {func(vk *groth16bn254.VerifyingKey) { vk.G2.Delta.Neg(&vk.G2.Gamma) }, wire.RejectBadPoint},
		"unbound input":   {func(vk *groth16bn254.VerifyingKey) { vk.G1.K[1].SetInfinity() }, wire.RejectBadPoint},
		"beta zero":       {func(vk *groth16bn254.VerifyingKey) { vk.G2.Beta.SetInfinity() }, wire.RejectBadPoint},
	} {
		vk, err := groth16vk.ParseVK(f.key)
		require.NoError(t, err)
		c.change(vk)
		_, err = groth16vk.EncodeVK(vk)
		requireReject(t, err, c.code)
		require.ErrorContains(t, err, "verifying key", name)
	}
	// The constant's K may be at infinity.
	vk, err := groth16vk.ParseVK(f.key)
	require.NoError(t, err)
	vk.G1.K[0].SetInfinity()
	_, err = groth16vk.EncodeVK(vk)
	require.NoError(t, err)
}

func FuzzParseVK(fuzz *testing.F) {
	f, err := setup()
	if err != nil {
		fuzz.Fatal(err)
	}
	fuzz.Add(f.key)
	committed, err := setupCommitted()
	if err != nil {
		fuzz.Fatal(err)
	}
	fuzz.Add(committed.key)
	fuzz.Add([]byte("GVK1"))
	fuzz.Fuzz(func(t *testing.T, data []byte) {
		vk, err := groth16vk.ParseVK(data)
		if err != nil {
			return
		}
		again, err := groth16vk.EncodeVK(vk)
		if err != nil || !bytes.Equal(again, data) {
			t.Fatalf("a second form of the same key: %x, %v", data, err)
		}
	})
}

func requireReject(t *testing.T, err error, code wire.RejectCode) {
	t.Helper()
	var reject *wire.Reject
	require.ErrorAs(t, err, &reject)
	require.Equal(t, code, reject.Code, err)
}
