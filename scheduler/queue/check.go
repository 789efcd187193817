package queue

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"
)

// The oldest Redis that Asynq's scripts and our keys are tested with.
const minMajor, minMinor = 6, 2

// Check implements scheduler.Dispatcher: the server answers, is recent enough
// and never drops keys on its own. One that keeps nothing across its restart
// is only warned about, as the scheduler dispatches again from its store.
func (q *Queue) Check(ctx context.Context) error {
	if q.cfg.Embedded {
		return ping(ctx, q.redis)
	}
	warning, err := CheckServer(ctx, q.redis)
	if warning != "" {
		q.logger.WarnContext(ctx, warning)
	}
	return err
}

// CheckServer says whether a Redis is fit to carry jobs, or is with a warning.
func CheckServer(ctx context.Context, client redis.UniversalClient) (warning string, err error) {
	if err := ping(ctx, client); err != nil {
		return "", err
	}
	info := map[string]string{}
	for _, section := range []string{"server", "memory", "persistence"} {
		text, err := client.Info(ctx, section).Result()
		if err != nil {
			return "", fmt.Errorf("redis INFO %s: %w", section, err)
		}
		for line := range strings.Lines(text) {
			if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
				info[name] = value
			}
		}
	}
	if err := checkVersion(info["redis_version"]); err != nil {
		return "", err
	}
	if policy := info["maxmemory_policy"]; policy != "noeviction" {
		return "", fmt.Errorf("redis may evict queued jobs: maxmemory-policy is %q, set it to noeviction (redis-cli CONFIG SET maxmemory-policy noeviction)", policy)
	}
	if info["aof_enabled"] != "1" {
		warning = "redis keeps no append-only file: after its restart every running attempt is dispatched again; set appendonly yes"
	}
	return warning, nil
}

func ping(ctx context.Context, client redis.UniversalClient) error {
	if err := client.Ping(ctx).Err(); err != nil {
		return fmt.Errorf("redis does not answer: %w", err)
	}
	return nil
}

func checkVersion(version string) error {
	parts := strings.SplitN(version, ".", 3)
	if len(parts) < 2 {
		return fmt.Errorf("redis reports version %q, need %d.%d or newer", version, minMajor, minMinor)
	}
	major, errMajor := strconv.Atoi(parts[0])
	minor, errMinor := strconv.Atoi(parts[1])
	if errMajor != nil || errMinor != nil || major < minMajor || (major == minMajor && minor < minMinor) {
		return fmt.Errorf("redis is version %s, need %d.%d or newer", version, minMajor, minMinor)
	}
	return nil
}
