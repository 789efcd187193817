package worker

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/hibiken/asynq"
)

// asynqLogger sends Asynq's log to slog. Its notices of starting and stopping
// are of interest only when debugging.
type asynqLogger struct {
	ctx    context.Context
	logger *slog.Logger
}

var _ asynq.Logger = asynqLogger{}

func (l asynqLogger) log(level slog.Level, args ...any) {
	l.logger.Log(l.ctx, level, "asynq", "message", fmt.Sprint(args...))
}

func (l asynqLogger) Debug(args ...any) { l.log(slog.LevelDebug-4, args...) }
func (l asynqLogger) Info(args ...any)  { l.log(slog.LevelDebug, args...) }
func (l asynqLogger) Warn(args ...any)  { l.log(slog.LevelWarn, args...) }
func (l asynqLogger) Error(args ...any) { l.log(slog.LevelError, args...) }

// Fatal is logged as an error: ending the process is not a library's to do.
func (l asynqLogger) Fatal(args ...any) { l.log(slog.LevelError, args...) }
