package cpu_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/gristmill-zk/gristmill/gpu"
	"github.com/gristmill-zk/gristmill/gpu/cpu"
	"github.com/gristmill-zk/gristmill/gpu/enginetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestConformance(t *testing.T) {
	t.Parallel()
	for name, cfg := range map[string]cpu.Config{
		"all cores": {},
		"one core":  {Cores: 1, Parallel: 3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			enginetest.Run(t, func(t testing.TB, memory int64) gpu.Engine {
				cfg := cfg
				cfg.Memory = memory
				engine, err := cpu.New(cfg)
				require.NoError(t, err)
				return engine
			})
		})
	}
}

func TestConfigNamesTheField(t *testing.T) {
	t.Parallel()
	for field, cfg := range map[string]cpu.Config{
		"cores":    {Cores: -1},
		"parallel": {Parallel: 1000},
		"memory":   {Memory: -1},
	} {
		_, err := cpu.New(cfg)
		require.ErrorContains(t, err, field)
	}
}

// TestBrokenConstraintIsSeen: the quotient's last coefficient gives away any
// single constraint that does not hold, before anything is spent on the curve.
func TestBrokenConstraintIsSeen(t *testing.T) {
	t.Parallel()
	engine, err := cpu.New(cpu.Config{})
	require.NoError(t, err)
	defer func() { require.NoError(t, engine.Close()) }()
	f := enginetest.Get(t, "dense")
	for i := range f.Solution().C {
		request := f.Request(t)
		request.Solution.C[i].SetUint64(1)
		_, err := engine.Prove(t.Context(), request)
		require.ErrorIs(t, err, gpu.ErrBadSolution, "constraint %d", i)
	}
}
