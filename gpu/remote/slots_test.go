package remote

import (
	"testing"

	"github.com/consensys/gnark-crypto/ecc/bn254"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/stretchr/testify/require"

	"github.com/gristmill-zk/gristmill/gpu"
	"github.com/gristmill-zk/gristmill/gpu/proto"
)

func TestSlotsAreClearedAndReused(t *testing.T) {
	t.Parallel()
	s := slots{keep: 2}
	first, err := s.take(100)
	require.NoError(t, err)
	require.Len(t, first.Bytes, slotUnit)
	copy(first.Bytes, "a witness")
	require.NoError(t, s.give(first, 9))

	again, err := s.take(3000)
	require.NoError(t, err)
	require.Same(t, first, again)
	require.Equal(t, make([]byte, slotUnit), again.Bytes)
	large, err := s.take(10 * slotUnit)
	require.NoError(t, err)
	larger, err := s.take(20 * slotUnit)
	require.NoError(t, err)
	require.NoError(t, s.give(again, 0))
	require.NoError(t, s.give(large, 0))
	other, err := s.take(2)
	require.NoError(t, err)
	require.Same(t, first, other, "not one that is far too large")
	require.NoError(t, s.give(larger, 0))
	require.NoError(t, s.give(other, 0))
	require.Len(t, s.free, 2)
	require.Nil(t, large.Bytes, "the longest unused is given up")

	used, err := s.take(1)
	require.NoError(t, err)
	require.NoError(t, s.close())
	require.NoError(t, s.give(used, 1))
	require.Nil(t, used.Bytes)
	require.Nil(t, larger.Bytes)
}

func TestRequestsSurviveTheMemory(t *testing.T) {
	t.Parallel()
	_, _, g, _ := bn254.Generators()
	vector := func(n int) fr.Vector {
		v := make(fr.Vector, n)
		v.MustSetRandom()
		return v
	}
	want := gpu.Request{Solution: gpu.Solution{
		W: vector(100_000), A: vector(3), B: vector(1), C: nil, NbPublic: -3,
		Commitments: []gpu.Commitment{{Wires: []uint32{7, 1 << 31, 9}, Challenge: 4, Point: g}, {Point: bn254.G1Affine{}}, {Wires: []uint32{1}, Point: g}},
	}}
	want.Blinding.R.MustSetRandom()
	described := describeProve(&want)
	size, err := proveSize(described)
	require.NoError(t, err)
	memory := make([]byte, size)
	writeProve(memory, &want)
	got, err := readProve(memory, described)
	require.NoError(t, err)
	require.Equal(t, want, got)

	_, err = readProve(memory[:size-1], described)
	require.ErrorIs(t, err, errLayout)
	described.Commitments[0].Point[5] ^= 1
	_, err = readProve(memory, described)
	require.ErrorIs(t, err, gpu.ErrBadSolution)
	for _, p := range []*proto.Prove{
		{Wires: 1 << 63}, {A: 1 << 63, B: 1 << 63}, {C: maxElements + 1}, {Commitments: []*proto.Commitment{{Wires: 1 << 62}}},
	} {
		_, err := proveSize(p)
		require.ErrorIs(t, err, errLayout)
	}
}

func TestTailKeepsTheLastWords(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                                "",
		"one\n\ntwo\nthree":               "one | two | three",
		"1\n2\n3\n4\n5\n6\n":              "3 | 4 | 5 | 6",
		"x\npanic: why\n\ngoroutine 1\nm": "panic: why | goroutine 1",
	} {
		words := &tail{}
		for i := range text {
			_, err := words.Write([]byte(text[i : i+1]))
			require.NoError(t, err)
		}
		require.Equal(t, want, words.String())
	}
}
