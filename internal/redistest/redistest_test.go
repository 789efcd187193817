package redistest_test

import (
	"context"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/gristmill-zk/gristmill/internal/redistest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestKilledServerKeepsWhatItAcknowledged(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	client := redis.NewClient(&redis.Options{Addr: server.Addr})
	defer func() { require.NoError(t, client.Close()) }()
	ctx := context.Background()
	require.NoError(t, client.Set(ctx, "k", "v", 0).Err())
	server.Kill()
	require.Error(t, client.Ping(ctx).Err())
	server.Restart()
	require.Equal(t, "v", client.Get(ctx, "k").Val())
	server.FlushAll()
	require.EqualValues(t, 0, client.DBSize(ctx).Val())
}
