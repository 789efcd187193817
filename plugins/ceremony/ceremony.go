package ceremony

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gristmill-zk/gristmill/wire"
)

// Errors of steps that the state of a ceremony does not allow.
var (
	ErrExists   = errors.New("there is a ceremony already")
	ErrBusy     = errors.New("another process is at work on this ceremony")
	ErrClosed   = errors.New("the phase takes no contributions")
	ErrNotFinal = errors.New("the ceremony is not final")
)

// Ceremony is a ceremony in a directory.
type Ceremony struct {
	Dir    string
	Log    Log
	Digest wire.Hash // SHA-256 of the log: the transcript's name
	// Progress is told each step as it begins. Nil is fine.
	Progress func(step string)
}

// Open reads a ceremony's log. Nothing else is checked; [Ceremony.Verify] does.
func Open(dir string) (*Ceremony, error) {
	log, digest, err := readLog(dir)
	if err != nil {
		return nil, err
	}
	return &Ceremony{Dir: dir, Log: *log, Digest: digest}, nil
}

// InitConfig says what a ceremony is for.
type InitConfig struct {
	// Dir is made if missing; it must not have a ceremony.
	Dir string
	// Circuit is the constraint system as gnark writes it, such as the part
	// "circuit" of a bundle. Empty for a phase 1 by itself.
	Circuit string
	// Power is the size of a phase 1 by itself: room for 2^Power constraints.
	// Without meaning when there is a circuit.
	Power int
	// Phase1 is the directory of another ceremony whose phase 1 is final and of
	// the circuit's size, to begin with phase 2. It is verified on the way.
	Phase1 string
	// Progress is told each step as it begins. Nil is fine.
	Progress func(step string)
}

// Init begins a ceremony.
func Init(ctx context.Context, cfg InitConfig) (*Ceremony, error) {
	if _, err := os.Lstat(filepath.Join(cfg.Dir, LogName)); !errors.Is(err, fs.ErrNotExist) {
		return nil, errors.Join(fmt.Errorf("ceremony: %w in %s", ErrExists, cfg.Dir), err)
	}
	if err := os.MkdirAll(cfg.Dir, 0o755); err != nil {
		return nil, fmt.Errorf("ceremony: %w", err)
	}
	c := &Ceremony{Dir: cfg.Dir, Log: Log{Format: FormatVersion}, Progress: cfg.Progress}
	unlock, err := c.lock()
	if err != nil {
		return nil, err
	}
	defer unlock()
	switch {
	case cfg.Circuit != "":
		if c.Log.Circuit, err = takeCircuit(cfg.Dir, cfg.Circuit); err != nil {
			return nil, err
		}
		if c.Log.Circuit.Constraints > 1<<MaxPower {
			return nil, fmt.Errorf("ceremony: the circuit has %d constraints, at most 2^%d", c.Log.Circuit.Constraints, MaxPower)
		}
		c.Log.Domain = domainOf(c.Log.Circuit.Constraints)
	case cfg.Phase1 != "":
		return nil, errors.New("ceremony: a phase 1 is used for a circuit, and none is named")
	case cfg.Power < MinPower || cfg.Power > MaxPower:
		return nil, fmt.Errorf("ceremony: without a circuit the size must be named: a power of two from %d to %d, not %d", MinPower, MaxPower, cfg.Power)
	default:
		c.Log.Domain = 1 << cfg.Power
	}
	c.Log.Phase1.Contributions = []Contribution{}
	if cfg.Phase1 != "" {
		return c, c.takePhase1(ctx, cfg.Phase1)
	}
	return c, c.save()
}

// takeCircuit copies a circuit into the ceremony.
func takeCircuit(dir, from string) (*Circuit, error) {
	text, err := os.ReadFile(from)
	if err != nil {
		return nil, fmt.Errorf("ceremony: circuit: %w", err)
	}
	hash, err := put(dir, fileCircuit, func(w io.Writer) error { _, err := w.Write(text); return err })
	if err != nil {
		return nil, err
	}
	var circuit *Circuit
	err = checked(dir, fileCircuit, hash, checkCircuitShape, func(r io.Reader) (err error) {
		_, circuit, err = readCircuit(r, hash)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("ceremony: circuit: %w", err)
	}
	return circuit, nil
}

// takePhase1 begins phase 2 on a phase 1 made before.
func (c *Ceremony) takePhase1(ctx context.Context, from string) error {
	log, _, err := readLog(from)
	if err != nil {
		return err
	}
	switch {
	case log.Phase1.Beacon == nil:
		return fmt.Errorf("ceremony: phase 1 in %s: %w: it has no beacon yet", from, ErrNotFinal)
	case log.Domain != c.Log.Domain:
		return fmt.Errorf("ceremony: phase 1 in %s has room for %d constraints, this circuit needs exactly %d", from, log.Domain, c.Log.Domain)
	}
	for i := range log.Phase1.Contributions {
		step := &log.Phase1.Contributions[i]
		name := contributionFile(1, step.Number)
		err := checked(from, name, step.SHA256, checkPhase1Shape(log.Domain), func(r io.Reader) error {
			_, err := put(c.Dir, name, func(w io.Writer) error { _, err := io.Copy(w, r); return err })
			return err
		})
		if err != nil {
			return &StepError{Phase: 1, Number: step.Number, Name: step.Name, Err: err}
		}
	}
	beacon := log.Phase1.Beacon
	c.Log.Phase1.Contributions = log.Phase1.Contributions
	return c.endPhase1(ctx, *beacon)
}

// lock keeps other processes off the directory until unlock.
func (c *Ceremony) lock() (unlock func(), err error) {
	dir, err := os.Open(c.Dir)
	if err != nil {
		return nil, fmt.Errorf("ceremony: %w", err)
	}
	if err := unix.Flock(int(dir.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = dir.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("ceremony: %s: %w", c.Dir, ErrBusy)
		}
		return nil, fmt.Errorf("ceremony: lock %s: %w", c.Dir, err)
	}
	return func() { _ = dir.Close() }, nil
}

// begin locks the directory and reads the log as it is now.
func (c *Ceremony) begin() (unlock func(), err error) {
	unlock, err = c.lock()
	if err != nil {
		return nil, err
	}
	log, digest, err := readLog(c.Dir)
	if err != nil {
		unlock()
		return nil, err
	}
	c.Log, c.Digest = *log, digest
	return unlock, nil
}

// save replaces the log: the moment at which a step has happened.
func (c *Ceremony) save() error {
	var text bytes.Buffer
	enc := json.NewEncoder(&text)
	enc.SetIndent("", "  ")
	if err := enc.Encode(&c.Log); err != nil {
		return fmt.Errorf("ceremony: %w", err)
	}
	if _, err := parseLog(text.Bytes()); err != nil {
		return err
	}
	digest, err := put(c.Dir, LogName, func(w io.Writer) error { _, err := w.Write(text.Bytes()); return err })
	c.Digest = digest
	return err
}

func (c *Ceremony) tell(format string, args ...any) {
	if c.Progress != nil {
		c.Progress(fmt.Sprintf(format, args...))
	}
}

// now is the time of a step, without what no log needs.
func now() time.Time { return time.Now().UTC().Truncate(time.Second) }

// await runs work of gnark's, which can not be cancelled: when ctx ends it is
// left to itself, and what it would have made is not used.
func await(ctx context.Context, work func() error) error {
	done := make(chan error, 1)
	go func() {
		defer func() {
			if p := recover(); p != nil {
				done <- fmt.Errorf("%v", p)
			}
		}()
		done <- work()
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
