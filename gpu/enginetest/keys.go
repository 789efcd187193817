package enginetest

import (
	"errors"
	"io"
	"testing"

	"github.com/consensys/gnark-crypto/ecc"
	"github.com/stretchr/testify/require"

	"github.com/gristmill-zk/gristmill/gpu"
)

// wrongKey: an engine cannot know whose solution it is when the sizes agree,
// but then the proof must not verify.
func wrongKey(t *testing.T, build New) {
	e := engine(t, build, plenty)
	request := Get(t, "dense").Request(t)
	request.Key = Get(t, "bits").Key()
	_, err := e.Prove(t.Context(), request)
	require.ErrorIs(t, err, gpu.ErrBadSolution)

	twin := &chain{N: 300}
	other, err := NewFixture(twin, twin.assign(3, ecc.BN254.ScalarField()))
	require.NoError(t, err)
	request = other.Request(t)
	request.Key = Get(t, "dense").Key()
	proof, err := e.Prove(t.Context(), request)
	require.NoError(t, err)
	require.Error(t, other.Verify(proof))
	require.NoError(t, Get(t, "dense").Verify(proof), "it is a proof under the key that was named")
}

func damagedKey(t *testing.T, build New) {
	e := engine(t, build, plenty)
	good := Get(t, "single").Dump
	load := func(dump []byte) error { return e.Load(t.Context(), BytesKey(dump)) }
	for _, n := range []int{0, 1, 7, 8, 15, 16, 17, 100, 600, 640, len(good) / 2, len(good) - 1} {
		require.ErrorIs(t, load(good[:n]), gpu.ErrBadKey, "cut to %d of %d bytes", n, len(good))
	}
	require.ErrorIs(t, load(append(append([]byte{}, good...), 0)), gpu.ErrBadKey, "a byte more")
	require.ErrorIs(t, load(make([]byte, len(good))), gpu.ErrBadKey, "zeros")
	for i := range good {
		if i == domainFlag {
			continue // says whether gnark would precompute, which no engine has to heed
		}
		for _, flip := range []byte{1, 0x80, 0xff} {
			bad := append([]byte{}, good...)
			bad[i] ^= flip
			err := load(bad)
			require.True(t, errors.Is(err, gpu.ErrBadKey) || errors.Is(err, gpu.ErrUnsupported) || errors.Is(err, gpu.ErrBudget),
				"byte %d of %d flipped by %#x: %v", i, len(good), flip, err)
		}
	}
	require.NoError(t, load(good))
}

// domainFlag is where a dump says whether gnark precomputes: after the marker,
// the cardinality and five elements.
const domainFlag = 8 + 8 + 5*32

func unreadableKey(t *testing.T, build New) {
	e := engine(t, build, plenty)
	f := Get(t, "dense")
	broken := errors.New("disk on fire")

	key := f.Key()
	key.Open = func() (io.ReadCloser, error) { return nil, broken }
	require.ErrorIs(t, e.Load(t.Context(), key), broken)

	for _, after := range []int64{0, 3, 700, key.Size / 2, key.Size} {
		key.Open = func() (io.ReadCloser, error) {
			whole, err := f.Key().Open()
			return io.NopCloser(io.MultiReader(io.LimitReader(whole, after), failing{broken})), err
		}
		require.ErrorIs(t, e.Load(t.Context(), key), broken, "after %d bytes", after)
	}
	require.NoError(t, e.Load(t.Context(), f.Key()), "a failed load must not block the key")
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }
