package remote

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/gristmill-zk/gristmill/internal/subprocess"
)

// Defaults of Config.
const (
	// DefaultStartTimeout leaves a driver time to wake a device that sleeps.
	DefaultStartTimeout = 2 * time.Minute
	// DefaultStallTimeout is far above the longest stage of a proof.
	DefaultStallTimeout = 2 * time.Minute
	// DefaultCancelGrace covers the longest piece of work that a device can not
	// be interrupted in.
	DefaultCancelGrace = 10 * time.Second
	// DefaultRestartDelay is the first hold-off; each further one is twice as long.
	DefaultRestartDelay = 250 * time.Millisecond
	// DefaultRestartLimit is the longest hold-off.
	DefaultRestartLimit = 30 * time.Second
)

// Config says how an engine's process is run.
type Config struct {
	// Command is the engine's program and its arguments, which choose the
	// device. A name without a slash is looked for in PATH. Required.
	Command []string

	// Env is the process's whole environment: "NAME=value" sets a variable,
	// "NAME" passes on the worker's, if it has it. Empty by default.
	Env []string

	// Logger receives what the process prints and what happens to it. Defaults
	// to slog.Default.
	Logger *slog.Logger

	// RunDir is where directories for sockets are made, at most 66 bytes long.
	// Empty takes the system's temporary directory, or /tmp where its name is longer.
	RunDir string

	// StartTimeout bounds the time from starting the process to knowing its
	// device. Defaults to DefaultStartTimeout.
	StartTimeout time.Duration

	// StallTimeout is how long work may make no progress before the process is
	// taken for stuck and killed. Defaults to DefaultStallTimeout.
	StallTimeout time.Duration

	// CancelGrace is how long the process may take to end work that was called
	// off, and to close, before it is killed. Defaults to DefaultCancelGrace.
	CancelGrace time.Duration

	// RestartDelay is for how long a process that failed twice in a row is not
	// started again; each further failure doubles it. After a first failure the
	// next call starts it at once. Defaults to DefaultRestartDelay.
	RestartDelay time.Duration

	// RestartLimit is the longest that a process is held off, at least
	// RestartDelay. Defaults to DefaultRestartLimit.
	RestartLimit time.Duration
}

func (c Config) withDefaults() Config {
	for field, value := range map[*time.Duration]time.Duration{
		&c.StartTimeout: DefaultStartTimeout,
		&c.StallTimeout: DefaultStallTimeout,
		&c.CancelGrace:  DefaultCancelGrace,
		&c.RestartDelay: DefaultRestartDelay,
		&c.RestartLimit: DefaultRestartLimit,
	} {
		if *field == 0 {
			*field = value
		}
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c
}

func (c Config) validate() error {
	if len(c.Command) == 0 || c.Command[0] == "" {
		return errors.New("remote engine: Command is empty: name the engine's program")
	}
	for _, entry := range c.Env {
		if name, _, _ := strings.Cut(entry, "="); name == "" || strings.ContainsRune(entry, 0) {
			return fmt.Errorf("remote engine: Env has %q, must be NAME=value or NAME", entry)
		}
	}
	if len(c.RunDir) > subprocess.MaxRunDir {
		return fmt.Errorf("remote engine: RunDir has %d bytes, at most %d fit into a socket's address", len(c.RunDir), subprocess.MaxRunDir)
	}
	for _, field := range []struct {
		name  string
		value time.Duration
	}{
		{"StartTimeout", c.StartTimeout}, {"StallTimeout", c.StallTimeout}, {"CancelGrace", c.CancelGrace},
		{"RestartDelay", c.RestartDelay}, {"RestartLimit", c.RestartLimit},
	} {
		if field.value < 0 {
			return fmt.Errorf("remote engine: %s is %v, negative", field.name, field.value)
		}
	}
	if c.RestartLimit < c.RestartDelay {
		return fmt.Errorf("remote engine: RestartLimit is %v, below RestartDelay of %v", c.RestartLimit, c.RestartDelay)
	}
	return nil
}

// program finds the engine's executable. The path is absolute, since the
// process works elsewhere.
func (c Config) program() (string, error) {
	path, err := exec.LookPath(c.Command[0])
	if err != nil {
		return "", fmt.Errorf("the engine's program is not there: %w: install it or set its path", err)
	}
	return filepath.Abs(path)
}

func (c Config) environment() []string {
	var env []string
	for _, entry := range c.Env {
		if strings.Contains(entry, "=") {
			env = append(env, entry)
		} else if value, ok := os.LookupEnv(entry); ok {
			env = append(env, entry+"="+value)
		}
	}
	return env
}
