package host

import (
	"log/slog"
	"sync/atomic"

	"github.com/gristmill-zk/gristmill/internal/subprocess"
	"github.com/gristmill-zk/gristmill/wire"
)

// pluginLog is the log of a plugin, each line with the plugin's name and the
// task it is at.
type pluginLog struct {
	*subprocess.Log
	task atomic.Pointer[wire.Hash]
}

func newPluginLog(l *slog.Logger, name string) *pluginLog {
	p := &pluginLog{}
	p.Log = subprocess.NewLog(l.With(slog.String("plugin", name)), func() []slog.Attr {
		if task := p.task.Load(); task != nil && !task.IsZero() {
			return []slog.Attr{slog.String("task", task.String())}
		}
		return nil
	})
	return p
}

func (p *pluginLog) setTask(id wire.Hash) { p.task.Store(&id) }
