package mining_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/gristmill-zk/gristmill/bench/mining"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestRate(t *testing.T) {
	t.Parallel()
	report, err := mining.Run(t.Context(), mining.Config{Workers: []int{1, 2}, Time: 150 * time.Millisecond, Runs: 2})
	require.NoError(t, err)
	require.Len(t, report.Results, 2)
	for i, r := range report.Results {
		require.Equal(t, i+1, r.Workers)
		require.Len(t, r.Samples, 2)
		require.Positive(t, r.Least)
		require.GreaterOrEqual(t, r.Most, r.Rate)
		require.InEpsilon(t, r.Rate, r.PerCore*float64(r.Workers), 1e-9)
	}
}

func TestBadSettingsAndCancelling(t *testing.T) {
	t.Parallel()
	for _, cfg := range []mining.Config{{Workers: []int{0}}, {Runs: -1}, {Time: -1}} {
		_, err := mining.Run(t.Context(), cfg)
		require.ErrorIs(t, err, mining.ErrConfig)
	}
	cause := errors.New("stopped")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	_, err := mining.Run(ctx, mining.Config{Time: time.Hour})
	require.ErrorIs(t, err, cause)
}
