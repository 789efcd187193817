package queue

import (
	"context"
	"fmt"
	"log/slog"
	"sync"

	"github.com/redis/go-redis/v9"
)

// redisLog sends what the Redis client would print on stderr to slog. It is
// the client library's one logger for the process, so the first queue sets it.
var redisLog sync.Once

type redisLogger struct{ logger *slog.Logger }

// Printf implements the client library's logger.
func (l redisLogger) Printf(ctx context.Context, format string, args ...any) {
	l.logger.WarnContext(ctx, "redis", "message", fmt.Sprintf(format, args...))
}

func logRedis(logger *slog.Logger) {
	redisLog.Do(func() { redis.SetLogger(redisLogger{logger}) })
}

// asynqLogger sends Asynq's log to slog. Its notices of starting and stopping
// are of interest only when debugging.
type asynqLogger struct {
	ctx    context.Context
	logger *slog.Logger
}

func (l asynqLogger) log(level slog.Level, args ...any) {
	l.logger.Log(l.ctx, level, "asynq", "message", fmt.Sprint(args...))
}

func (l asynqLogger) Debug(args ...any) {}
func (l asynqLogger) Info(args ...any)  { l.log(slog.LevelDebug, args...) }
func (l asynqLogger) Warn(args ...any)  { l.log(slog.LevelWarn, args...) }
func (l asynqLogger) Error(args ...any) { l.log(slog.LevelError, args...) }

// Fatal is logged as an error: ending the process is not a library's to do.
func (l asynqLogger) Fatal(args ...any) { l.log(slog.LevelError, args...) }
