package worker

import (
	"context"
	"errors"
	"strings"

	"github.com/gristmill-zk/gristmill/plugins/bundle"
	"github.com/gristmill-zk/gristmill/plugins/host"
	"github.com/gristmill-zk/gristmill/wire"
)

// Plugins opens circuits for solving. HostPlugins is the real one.
type Plugins interface {
	Open(ctx context.Context, b *bundle.Bundle) (Circuit, error)
}

// Circuit solves tasks. Solve returns only when nothing works on the task any
// more, also after ctx ended.
type Circuit interface {
	Solve(ctx context.Context, task host.Task) (*host.Solution, error)
}

// HostPlugins solves in subprocesses of h.
func HostPlugins(h *host.Host) Plugins { return hostPlugins{h} }

type hostPlugins struct{ host *host.Host }

func (p hostPlugins) Open(ctx context.Context, b *bundle.Bundle) (Circuit, error) {
	c, err := p.host.Open(ctx, b)
	if err != nil {
		return nil, err
	}
	return c, nil
}

// pluginFailure is the failed result for an error of the plugin host; nil for
// other errors.
func pluginFailure(err error) *wire.WorkError {
	var failed *host.Error
	if !errors.As(err, &failed) {
		return nil
	}
	code := "plugin_" + strings.ReplaceAll(string(failed.Code), "-", "_")
	return failure(code, failed.Retry(), "%v", failed)
}
