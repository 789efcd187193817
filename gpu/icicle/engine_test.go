//go:build icicle

package icicle_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/gristmill-zk/gristmill/gpu"
	"github.com/gristmill-zk/gristmill/gpu/cpu"
	"github.com/gristmill-zk/gristmill/gpu/enginetest"
	"github.com/gristmill-zk/gristmill/gpu/icicle"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t testing.TB, cfg icicle.Config) gpu.Engine {
	t.Helper()
	cfg.Kind = kind()
	engine, err := icicle.Open(cfg)
	require.NoError(t, err)
	return engine
}

// TestConformance runs the suite that every engine passes, also with points
// precomputed.
func TestConformance(t *testing.T) {
	t.Parallel()
	for name, cfg := range map[string]icicle.Config{
		"default":     {},
		"precomputed": {Precompute: 3, Parallel: 3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			enginetest.Run(t, func(t testing.TB, memory int64) gpu.Engine {
				cfg := cfg
				cfg.Memory = memory
				return open(t, cfg)
			})
		})
	}
}

// TestSameProofsAsCPU: a proof follows from key, solution and blinding, whatever
// engine makes it.
func TestSameProofsAsCPU(t *testing.T) {
	t.Parallel()
	reference, err := cpu.New(cpu.Config{})
	require.NoError(t, err)
	defer func() { require.NoError(t, reference.Close()) }()
	engine := open(t, icicle.Config{})
	defer func() { require.NoError(t, engine.Close()) }()
	for _, kind := range []string{"dense", "bits"} {
		for log := 4; log <= 12; log += 2 {
			if kind == "bits" && log < 8 {
				continue // a word does not fit
			}
			f, err := enginetest.Sized(kind, log)
			require.NoError(t, err)
			request := f.Request(t)
			want, err := reference.Prove(t.Context(), request)
			require.NoError(t, err)
			got, err := engine.Prove(t.Context(), request)
			require.NoError(t, err)
			require.NoError(t, f.Verify(got), "%s 2^%d", kind, log)
			require.Equal(t, want, got, "%s 2^%d", kind, log)
		}
	}
}

// TestBrokenConstraintIsSeen: the quotient's last coefficient gives away any
// single constraint that does not hold.
func TestBrokenConstraintIsSeen(t *testing.T) {
	t.Parallel()
	engine := open(t, icicle.Config{})
	defer func() { require.NoError(t, engine.Close()) }()
	for _, name := range []string{"single", "dense"} {
		f := enginetest.Get(t, name)
		for i := 0; i < len(f.Solution().C); i += 37 {
			request := f.Request(t)
			request.Solution.C[i].SetUint64(1)
			_, err := engine.Prove(t.Context(), request)
			require.ErrorIs(t, err, gpu.ErrBadSolution, "constraint %d of %s", i, name)
		}
	}
}

func TestConfigNamesTheField(t *testing.T) {
	t.Parallel()
	for field, cfg := range map[string]icicle.Config{
		"parallel":   {Kind: icicle.CPU, Parallel: 1000},
		"memory":     {Kind: icicle.CPU, Memory: -1},
		"precompute": {Kind: icicle.CPU, Precompute: 99},
	} {
		_, err := icicle.Open(cfg)
		require.ErrorContains(t, err, field)
	}
	_, err := icicle.Open(icicle.Config{Kind: "TPU"})
	require.ErrorIs(t, err, gpu.ErrUnsupported)
	_, err = icicle.Open(icicle.Config{Kind: icicle.CPU, Index: 1})
	require.ErrorIs(t, err, gpu.ErrDevice)
}
