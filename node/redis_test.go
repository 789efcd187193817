package node

import (
	"bytes"
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gristmill-zk/gristmill/internal/redistest"
)

func TestRedisFlag(t *testing.T) {
	t.Parallel()
	plain, err := redisFlag("127.0.0.1:6379")
	require.NoError(t, err)
	require.Equal(t, "127.0.0.1:6379", plain.Addr)
	require.Nil(t, plain.TLSConfig)

	full, err := redisFlag("rediss://mill:p%40ss@queue.example:6380/3")
	require.NoError(t, err)
	require.Equal(t, "queue.example:6380", full.Addr)
	require.Equal(t, "mill", full.Username)
	require.Equal(t, "p@ss", full.Password)
	require.Equal(t, 3, full.DB)
	require.Equal(t, "queue.example", full.TLSConfig.ServerName)

	for _, bad := range []string{
		"hunter2", "hunter2@queue:6379", "me:hunter2@queue:6379", "queue:",
		"redis://me:hunter2@queue", "redis://me:hunter2@:6379", "redis://me:hunter2#x@queue:6379",
		"redis://me:hunter2@queue:6379/one", "redis://me:hunter2@queue:6379/-1", "redis://me:hunter2@queue:6379/1/2",
		"redis://me:hunter2@queue:6379?db=1", "redis://hunter2@queue:6379", "http://me:hunter2@queue:6379",
		"redis-sentinel://me:hunter2@queue:6379", "redis://me:hun%ter2@queue:6379", "redis://me:hunter2/@queue:6379",
	} {
		_, err := redisFlag(bad)
		require.ErrorContains(t, err, "--redis", bad)
		require.NotContains(t, err.Error(), "hun", bad)
	}
}

// TestWorkerLogsInToRedis takes the URL from the flag, then from the node.json
// of a running node, and is turned away with the wrong password.
func TestWorkerLogsInToRedis(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, "--requirepass", "correct horse")
	good, wrong := "redis://:correct%20horse@"+server.Addr+"/1", "redis://:hunter2@"+server.Addr+"/1"

	work := func(flag, published string) (string, error) {
		dir, err := OpenDataDir(t.TempDir())
		require.NoError(t, err)
		if published != "" {
			running := &group{opts: RoleOptions{Dir: dir}}
			defer func() { require.NoError(t, running.end()) }()
			require.NoError(t, running.lock(upRole))
			require.NoError(t, running.record(upRole, Info{Redis: published}))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		var logs bytes.Buffer
		greeting := &told{tell: cancel}
		err = RunWorker(ctx, WorkerOptions{
			RoleOptions: RoleOptions{Dir: dir, Out: greeting, Logger: slog.New(slog.NewTextHandler(&logs, nil))},
			Redis:       flag, Engines: Engines{Slots: 1}, Name: "w",
		})
		return greeting.String() + logs.String(), err
	}
	for _, from := range [][2]string{{good, ""}, {"", good}} {
		out, err := work(from[0], from[1])
		require.NoError(t, err, out)
		require.Contains(t, out, "queue at "+server.Addr)
		require.NotContains(t, out, "horse")
	}
	out, err := work(wrong, "")
	require.ErrorContains(t, err, "WRONGPASS")
	require.NotContains(t, out+err.Error(), "hunter2")
}

// told tells of what is written to it.
type told struct {
	bytes.Buffer
	tell func()
}

func (t *told) Write(p []byte) (int, error) {
	defer t.tell()
	return t.Buffer.Write(p)
}
