package scheduler_test

import (
	"context"
	"errors"
	"math/big"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gristmill-zk/gristmill/internal/service"
	"github.com/gristmill-zk/gristmill/scheduler"
)

func TestConfigNamesWhatIsWrong(t *testing.T) {
	t.Parallel()
	e := newWorld(t, t.TempDir())
	require.NoError(t, e.cfg.Validated())
	for want, spoil := range map[string]func(*scheduler.Config){
		"Chain is required":      func(c *scheduler.Config) { c.Chain = nil },
		"Dispatcher is required": func(c *scheduler.Config) { c.Dispatcher = nil },
		"Prover is required":     func(c *scheduler.Config) { c.Prover = zero },
		"DB is required":         func(c *scheduler.Config) { c.DB = "" },
		"Attempts is -1":         func(c *scheduler.Config) { c.Attempts = -1 },
		"Settles is 5000":        func(c *scheduler.Config) { c.Settles = 5000 },
		"MinProveWindow is -1s":  func(c *scheduler.Config) { c.MinProveWindow = -time.Second },
		"MinReward is -1":        func(c *scheduler.Config) { c.MinReward = big.NewInt(-1) },
		"LostAfter is -1s":       func(c *scheduler.Config) { c.LostAfter = -time.Second },
		"RetryMin 1h0m0s":        func(c *scheduler.Config) { c.RetryMin = time.Hour },
		`"nowhere" is not`:       func(c *scheduler.Config) { c.PublicURL = "nowhere" },
		`"file:///x" is not`:     func(c *scheduler.Config) { c.DataURLs = []string{"file:///x"} },
	} {
		cfg := e.cfg
		spoil(&cfg)
		_, err := scheduler.New(t.Context(), cfg)
		require.ErrorContains(t, err, want)
	}
}

func TestUnfitQueueIsToldAtTheStart(t *testing.T) {
	t.Parallel()
	e := newWorld(t, t.TempDir())
	e.queue.SetDown(errors.New("maxmemory-policy is \"allkeys-lru\""))
	s, err := scheduler.New(t.Context(), e.cfg)
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close()) }()
	unit := service.New("scheduler", s.Run)
	require.ErrorContains(t, unit.Start(context.Background()), "allkeys-lru")
}

func TestTakenListenAddressIsAnError(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	s, _ := e.start(t)
	again := newWorld(t, t.TempDir())
	again.cfg.Listen = s.URL()[len("http://"):]
	second, err := scheduler.New(t.Context(), again.cfg)
	require.NoError(t, err)
	defer func() { require.NoError(t, second.Close()) }()
	require.ErrorContains(t, service.New("second", second.Run).Start(t.Context()), "address already in use")
}
