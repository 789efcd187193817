package embedredis_test

import (
	"context"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/gristmill-zk/gristmill/internal/embedredis"
	"github.com/gristmill-zk/gristmill/internal/service"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestKeysExpireAsTimePasses(t *testing.T) {
	t.Parallel()
	server, err := embedredis.Start(embedredis.Config{Tick: 10 * time.Millisecond})
	require.NoError(t, err)
	unit := service.New("queue", server.Run)
	require.NoError(t, unit.Start(t.Context()))
	defer unit.Stop()

	client := redis.NewClient(&redis.Options{Addr: server.Addr(), DisableIdentity: true})
	defer func() { require.NoError(t, client.Close()) }()
	ctx := context.Background()
	require.NoError(t, client.Set(ctx, "short", 1, 50*time.Millisecond).Err())
	require.NoError(t, client.Set(ctx, "long", 1, time.Hour).Err())
	require.Eventually(t, func() bool {
		n, err := client.Exists(ctx, "short").Result()
		return err == nil && n == 0
	}, time.Minute, 5*time.Millisecond)
	require.EqualValues(t, 1, client.Exists(ctx, "long").Val())
	server.Wipe()
	require.EqualValues(t, 0, client.Exists(ctx, "long").Val())
}

func TestTakenPortIsAnError(t *testing.T) {
	t.Parallel()
	server, err := embedredis.Start(embedredis.Config{})
	require.NoError(t, err)
	unit := service.New("queue", server.Run)
	require.NoError(t, unit.Start(t.Context()))
	defer unit.Stop()
	_, err = embedredis.Start(embedredis.Config{Addr: server.Addr()})
	require.ErrorContains(t, err, server.Addr())
}
