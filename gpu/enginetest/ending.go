package enginetest

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gristmill-zk/gristmill/gpu"
)

var errWithdrawn = errors.New("the task was withdrawn")

func cancelBefore(t *testing.T, build New) {
	e := engine(t, build, plenty)
	f := Get(t, "dense")
	ctx, stop := context.WithCancelCause(t.Context())
	stop(errWithdrawn)
	_, err := e.Prove(ctx, f.Request(t))
	require.ErrorIs(t, err, errWithdrawn)
	require.ErrorIs(t, e.Load(ctx, f.Key()), errWithdrawn)
	require.EqualValues(t, 1, e.Stats().Canceled)
	provesStill(t, e, f)
}

// cancelQueued: with more proofs than the engine makes at once, those that wait
// leave at once, and the others are not disturbed.
func cancelQueued(t *testing.T, build New) {
	e := engine(t, build, plenty)
	f := Get(t, "large")
	busy, queued := e.Info().Parallel, 3
	ctx, stop := context.WithCancelCause(t.Context())
	defer stop(nil)
	ended := make(chan error, busy)
	started := make(chan struct{}, 1)
	for range busy {
		request := f.Request(t)
		request.Progress = func(string) {
			select {
			case started <- struct{}{}:
			default:
			}
		}
		go func() {
			_, err := e.Prove(t.Context(), request)
			ended <- err
		}()
	}
	<-started
	withdrawn := make(chan error, queued)
	for range queued {
		request := f.Request(t)
		go func() {
			_, err := e.Prove(ctx, request)
			withdrawn <- err
		}()
	}
	stop(errWithdrawn)
	for range queued {
		if err := <-withdrawn; err != nil { // it may have been fast
			require.ErrorIs(t, err, errWithdrawn)
		}
	}
	for range busy {
		require.NoError(t, <-ended)
	}
	require.Zero(t, e.Stats().InFlight)
	provesStill(t, e, f)
}

// cancelMidProof ends proofs at their first stage; one of them at least must not
// have been too fast for it.
func cancelMidProof(t *testing.T, build New) {
	e := engine(t, build, plenty)
	f := Get(t, "large")
	canceled := uint64(0)
	for range 20 {
		ctx, stop := context.WithCancelCause(t.Context())
		request := f.Request(t)
		var stages atomic.Int64
		request.Progress = func(string) {
			stages.Add(1)
			stop(errWithdrawn)
		}
		proof, err := e.Prove(ctx, request)
		require.NotZero(t, stages.Load())
		require.Zero(t, e.Stats().InFlight, "Prove returned with the proof in flight")
		if err != nil {
			require.Nil(t, proof)
			require.ErrorIs(t, err, errWithdrawn)
			canceled++
			break
		}
		require.NoError(t, f.Verify(proof))
	}
	require.EqualValues(t, 1, canceled, "no proof could be ended in 20 tries")
	require.Equal(t, canceled, e.Stats().Canceled)
	require.Zero(t, e.Stats().Failures)
	provesStill(t, e, f)
}

// provesStill: what came before left the engine as good as new.
func provesStill(t *testing.T, e gpu.Engine, f *Fixture) {
	t.Helper()
	proof, err := e.Prove(t.Context(), f.Request(t))
	require.NoError(t, err)
	require.NoError(t, f.Verify(proof))
}

func closeEngine(t *testing.T, build New) {
	e := build(t, plenty)
	f := Get(t, "dense")
	require.NoError(t, e.Load(t.Context(), f.Key()))
	require.NoError(t, e.Close())
	require.NoError(t, e.Close())
	_, err := e.Prove(t.Context(), f.Request(t))
	require.ErrorIs(t, err, gpu.ErrClosed)
	require.ErrorIs(t, e.Load(t.Context(), f.Key()), gpu.ErrClosed)
	require.ErrorIs(t, e.Evict(f.Key().ID), gpu.ErrClosed)
	require.Zero(t, e.Stats().KeyBytes)
	require.NotEmpty(t, e.Info().Name)
}

// closeInFlight: a proof ends with ErrClosed or whole, never hangs or crashes.
func closeInFlight(t *testing.T, build New) {
	e := build(t, plenty)
	f := Get(t, "large")
	ended := make(chan error, 6)
	for range cap(ended) {
		request := f.Request(t)
		go func() {
			proof, err := e.Prove(t.Context(), request)
			if err == nil {
				err = f.Verify(proof)
			}
			ended <- err
		}()
	}
	require.NoError(t, e.Close())
	require.Zero(t, e.Stats().InFlight, "Close waits")
	for range cap(ended) {
		if err := <-ended; err != nil {
			require.ErrorIs(t, err, gpu.ErrClosed)
		}
	}
}
