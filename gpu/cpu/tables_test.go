package cpu_test

import (
	"bytes"
	"context"
	"errors"
	"runtime"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gristmill-zk/gristmill/gpu"
	"github.com/gristmill-zk/gristmill/gpu/cpu"
	"github.com/gristmill-zk/gristmill/gpu/enginetest"
)

func newEngine(t *testing.T, cfg cpu.Config) *cpu.Engine {
	t.Helper()
	engine, err := cpu.New(cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, engine.Close()) })
	return engine
}

// bare is what the key takes without tables.
func bare(t *testing.T, f *enginetest.Fixture) int64 {
	t.Helper()
	engine := newEngine(t, cpu.Config{})
	require.NoError(t, engine.Load(t.Context(), f.Key()))
	return engine.Stats().KeyBytes
}

// TestTablesChangeNoProof: with tables of any size the proof is the same.
func TestTablesChangeNoProof(t *testing.T) {
	t.Parallel()
	names := []string{"dense", "bits", "idle", "single", "public", "bsb22 x2"}
	if !testing.Short() {
		names = append(names, "large")
	}
	for _, name := range names {
		f := enginetest.Get(t, name)
		request := f.Request(t)
		plain := newEngine(t, cpu.Config{TablesAfter: -1})
		want, err := plain.Prove(t.Context(), request)
		require.NoError(t, err, name)
		key := bare(t, f)
		for _, memory := range []int64{2 * key, 4 * key, 8 * key, 100 * key} {
			engine := newEngine(t, cpu.Config{TablesAfter: -1, Memory: memory})
			err := engine.Tabulate(t.Context(), f.Key())
			if memory < 8*key && errors.Is(err, gpu.ErrBudget) {
				continue // small keys are mostly the domain
			}
			require.NoError(t, err, name)
			require.LessOrEqual(t, engine.Stats().KeyBytes, memory)
			got, err := engine.Prove(t.Context(), request)
			require.NoError(t, err, name)
			require.Equal(t, want, got, "%s in %d bytes", name, memory)
		}
	}
}

// TestTablesGiveWay: tables take only what is free and give it back before any
// key is evicted.
func TestTablesGiveWay(t *testing.T) {
	t.Parallel()
	f, other := enginetest.Get(t, "dense"), enginetest.Get(t, "zeros")
	key, second := bare(t, f), bare(t, other)
	none := newEngine(t, cpu.Config{Memory: key})
	require.ErrorIs(t, none.Tabulate(t.Context(), f.Key()), gpu.ErrBudget)
	require.EqualValues(t, key, none.Stats().KeyBytes)

	engine := newEngine(t, cpu.Config{Memory: 8 * key})
	require.NoError(t, engine.Tabulate(t.Context(), f.Key()))
	full := engine.Stats().KeyBytes
	require.Greater(t, full, 2*key)
	require.NoError(t, engine.Tabulate(t.Context(), f.Key()), "once is enough")
	require.Equal(t, full, engine.Stats().KeyBytes)

	tight := newEngine(t, cpu.Config{Memory: full})
	require.NoError(t, tight.Tabulate(t.Context(), f.Key()))
	require.Greater(t, tight.Stats().KeyBytes+second, full, "no room is left")
	require.NoError(t, tight.Load(t.Context(), other.Key()))
	stats := tight.Stats()
	require.Equal(t, 2, stats.Keys)
	require.Zero(t, stats.Evictions, "the tables went, not the key")
	require.Equal(t, key+second, stats.KeyBytes)
	proof, err := tight.Prove(t.Context(), f.Request(t))
	require.NoError(t, err)
	require.NoError(t, f.Verify(proof))

	require.NoError(t, engine.Evict(f.Key().ID))
	require.Zero(t, engine.Stats().KeyBytes)
}

// TestTablesComeByThemselves after some proofs, and an engine that closes while
// they are made waits for that to end.
func TestTablesComeByThemselves(t *testing.T) {
	t.Parallel()
	f := enginetest.Get(t, "single")
	engine := newEngine(t, cpu.Config{TablesAfter: 3})
	before := int64(0)
	for i := range 3 {
		_, err := engine.Prove(t.Context(), f.Request(t))
		require.NoError(t, err)
		if i == 1 {
			before = engine.Stats().KeyBytes
		}
	}
	for engine.Stats().KeyBytes == before { // until the tables' memory is reserved
		runtime.Gosched()
	}

	closing := newEngine(t, cpu.Config{TablesAfter: 1})
	large := enginetest.Get(t, "large")
	_, err := closing.Prove(t.Context(), large.Request(t))
	require.NoError(t, err)
	require.NoError(t, closing.Close())
}

// TestTablesUnderPressure: proofs of several keys stay right while tables come
// and go.
func TestTablesUnderPressure(t *testing.T) {
	t.Parallel()
	names := []string{"dense", "zeros", "bits", "idle"}
	engine := newEngine(t, cpu.Config{TablesAfter: 1, Memory: 3 * bare(t, enginetest.Get(t, "dense")), Parallel: 3})
	var wg sync.WaitGroup
	failures := make(chan error, 24)
	for i := range cap(failures) {
		f := enginetest.Get(t, names[i%len(names)])
		request := f.Request(t)
		wg.Go(func() {
			proof, err := engine.Prove(t.Context(), request)
			if err == nil {
				err = f.Verify(proof)
			}
			if i%5 == 0 {
				_ = engine.Evict(request.Key.ID)
			}
			failures <- err
		})
	}
	wg.Wait()
	close(failures)
	for err := range failures {
		require.NoError(t, err)
	}
	require.LessOrEqual(t, engine.Stats().KeyBytes, engine.Info().Memory)
}

// TestTabulateStops: a caller who gives up leaves no memory behind.
func TestTabulateStops(t *testing.T) {
	t.Parallel()
	f := enginetest.Get(t, "large")
	engine := newEngine(t, cpu.Config{})
	require.NoError(t, engine.Load(t.Context(), f.Key()))
	before := engine.Stats().KeyBytes
	why := errors.New("no more")
	ctx, stop := context.WithCancelCause(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- engine.Tabulate(ctx, f.Key()) }()
	for engine.Stats().KeyBytes == before { // until the tables' memory is reserved
		runtime.Gosched()
	}
	stop(why)
	require.ErrorIs(t, <-ended, why)
	require.Equal(t, before, engine.Stats().KeyBytes)
	require.ErrorIs(t, engine.Tabulate(t.Context(), enginetest.BytesKey(bytes.Repeat([]byte{7}, 900))), gpu.ErrBadKey)
}
