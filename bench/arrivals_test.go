package bench

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

const ms = time.Millisecond

// TestOpenLoopCountsFromTheIntendedArrival has a server that stalls once: the
// tasks that arrive meanwhile carry the stall in their latencies.
func TestOpenLoopCountsFromTheIntendedArrival(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		service := []time.Duration{10 * ms, 500 * ms, 10 * ms, 10 * ms, 10 * ms}
		arrivals := []time.Duration{0, 100 * ms, 200 * ms, 300 * ms, 900 * ms}
		latencies, wall, err := openLoop(t.Context(), arrivals, 1, func(_ context.Context, i int) error {
			time.Sleep(service[i]) // on the bubble's clock
			return nil
		})
		require.NoError(t, err)
		require.Equal(t, []time.Duration{10 * ms, 500 * ms, 410 * ms, 320 * ms, 10 * ms}, latencies)
		require.Equal(t, 910*ms, wall)
	})
}

func TestOpenLoopServesSeveralAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		latencies, wall, err := openLoop(t.Context(), make([]time.Duration, 5), 2, func(context.Context, int) error {
			time.Sleep(100 * ms)
			return nil
		})
		require.NoError(t, err)
		require.ElementsMatch(t, []time.Duration{100 * ms, 100 * ms, 200 * ms, 200 * ms, 300 * ms}, latencies)
		require.Equal(t, 300*ms, wall)
	})
}

func TestOpenLoopEndsWithTheFirstErrorOrTheCause(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	synctest.Test(t, func(t *testing.T) {
		served := 0
		_, _, err := openLoop(t.Context(), []time.Duration{0, time.Hour}, 1, func(context.Context, int) error {
			served++
			return broken
		})
		require.ErrorIs(t, err, broken)
		require.Equal(t, 1, served)
	})
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Minute, func() { cancel(broken) })
		_, _, err := openLoop(ctx, []time.Duration{time.Hour}, 1, func(context.Context, int) error { return nil })
		require.ErrorIs(t, err, broken)
	})
}

func TestPoissonKeepsItsRateAndItsSeed(t *testing.T) {
	t.Parallel()
	arrivals := poisson(20_000, 50, 7)
	require.Equal(t, arrivals[:100], poisson(100, 50, 7))
	require.NotEqual(t, arrivals[:100], poisson(100, 50, 8))
	require.InEpsilon(t, 400, arrivals[len(arrivals)-1].Seconds(), 0.03)
	// Times between arrivals of a Poisson process deviate as much as they last.
	var sum, squares float64
	last := time.Duration(0)
	for _, at := range arrivals {
		gap := (at - last).Seconds()
		sum, squares, last = sum+gap, squares+gap*gap, at
	}
	mean := sum / float64(len(arrivals))
	require.InEpsilon(t, mean*mean, squares/float64(len(arrivals))-mean*mean, 0.05)
}
