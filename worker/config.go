package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/hibiken/asynq"

	"github.com/gristmill-zk/gristmill/gpu"
	"github.com/gristmill-zk/gristmill/gpu/pool"
	"github.com/gristmill-zk/gristmill/plugins/bundle"
	"github.com/gristmill-zk/gristmill/plugins/bundle/fetch"
)

// Config is what a worker needs.
type Config struct {
	// Redis is how to reach the queue; required.
	Redis asynq.RedisConnOpt
	// Slots is how many jobs are worked on at once: each may hold a plugin
	// process and a solution in memory. 0 means DefaultSlots.
	Slots int
	// Devices make the proofs, the preferred ones first; at least one. The caller
	// closes them, after Run.
	Devices []gpu.Engine
	// Fallback proves what the devices fail at; nil when the only device is the
	// processor. The caller closes it, after Run.
	Fallback gpu.Engine
	// Unfit says which devices must get no work, as pool.Config has it; nil when
	// nobody looks.
	Unfit func(context.Context) (map[string]string, error)
	// Pool sets the failure policy; its Devices, Fallback, Unfit and Logger are
	// the ones above. The zero value has the defaults.
	Pool pool.Config
	// Plugins solves circuits; required. The caller closes it, after Run.
	Plugins Plugins
	// BundleDir holds bundles in directories named by their digest in hex;
	// required.
	BundleDir string
	// AllowInsecure takes bundles whose keys one machine made by itself, and
	// whose proofs anyone who kept its secrets can forge. For development.
	AllowInsecure bool
	// Trust is the operator's allow-list of bundles; nil takes every bundle
	// that the chain names.
	Trust *bundle.Policy
	// Fetcher brings bundles that are missing in BundleDir; nil when they are put
	// there by hand. The caller closes it, after Run.
	Fetcher *fetch.Fetcher
	// Name tells this worker from others in results; default is the host's
	// name and the process id.
	Name string
	// DrainTimeout is how long jobs may go on once Run is told to end; what is
	// not done then is cancelled and reported as to be repeated. Default 30 s;
	// negative cancels at once.
	DrainTimeout time.Duration
	// FetchTimeout bounds one try to fetch a job's data; default 30 s.
	FetchTimeout time.Duration
	// SendTimeout is how long sending a result is tried before the job is
	// given back to the queue; default 1 min.
	SendTimeout time.Duration
	// Poll is how often an empty queue is looked at; default 200 ms.
	Poll time.Duration
	// Beat is how often an attempt's key is renewed and the stop key looked
	// for; default 5 s. The key lives three times as long.
	Beat time.Duration
	// Observe is told what happens to each attempt; it must not block. Nil is
	// fine.
	Observe func(Event)
	// Logger receives Asynq's log too; nil is slog.Default().
	Logger *slog.Logger
}

const maxSlots = 1024

// DefaultSlots is how many jobs keep devices busy: as many as they prove at once,
// and for each device one that is being solved meanwhile.
func DefaultSlots(devices []gpu.Engine) int {
	slots := 0
	for _, d := range devices {
		slots += d.Info().Parallel + 1
	}
	return min(slots, maxSlots)
}

func (c *Config) validate() error {
	switch {
	case c.Redis == nil:
		return errors.New("worker: Redis is required")
	case len(c.Devices) == 0:
		return errors.New("worker: Devices is empty: at least one proving engine is required")
	case c.Plugins == nil:
		return errors.New("worker: Plugins is required")
	case c.BundleDir == "":
		return errors.New("worker: BundleDir is required")
	case c.Slots < 0 || c.Slots > maxSlots:
		return fmt.Errorf("worker: Slots is %d, allowed are 0 to %d", c.Slots, maxSlots)
	}
	if c.Slots == 0 {
		c.Slots = DefaultSlots(c.Devices)
	}
	if c.Name == "" {
		host, err := os.Hostname()
		if err != nil {
			return fmt.Errorf("worker: name: %w", err)
		}
		c.Name = fmt.Sprintf("%s/%d", host, os.Getpid())
	}
	c.BundleDir = filepath.Clean(c.BundleDir)
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{
		{&c.FetchTimeout, 30 * time.Second},
		{&c.SendTimeout, time.Minute},
		{&c.Poll, 200 * time.Millisecond},
		{&c.Beat, 5 * time.Second},
	} {
		if *d.field <= 0 {
			*d.field = d.value
		}
	}
	if c.DrainTimeout == 0 {
		c.DrainTimeout = 30 * time.Second
	}
	if c.Observe == nil {
		c.Observe = func(Event) {}
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return nil
}
