package enginetest

import (
	"context"
	"errors"
	"io"
	"runtime"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gristmill-zk/gristmill/gpu"
)

func concurrent(t *testing.T, build New) {
	e := engine(t, build, plenty)
	var wg sync.WaitGroup
	failures := make(chan error, len(provable)*3)
	for i := range cap(failures) {
		f := Get(t, provable[i%len(provable)])
		request := f.Request(t)
		wg.Go(func() {
			proof, err := e.Prove(t.Context(), request)
			if err == nil {
				err = f.Verify(proof)
			}
			failures <- err
		})
	}
	wg.Wait()
	close(failures)
	for err := range failures {
		require.NoError(t, err)
	}
	require.EqualValues(t, len(provable), e.Stats().Loads, "each key is read once")
}

// keyBytes is what the engine takes for a fixture's key.
func keyBytes(t *testing.T, build New, f *Fixture) int64 {
	t.Helper()
	e := engine(t, build, plenty)
	require.NoError(t, e.Load(t.Context(), f.Key()))
	return e.Stats().KeyBytes
}

func evictsUnderPressure(t *testing.T, build New) {
	names := []string{"dense", "zeros", "bits"}
	largest := int64(0)
	for _, name := range names {
		largest = max(largest, keyBytes(t, build, Get(t, name)))
	}
	e := engine(t, build, largest)
	var wg sync.WaitGroup
	failures := make(chan error, 12)
	for i := range cap(failures) {
		f := Get(t, names[i%len(names)])
		request := f.Request(t)
		wg.Go(func() {
			proof, err := e.Prove(t.Context(), request)
			if err == nil {
				err = f.Verify(proof)
			}
			if err == nil {
				err = e.Evict(request.Key.ID)
			}
			if errors.Is(err, gpu.ErrInUse) || errors.Is(err, gpu.ErrNotLoaded) {
				err = nil
			}
			failures <- err
		})
	}
	wg.Wait()
	close(failures)
	for err := range failures {
		require.NoError(t, err)
	}
	stats := e.Stats()
	require.LessOrEqual(t, stats.KeyBytes, largest)
	require.NotZero(t, stats.Evictions)
	require.EqualValues(t, stats.Loads, stats.Evictions+uint64(stats.Keys))
}

// waitsForRoom: while the only room is taken by a key in use, here one that is
// still being read, another waits for it, as long as its caller does.
func waitsForRoom(t *testing.T, build New) {
	f, other := Get(t, "dense"), Get(t, "zeros")
	e := engine(t, build, max(keyBytes(t, build, f), keyBytes(t, build, other)))
	key, reading, finish := f.Key(), make(chan struct{}), make(chan struct{})
	var once, onceAsked sync.Once
	key.Open = func() (io.ReadCloser, error) {
		whole, err := f.Key().Open()
		first := io.LimitReader(whole, key.Size/2)
		return io.NopCloser(io.MultiReader(first, waiting(func() {
			once.Do(func() { close(reading) })
			<-finish
		}), whole)), err
	}
	goOn := sync.OnceFunc(func() { close(finish) })
	t.Cleanup(goOn) // before the engine is closed, which waits for the load
	loaded := make(chan error, 1)
	go func() { loaded <- e.Load(t.Context(), key) }()
	<-reading
	if errors.Is(e.Evict(key.ID), gpu.ErrNotLoaded) {
		// It copies a key before it books room for it: nobody has to wait yet.
		goOn()
		require.NoError(t, <-loaded)
		return
	}
	ctx, stop := context.WithCancelCause(t.Context())
	stopped := make(chan error, 1)
	late, asked := other.Key(), make(chan struct{})
	late.Open = func() (io.ReadCloser, error) {
		onceAsked.Do(func() { close(asked) })
		return other.Key().Open()
	}
	go func() { stopped <- e.Load(ctx, late) }()
	<-asked
	for range 10000 { // an engine that does not wait has its chance to show it
		require.ErrorIs(t, e.Evict(key.ID), gpu.ErrInUse)
		runtime.Gosched()
	}
	require.Empty(t, stopped, "it did not wait")
	stop(errWithdrawn)
	require.ErrorIs(t, <-stopped, errWithdrawn)
	goOn()
	require.NoError(t, <-loaded)
	require.NoError(t, e.Load(t.Context(), other.Key()), "it makes room for the next")
	require.EqualValues(t, 1, e.Stats().Keys)
}

// waiting is a reader of nothing that calls a function first.
type waiting func()

func (w waiting) Read([]byte) (int, error) { w(); return 0, io.EOF }

func budgetTooSmall(t *testing.T, build New) {
	f := Get(t, "dense")
	e := engine(t, build, keyBytes(t, build, f)-1)
	require.ErrorIs(t, e.Load(t.Context(), f.Key()), gpu.ErrBudget)
	_, err := e.Prove(t.Context(), f.Request(t))
	require.ErrorIs(t, err, gpu.ErrBudget)
	require.NoError(t, e.Load(t.Context(), Get(t, "single").Key()))
}

func evict(t *testing.T, build New) {
	e := engine(t, build, plenty)
	f := Get(t, "dense")
	require.ErrorIs(t, e.Evict(f.Key().ID), gpu.ErrNotLoaded)
	require.NoError(t, e.Load(t.Context(), f.Key()))
	require.NoError(t, e.Load(t.Context(), f.Key()))
	require.EqualValues(t, 1, e.Stats().Loads)
	require.NoError(t, e.Evict(f.Key().ID))
	require.Zero(t, e.Stats().KeyBytes)
	proof, err := e.Prove(t.Context(), f.Request(t))
	require.NoError(t, err)
	require.NoError(t, f.Verify(proof))
	require.EqualValues(t, 2, e.Stats().Loads)
}
