package groth16vk_test

import (
	"bytes"
	"sync"
	"testing"

	"github.com/consensys/gnark-crypto/ecc/bn254"
	"github.com/stretchr/testify/require"

	"github.com/gristmill-zk/gristmill/internal/groth16vk"
	"github.com/gristmill-zk/gristmill/wire"
)

var setupCommitted = sync.OnceValues(func() (fixture, error) { return newFixture(&product{Commits: 1}) })

func committed(t *testing.T) fixture {
	t.Helper()
	f, err := setupCommitted()
	require.NoError(t, err)
	return f
}

func TestCommittedKeyRoundTripsAndVerifies(t *testing.T) {
	t.Parallel()
	f := committed(t)
	require.True(t, f.proof.Committed())
	vk, err := groth16vk.ParseVK(f.key)
	require.NoError(t, err)
	again, err := groth16vk.EncodeVK(vk)
	require.NoError(t, err)
	require.Equal(t, f.key, again)
	require.False(t, vk.IsDifferent(f.vk))
	require.Equal(t, 2, groth16vk.Inputs(vk))
	require.Equal(t, [][]int{{2}}, vk.PublicAndCommitmentCommitted)

	require.NoError(t, groth16vk.Verify(vk, f.proof, elements(35, 12)))
	require.ErrorIs(t, groth16vk.Verify(vk, f.proof, elements(36, 12)), groth16vk.ErrInvalid)
	require.ErrorIs(t, groth16vk.Verify(vk, f.proof, elements(35, 13)), groth16vk.ErrInvalid)
	requireReject(t, groth16vk.Verify(vk, f.proof, elements(35, 12, 1)), wire.RejectBadCount)

	// The caller's inputs are left alone although gnark appends to them.
	room := append(elements(35, 12), elements(7)...)
	require.NoError(t, groth16vk.Verify(vk, f.proof, room[:2]))
	require.Equal(t, elements(35, 12, 7), room)

	_, _, g, _ := bn254.Generators()
	for name, spoil := range map[string]func(*wire.ProofPoints){
		"another commitment": func(p *wire.ProofPoints) { p.Commitment = g },
		"another knowledge":  func(p *wire.ProofPoints) { p.Knowledge = g },
		"both negated":       func(p *wire.ProofPoints) { p.Commitment.Neg(&p.Commitment); p.Knowledge.Neg(&p.Knowledge) },
		"exchanged":          func(p *wire.ProofPoints) { p.Commitment, p.Knowledge = p.Knowledge, p.Commitment },
	} {
		points, err := f.proof.Points()
		require.NoError(t, err)
		spoil(&points)
		require.ErrorIs(t, groth16vk.Verify(vk, wire.NewProof(points), elements(35, 12)), groth16vk.ErrInvalid, name)
	}
	points, err := f.proof.Points()
	require.NoError(t, err)
	points.Knowledge.SetInfinity()
	requireReject(t, groth16vk.Verify(vk, wire.NewProof(points), elements(35, 12)), wire.RejectBadPoint)
	points.Commitment.SetInfinity()
	requireReject(t, groth16vk.Verify(vk, wire.NewProof(points), elements(35, 12)), wire.RejectBadCount)
	plain := given(t)
	without, err := groth16vk.ParseVK(plain.key)
	require.NoError(t, err)
	requireReject(t, groth16vk.Verify(without, f.proof, elements(35, 12)), wire.RejectBadCount)
}

// Where the parts of the committed key lie.
const (
	atG         = atK + 4*64
	atSigma     = atG + 128
	atCommitted = atSigma + 128
)

func TestBadCommittedKeysAreRefused(t *testing.T) {
	t.Parallel()
	f := committed(t)
	require.Len(t, f.key, atCommitted+4)
	for name, c := range map[string]struct {
		change func([]byte) []byte
		code   wire.RejectCode
	}{
		"no commitment":      {func(k []byte) []byte { k[6] = 0; return k }, wire.RejectTrailing},
		"two commitments":    {func(k []byte) []byte { k[6] = 2; return k }, wire.RejectMalformed},
		"short":              {func(k []byte) []byte { return k[:len(k)-1] }, wire.RejectTruncated},
		"long":               {func(k []byte) []byte { return append(k, 0) }, wire.RejectTrailing},
		"without the count":  {func(k []byte) []byte { return k[:atCommitted+1] }, wire.RejectTruncated},
		"without the points": {func(k []byte) []byte { return k[:atG] }, wire.RejectTruncated},
		"unbound challenge":  {func(k []byte) []byte { clear(k[atG-64 : atG]); return k }, wire.RejectBadPoint},
		"G zero":             {func(k []byte) []byte { clear(k[atG:atSigma]); return k }, wire.RejectBadPoint},
		"GSigmaNeg zero":     {func(k []byte) []byte { clear(k[atSigma:atCommitted]); return k }, wire.RejectBadPoint},
		"GSigmaNeg off":      {func(k []byte) []byte { k[atCommitted-1] ^= 1; return k }, wire.RejectBadPoint},
		"sigma is −1":        {func(k []byte) []byte { copy(k[atSigma:], k[atG:atSigma]); return k }, wire.RejectBadPoint},
		"sigma is 1":         {func(k []byte) []byte { negativeGamma(k[atG:atSigma], k[atSigma:atCommitted]); return k }, wire.RejectBadPoint},
		"constant committed": {func(k []byte) []byte { k[atCommitted+3] = 0; return k }, wire.RejectMalformed},
		"no such input":      {func(k []byte) []byte { k[atCommitted+3] = 3; return k }, wire.RejectMalformed},
		"input twice":        {func(k []byte) []byte { k[atCommitted+1] = 2; return append(k, 0, 2) }, wire.RejectMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := groth16vk.ParseVK(c.change(bytes.Clone(f.key)))
			requireReject(t, err, c.code)
		})
	}
	two, err := newFixture(&product{Commits: 2})
	require.ErrorContains(t, err, "2 commitments")
	require.Nil(t, two.key)

	vk, err := groth16vk.ParseVK(f.key)
	require.NoError(t, err)
	vk.CommitmentKeys[0].GSigmaNeg = vk.CommitmentKeys[0].G
	_, err = groth16vk.EncodeVK(vk)
	requireReject(t, err, wire.RejectBadPoint)
	for _, index := range []int{0, 3, 1 << 17} {
		vk, err := groth16vk.ParseVK(f.key)
		require.NoError(t, err)
		vk.PublicAndCommitmentCommitted = [][]int{{index}}
		_, err = groth16vk.EncodeVK(vk)
		requireReject(t, err, wire.RejectMalformed)
	}
}
