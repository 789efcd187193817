package node

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/gristmill-zk/gristmill/gpu"
	"github.com/gristmill-zk/gristmill/gpu/cpu"
	"github.com/gristmill-zk/gristmill/gpu/engines"
	"github.com/gristmill-zk/gristmill/gpu/health"
	"github.com/gristmill-zk/gristmill/worker"
)

// Engines says what a worker proves on.
type Engines struct {
	// Names are those of gpu/engines, the preferred ones first; empty is the
	// processor. With others the processor proves what they fail at.
	Names []string
	// Memory is each engine's budget for resident keys in bytes; 0 is its own
	// default.
	Memory int64
	// Stall is how long an engine in another process may make no progress before
	// that process is killed; 0 is remote.DefaultStallTimeout.
	Stall time.Duration
	// Slots is how many tasks are worked on at once; 0 is worker.DefaultSlots.
	Slots int
}

func (e *Engines) validate() error {
	switch {
	case e.Slots < 0:
		return fmt.Errorf("--slots %d: want at least 1, or 0 for as many as keep the engines busy", e.Slots)
	case e.Stall < 0:
		return fmt.Errorf("--engine-stall %v: want a time, or 0 for two minutes", e.Stall)
	case e.Memory < 0:
		return fmt.Errorf("--engine-memory %d: want bytes, or 0 for the engine's own default", e.Memory)
	}
	return nil
}

// open opens the engines and sets them in cfg. They are closed with the group.
func (e *Engines) open(g *group, cfg *worker.Config) error {
	names := e.Names
	if len(names) == 0 {
		names = []string{cpu.Name}
	}
	open := func(name string) (gpu.Engine, error) {
		engine, err := engines.Open(name, engines.Options{Memory: e.Memory, Stall: e.Stall, Logger: g.opts.Logger})
		if err != nil {
			return nil, fmt.Errorf("--engine %s: %w", name, err)
		}
		g.onClose(engine.Close)
		return engine, nil
	}
	processor := false
	var cards []string // UUIDs
	for _, name := range names {
		engine, err := open(name)
		if err != nil {
			return err
		}
		cfg.Devices = append(cfg.Devices, engine)
		processor = processor || name == cpu.Name
		if engines.OnCard(name) {
			cards = append(cards, engine.Info().ID)
		}
	}
	if !processor {
		last, err := open(cpu.Name)
		if err != nil {
			return err
		}
		cfg.Fallback = last
	}
	if len(cards) > 0 || os.Getenv(health.FakeEnv) != "" {
		cfg.Unfit = unfit(health.Open(os.Getenv, engines.HealthReader()), cards)
	}
	cfg.Slots = e.Slots
	if cfg.Slots == 0 {
		cfg.Slots = worker.DefaultSlots(cfg.Devices)
	}
	return nil
}

// unfit names the devices that their readings keep from work, and why. A card
// that is not among the readings any more is lost: the driver then knows its bus
// address only.
func unfit(source health.Source, cards []string) func(context.Context) (map[string]string, error) {
	return func(ctx context.Context) (map[string]string, error) {
		readings, err := source.Read(ctx)
		if err != nil {
			return nil, err
		}
		bad := map[string]string{}
		for _, id := range cards {
			bad[id] = "the driver does not list it any more"
		}
		for _, r := range readings {
			delete(bad, r.UUID)
			if ok, reasons := health.Healthy(r, health.Limits{}); !ok {
				bad[r.UUID] = health.Sentence(reasons)
			}
		}
		return bad, nil
	}
}
