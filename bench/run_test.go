package bench

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"

	gnarklog "github.com/consensys/gnark/logger"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/gristmill-zk/gristmill/bench/circuits"
	"github.com/gristmill-zk/gristmill/bench/results"
	"github.com/gristmill-zk/gristmill/gpu"
	"github.com/gristmill-zk/gristmill/gpu/cpu"
)

func TestMain(m *testing.M) {
	gnarklog.Disable()
	goleak.VerifyTestMain(m)
}

func small(modes ...Mode) Config {
	return Config{
		Circuits: []string{"dense", "bits"}, Sizes: []int{8}, Engines: []string{"cpu", "gnark"}, Modes: modes,
		Runs: 2, Proofs: 2, Arrivals: 3, Watts: 100, PricePerHour: 0.36, PricePerKWh: 0.2, Command: "gristmill bench prove",
	}
}

// TestRun measures for real, writes the record and reads it back.
func TestRun(t *testing.T) {
	t.Parallel()
	cfg := small(Queued, Cold, Warm)
	var lines []string
	cfg.Progress = func(line string) { lines = append(lines, line) }
	record, err := Run(t.Context(), cfg)
	require.NoError(t, err)
	require.NotEmpty(t, lines)
	require.Len(t, record.Results, 2*1*2*3)
	for _, r := range record.Results {
		name := r.Circuit + " " + r.Mode + " " + r.Engine
		want := 4
		if r.Mode == "queued" {
			want = 6
			require.Positive(t, r.Offered, name)
		}
		require.Equal(t, want, r.Proofs, name)
		require.Equal(t, want, r.Verified, name)
		require.Len(t, r.Samples, want, name)
		require.Equal(t, 8, r.Log)
		require.Equal(t, 2, r.Runs)
		require.Positive(t, r.MedianMS, name)
		require.GreaterOrEqual(t, r.P99MS, r.MedianMS, name)
		require.InEpsilon(t, 3600*r.ProofsPerSecond, r.ProofsPerHour, 1e-9, name)
		require.InEpsilon(t, 1000*100/r.ProofsPerSecond, r.JoulesPer1000, 1e-9, name)
		require.InEpsilon(t, 0.36*1000/r.ProofsPerHour+0.2*r.JoulesPer1000/3.6e6, r.CostPer1000, 1e-9, name)
		if r.Engine == "cpu" {
			require.Positive(t, r.VsReference, name)
		}
	}
	dir := filepath.Join(t.TempDir(), "out")
	require.NoError(t, record.Write(dir))
	back, err := results.Read(dir)
	require.NoError(t, err)
	require.Equal(t, record, back)
}

func TestSeveralInFlight(t *testing.T) {
	t.Parallel()
	cfg := small(Warm, Queued)
	cfg.Circuits, cfg.InFlight, cfg.Proofs = []string{"bits"}, 2, 4
	record, err := Run(t.Context(), cfg)
	require.NoError(t, err)
	for _, r := range record.Results {
		require.Equal(t, r.Proofs, r.Verified)
		require.Positive(t, r.ProofsPerSecond)
	}
}

// wrong makes proofs of something else, or none.
type wrong struct {
	gpu.Engine
	fail error
}

func (w *wrong) Prove(ctx context.Context, req gpu.Request) (*gpu.Proof, error) {
	if w.fail != nil {
		return nil, w.fail
	}
	proof, err := w.Engine.Prove(ctx, req)
	if err == nil {
		proof.Ar.Neg(&proof.Ar)
	}
	return proof, err
}

func withEngine(cfg Config, name string, make func() *wrong) Config {
	cfg.Openers = Engines()
	cfg.Engines = append(cfg.Engines, name)
	cfg.Openers[name] = func(context.Context) (gpu.Engine, error) {
		engine, err := cpu.New(cpu.Config{})
		if err != nil {
			return nil, err
		}
		w := make()
		w.Engine = engine
		return w, nil
	}
	return cfg
}

func TestOnlyVerifiedProofsCount(t *testing.T) {
	t.Parallel()
	for name, make := range map[string]func() *wrong{
		"liar":   func() *wrong { return &wrong{} },
		"broken": func() *wrong { return &wrong{fail: gpu.ErrDevice} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := withEngine(small(Cold, Warm), name, make)
			cfg.Circuits = []string{"bits"}
			record, err := Run(t.Context(), cfg)
			require.ErrorIs(t, err, ErrUnverified)
			require.NotNil(t, record)
			for _, r := range record.Results {
				if r.Engine != name {
					require.Equal(t, r.Proofs, r.Verified)
					continue
				}
				require.Zero(t, r.Verified)
				require.Zero(t, r.MedianMS)
				require.Zero(t, r.ProofsPerSecond)
				require.Empty(t, r.Samples)
			}
			encoded, err := json.Marshal(record.Notes)
			require.NoError(t, err)
			require.Contains(t, string(encoded), "engine "+name)
		})
	}
}

func TestAMissingEngineIsAnErrorBeforeAnythingElse(t *testing.T) {
	t.Parallel()
	cfg := small(Warm)
	cfg.Engines = []string{"cpu", "cuda"}
	_, err := Run(t.Context(), cfg)
	require.ErrorIs(t, err, ErrNoEngine)
	require.ErrorContains(t, err, `"cuda" is known, there are cpu, cpu-tables, icicle, icicle-cpu, gnark`)
	missing := errors.New("no driver: install it")
	cfg.Openers = Engines()
	cfg.Openers["cuda"] = func(context.Context) (gpu.Engine, error) { return nil, missing }
	cfg.Progress = func(line string) { t.Errorf("measured: %s", line) }
	_, err = Run(t.Context(), cfg)
	require.ErrorIs(t, err, missing)
	require.ErrorIs(t, err, ErrNoEngine)
}

func TestACancelledRunReturnsTheCauseAndLeavesNothing(t *testing.T) {
	t.Parallel()
	cause := errors.New("stopped")
	ctx, cancel := context.WithCancelCause(t.Context())
	cfg := small(Warm)
	cfg.Keys = t.TempDir()
	cfg.Progress = func(string) { cancel(cause) }
	record, err := Run(ctx, cfg)
	require.ErrorIs(t, err, cause)
	require.Nil(t, record)
	left, err := os.ReadDir(cfg.Keys)
	require.NoError(t, err)
	require.Empty(t, left)
}

func TestSettingsAreChecked(t *testing.T) {
	t.Parallel()
	for text, change := range map[string]func(*Config){
		"runs is -1":            func(c *Config) { c.Runs = -1 },
		"proofs is -5":          func(c *Config) { c.Proofs = -5 },
		"in-flight is 300":      func(c *Config) { c.InFlight = 300 },
		"load is -1":            func(c *Config) { c.Load = -1 },
		"watts is -2":           func(c *Config) { c.Watts = -2 },
		"no circuits":           func(c *Config) { c.Circuits = nil },
		"engines has cpu twice": func(c *Config) { c.Engines = []string{"cpu", "gnark", "cpu"} },
		`no mode "hot"`:         func(c *Config) { c.Modes = []Mode{"hot"} },
		`"meters", there are`:   func(c *Config) { c.Circuits = []string{"meters"} },
		"dense has sizes 2^4":   func(c *Config) { c.Sizes = []int{99} },
	} {
		cfg := small(Warm)
		change(&cfg)
		_, err := Run(t.Context(), cfg)
		require.ErrorIs(t, err, ErrConfig, text)
		require.ErrorContains(t, err, text)
	}
	_, err := Run(t.Context(), Config{Circuits: []string{"meter"}, Sizes: []int{4}, Engines: []string{"cpu"}, Modes: []Mode{Warm}})
	require.ErrorIs(t, err, circuits.ErrSize)
}
