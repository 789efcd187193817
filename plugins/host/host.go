package host

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gristmill-zk/gristmill/internal/subprocess"
	"github.com/gristmill-zk/gristmill/plugins/bundle"
	"github.com/gristmill-zk/gristmill/plugins/sandbox"
	"github.com/gristmill-zk/gristmill/wire"
)

// DefaultSolveTimeout is how long a solve may take if nothing else is said.
const DefaultSolveTimeout = 10 * time.Minute

// Config says how plugins are run.
type Config struct {
	// Slots is how many solves may run at a time, over all circuits. Each needs
	// a process of its own. Defaults to 1.
	Slots int

	// RunDir is where directories for sockets are made, at most 66 bytes long.
	// Empty takes the system's temporary directory, or /tmp where its name is longer.
	RunDir string

	// StartTimeout bounds the time from starting a process to knowing that it
	// is the circuit of the bundle. Defaults to 60 s.
	StartTimeout time.Duration

	// SolveTimeout bounds a solve whose context has no earlier deadline, from
	// when it has a slot. Defaults to DefaultSolveTimeout.
	SolveTimeout time.Duration

	// IdleTimeout is how long a process without work is kept. Defaults to 5 min.
	IdleTimeout time.Duration

	// IdleMemory bounds the resident memory, in bytes, of all processes without
	// work together; those that have waited longest are ended for it. Defaults to
	// a quarter of MemoryLimit.
	IdleMemory uint64

	// MemoryLimit bounds a process's writable memory in bytes. Defaults to half
	// of the machine's memory, at most 16 GiB.
	MemoryLimit uint64

	// Sandbox says what to do when the machine lacks layers of the plugins'
	// sandbox. Defaults to sandbox.BestEffort. Unless it is sandbox.Off, the
	// program's main function must call sandbox.Main first.
	Sandbox sandbox.Mode

	// Logger receives what plugins print, with the plugin's name and task.
	// Defaults to slog.Default.
	Logger *slog.Logger
}

func (c Config) withDefaults() Config {
	if c.Slots == 0 {
		c.Slots = 1
	}
	if c.StartTimeout == 0 {
		c.StartTimeout = time.Minute
	}
	if c.SolveTimeout == 0 {
		c.SolveTimeout = DefaultSolveTimeout
	}
	if c.IdleTimeout == 0 {
		c.IdleTimeout = 5 * time.Minute
	}
	if c.MemoryLimit == 0 {
		c.MemoryLimit = defaultMemory()
	}
	if c.IdleMemory == 0 {
		c.IdleMemory = c.MemoryLimit / 4
	}
	if c.Sandbox == "" {
		c.Sandbox = sandbox.BestEffort
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c
}

// defaultMemory leaves the host and its engines as much as it gives a plugin.
func defaultMemory() uint64 {
	const most = 16 << 30
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err != nil {
		return most
	}
	return min(most, info.Totalram*uint64(info.Unit)/2)
}

func (c Config) validate() error {
	switch {
	case c.Slots < 1:
		return fmt.Errorf("plugin host: Slots is %d, must be at least 1", c.Slots)
	case len(c.RunDir) > subprocess.MaxRunDir:
		return fmt.Errorf("plugin host: RunDir has %d bytes, at most %d fit into a socket's address", len(c.RunDir), subprocess.MaxRunDir)
	case c.StartTimeout < 0 || c.SolveTimeout < 0 || c.IdleTimeout < 0:
		return errors.New("plugin host: StartTimeout, SolveTimeout and IdleTimeout must not be negative")
	}
	if err := new(sandbox.Mode).UnmarshalText([]byte(c.Sandbox)); err != nil {
		return fmt.Errorf("plugin host: Sandbox: %w", err)
	}
	return nil
}

// Host runs plugins. It is safe for concurrent use.
type Host struct {
	cfg     Config
	runDir  *subprocess.RunDir
	slots   chan struct{}
	spawner *subprocess.Spawner
	sandbox *sandbox.Sandbox // nil when there is none
	pool    *pool

	mu       sync.Mutex
	closed   bool
	circuits map[wire.Hash]*opening
	running  map[*process]struct{}
}

// opening is a circuit that is open or being opened.
type opening struct {
	done    chan struct{}
	circuit *Circuit
	err     error
}

// New makes a host. Close must be called.
func New(cfg Config) (*Host, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	confinement, err := chooseSandbox(cfg)
	if err != nil {
		return nil, fmt.Errorf("plugin host: %w", err)
	}
	dir, err := subprocess.NewRunDir(cfg.RunDir)
	if err != nil {
		return nil, fmt.Errorf("plugin host: RunDir: %w", err)
	}
	return &Host{
		cfg: cfg, runDir: dir,
		slots:    make(chan struct{}, cfg.Slots),
		spawner:  subprocess.NewSpawner(),
		sandbox:  confinement,
		pool:     &pool{timeout: cfg.IdleTimeout, memory: cfg.IdleMemory, log: cfg.Logger},
		circuits: map[wire.Hash]*opening{},
		running:  map[*process]struct{}{},
	}, nil
}

// Open makes a bundle's circuit ready to solve. The same digest gives the same
// circuit until it is closed.
func (h *Host) Open(ctx context.Context, b *bundle.Bundle) (*Circuit, error) {
	h.mu.Lock()
	if h.closed {
		h.mu.Unlock()
		return nil, &Error{Code: CodeClosed, Plugin: b.Manifest.Name, Err: errors.New("the host is closed")}
	}
	o, ok := h.circuits[b.Digest]
	if !ok {
		o = &opening{done: make(chan struct{})}
		h.circuits[b.Digest] = o
	}
	h.mu.Unlock()
	if ok {
		select {
		case <-o.done:
			return o.circuit, o.err
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	o.circuit, o.err = openCircuit(h, b)
	if o.err != nil {
		h.forget(b.Digest)
	}
	close(o.done)
	return o.circuit, o.err
}

func (h *Host) forget(digest wire.Hash) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.circuits, digest)
}

// Close ends every process, waits until they are gone and removes the host's
// files. Solves under way end with CodeClosed. A second Close does nothing.
func (h *Host) Close() error {
	h.mu.Lock()
	if h.closed {
		h.mu.Unlock()
		return nil
	}
	h.closed = true
	open := make([]*opening, 0, len(h.circuits))
	for _, o := range h.circuits {
		open = append(open, o)
	}
	h.mu.Unlock()

	var errs []error
	for _, o := range open {
		<-o.done
		if o.err == nil {
			errs = append(errs, o.circuit.Close())
		}
	}
	h.pool.wait()
	h.spawner.Stop()
	return errors.Join(append(errs, h.runDir.Remove())...)
}

// keepTrack remembers a process that was started until it is gone.
func (h *Host) keepTrack(p *process, running bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if running {
		h.running[p] = struct{}{}
	} else {
		delete(h.running, p)
	}
}
