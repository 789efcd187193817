package subprocess

import (
	"bytes"
	"context"
	"io"
	"log"
	"log/slog"
	"strings"
	"sync"

	"github.com/hashicorp/go-hclog"
)

// Log brings what a child process prints and what go-plugin says about it into
// the parent's log.
type Log struct {
	logger *slog.Logger
	attrs  func() []slog.Attr
}

// NewLog makes a log. The attributes that attrs returns, which may be nil, are
// added to every line.
func NewLog(l *slog.Logger, attrs func() []slog.Attr) *Log {
	return &Log{logger: l, attrs: attrs}
}

// Emit writes one line.
func (p *Log) Emit(level slog.Level, msg string, attrs ...slog.Attr) {
	if p.attrs != nil {
		attrs = append(attrs, p.attrs()...)
	}
	p.logger.LogAttrs(context.Background(), level, Clean(msg), attrs...)
}

// Writer logs what the process prints, line by line. Very long lines are cut
// where the buffer ends.
func (p *Log) Writer(stream string) io.Writer {
	return &lineWriter{emit: func(line string) {
		p.Emit(slog.LevelInfo, line, slog.String("stream", stream))
	}}
}

// Clean makes a process's text fit for logs and errors: one line of valid UTF-8
// without control characters, of bounded length.
func Clean(text string) string {
	const most = 1000
	if len(text) > most {
		text = text[:most] + "…"
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
}

const maxLine = 4096

type lineWriter struct {
	mu   sync.Mutex
	rest []byte
	emit func(string)
}

func (w *lineWriter) Write(data []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := len(data)
	for len(data) > 0 {
		line, rest, ended := bytes.Cut(data, []byte{'\n'})
		w.rest = append(w.rest, line[:min(len(line), maxLine-min(len(w.rest), maxLine))]...)
		if ended && len(w.rest) > 0 {
			w.emit(string(w.rest))
			w.rest = w.rest[:0]
		}
		data = rest
	}
	return n, nil
}

// HCLog is the log as go-plugin wants it.
func (p *Log) HCLog() hclog.Logger { return &hclogAdapter{log: p} }

// hclogAdapter implements hclog.Logger. Levels are slog's: hclog's trace is
// four below debug.
type hclogAdapter struct {
	log  *Log
	name string
	args []any
}

const levelTrace = slog.LevelDebug - 4

// expected are messages go-plugin logs as errors and warnings although processes
// are ended in just that way. The caller reports one that ended by itself.
var expected = map[string]bool{
	"plugin process exited":            true,
	"plugin failed to exit gracefully": true,
	"error closing client during Kill": true,
}

func (a *hclogAdapter) emit(level slog.Level, msg string, args []any) {
	if expected[msg] {
		level = slog.LevelDebug
	}
	if !a.log.logger.Enabled(context.Background(), level) {
		return
	}
	var attrs []slog.Attr
	if a.name != "" {
		attrs = append(attrs, slog.String("source", a.name))
	}
	all := append(append([]any{}, a.args...), args...)
	for i := 0; i+1 < len(all); i += 2 {
		if key, ok := all[i].(string); ok {
			if key == "plugin" {
				key = "process" // "plugin" is taken by what runs in it
			}
			attrs = append(attrs, slog.Any(Clean(key), printable(all[i+1])))
		}
	}
	a.log.Emit(level, msg, attrs...)
}

func printable(v any) any {
	switch v := v.(type) {
	case string:
		return Clean(v)
	case error:
		return Clean(v.Error())
	default:
		return v
	}
}

func (a *hclogAdapter) Log(level hclog.Level, msg string, args ...any) {
	a.emit(slogLevel(level), msg, args)
}
func (a *hclogAdapter) Trace(msg string, args ...any) { a.emit(levelTrace, msg, args) }
func (a *hclogAdapter) Debug(msg string, args ...any) { a.emit(slog.LevelDebug, msg, args) }
func (a *hclogAdapter) Info(msg string, args ...any)  { a.emit(slog.LevelDebug, msg, args) }
func (a *hclogAdapter) Warn(msg string, args ...any)  { a.emit(slog.LevelWarn, msg, args) }
func (a *hclogAdapter) Error(msg string, args ...any) { a.emit(slog.LevelError, msg, args) }

func slogLevel(level hclog.Level) slog.Level {
	switch level {
	case hclog.Trace:
		return levelTrace
	case hclog.Debug, hclog.NoLevel:
		return slog.LevelDebug
	case hclog.Info:
		return slog.LevelInfo
	case hclog.Warn:
		return slog.LevelWarn
	default:
		return slog.LevelError
	}
}

func (a *hclogAdapter) enabled(level slog.Level) bool {
	return a.log.logger.Enabled(context.Background(), level)
}
func (a *hclogAdapter) IsTrace() bool { return a.enabled(levelTrace) }
func (a *hclogAdapter) IsDebug() bool { return a.enabled(slog.LevelDebug) }
func (a *hclogAdapter) IsInfo() bool  { return a.enabled(slog.LevelDebug) }
func (a *hclogAdapter) IsWarn() bool  { return a.enabled(slog.LevelWarn) }
func (a *hclogAdapter) IsError() bool { return a.enabled(slog.LevelError) }

func (a *hclogAdapter) ImpliedArgs() []any { return a.args }
func (a *hclogAdapter) With(args ...any) hclog.Logger {
	return &hclogAdapter{log: a.log, name: a.name, args: append(append([]any{}, a.args...), args...)}
}
func (a *hclogAdapter) Name() string { return a.name }
func (a *hclogAdapter) Named(name string) hclog.Logger {
	if a.name != "" {
		name = a.name + "." + name
	}
	return a.ResetNamed(name)
}
func (a *hclogAdapter) ResetNamed(name string) hclog.Logger {
	return &hclogAdapter{log: a.log, name: name, args: a.args}
}

// SetLevel does nothing: the host's logger decides.
func (a *hclogAdapter) SetLevel(hclog.Level)  {}
func (a *hclogAdapter) GetLevel() hclog.Level { return hclog.Trace }
func (a *hclogAdapter) StandardLogger(*hclog.StandardLoggerOptions) *log.Logger {
	return log.New(a.log.Writer("log"), "", 0)
}
func (a *hclogAdapter) StandardWriter(*hclog.StandardLoggerOptions) io.Writer {
	return a.log.Writer("log")
}
