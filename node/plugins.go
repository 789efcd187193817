package node

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/gristmill-zk/gristmill/plugins/host"
	"github.com/gristmill-zk/gristmill/plugins/sandbox"
)

// Plugins says how a worker runs circuit plugins.
type Plugins struct {
	// Sandbox is what to do about layers that this machine lacks; empty is
	// sandbox.BestEffort.
	Sandbox sandbox.Mode
	// Time bounds the solving of one task; 0 is host.DefaultSolveTimeout. It is
	// how long a plugin that hangs keeps a slot.
	Time time.Duration
	// Memory bounds the writable memory of one plugin process in bytes; 0 is half
	// of the machine's, at most 16 GiB.
	Memory int64
}

// leastPluginMemory lets a plugin that does nothing yet start.
const leastPluginMemory = 64 << 20

func (p *Plugins) validate() error {
	switch {
	case p.Time < 0:
		return fmt.Errorf("--plugin-time %v: want a time, or 0 for %v", p.Time, host.DefaultSolveTimeout)
	case p.Memory != 0 && p.Memory < leastPluginMemory:
		return fmt.Errorf("--plugin-memory %d: want bytes, at least %d, or 0 for half of the machine's", p.Memory, leastPluginMemory)
	}
	return nil
}

// open starts a host with that many slots. It is closed with the group.
func (p *Plugins) open(g *group, slots int, logger *slog.Logger) (*host.Host, error) {
	h, err := host.New(host.Config{
		Slots: slots, Sandbox: p.Sandbox, SolveTimeout: p.Time, MemoryLimit: uint64(p.Memory), Logger: logger,
	})
	if err != nil {
		return nil, err
	}
	g.onClose(h.Close)
	return h, nil
}
