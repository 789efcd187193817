package pool

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/gristmill-zk/gristmill/gpu"
	"github.com/gristmill-zk/gristmill/gpu/check"
)

// Config is what a pool works with.
type Config struct {
	// Devices make the proofs, the preferred ones first; at least one.
	Devices []gpu.Engine
	// Fallback proves what devices failed at, and all while no device may work.
	// Nil means there is none: then nothing can be held against a device but by
	// another one.
	Fallback gpu.Engine
	// Faults is how many faults in a row put a device into quarantine; 0 means 3.
	Faults int
	// Rest is how long a quarantined device rests before it is tried with a known
	// answer, doubled after each failure up to RestLimit; 0 means 1 minute.
	Rest time.Duration
	// RestLimit is the longest rest; 0 means 1 hour.
	RestLimit time.Duration
	// ReviveTimeout bounds the proof of a known answer; 0 means 2 minutes.
	ReviveTimeout time.Duration
	// KnownAnswer says whether an engine proves rightly; nil is
	// check.KnownAnswer.
	KnownAnswer func(context.Context, gpu.Engine) error
	// Unfit says which devices, by gpu.Info.ID, must get no work, and why. Those
	// that it does not name may work. When it fails nothing changes, since what is
	// unknown is neither good nor bad. Nil means that nobody looks.
	Unfit func(context.Context) (map[string]string, error)
	// UnfitEvery is how often Unfit is asked; 0 means 15 seconds.
	UnfitEvery time.Duration
	// Observe is told of each fault and each change of a device; it must not
	// block. Nil is fine.
	Observe func(Event)
	// Logger is told what happens to devices; nil is slog.Default().
	Logger *slog.Logger
}

const (
	// maxPassed is how often a waiting proof is passed over for one whose key is
	// resident.
	maxPassed = 8
	// pressTime before it is due a proof is passed over no more.
	pressTime = 2 * time.Minute
)

func (c *Config) validate() error {
	if len(c.Devices) == 0 {
		return errors.New("pool: Devices is empty: at least one engine is required")
	}
	seen := map[string]bool{}
	for i, e := range c.Devices {
		if e == nil {
			return fmt.Errorf("pool: Devices[%d] is nil", i)
		}
		id := e.Info().ID
		if seen[id] {
			return fmt.Errorf("pool: Devices[%d]: device %q is there twice: two engines on one device take each other's memory", i, id)
		}
		seen[id] = true
	}
	if c.Faults < 0 {
		return fmt.Errorf("pool: Faults is %d, negative", c.Faults)
	}
	if c.Faults == 0 {
		c.Faults = 3
	}
	for _, d := range []struct {
		name  string
		field *time.Duration
		value time.Duration
	}{
		{"Rest", &c.Rest, time.Minute},
		{"RestLimit", &c.RestLimit, time.Hour},
		{"ReviveTimeout", &c.ReviveTimeout, 2 * time.Minute},
		{"UnfitEvery", &c.UnfitEvery, 15 * time.Second},
	} {
		if *d.field < 0 {
			return fmt.Errorf("pool: %s is %s, negative", d.name, *d.field)
		}
		if *d.field == 0 {
			*d.field = d.value
		}
	}
	if c.KnownAnswer == nil {
		c.KnownAnswer = check.KnownAnswer
	}
	if c.Observe == nil {
		c.Observe = func(Event) {}
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return nil
}

// EventKind says what an Event is.
type EventKind string

// The kinds.
const (
	EventFault      EventKind = "fault"      // a proof failed on a device
	EventQuarantine EventKind = "quarantine" // a device gets no more work
	EventRevived    EventKind = "revived"    // a known answer brought it back
	EventUnfit      EventKind = "unfit"      // its readings keep it from work
	EventFit        EventKind = "fit"        // they do not any more
	EventFallback   EventKind = "fallback"   // a proof goes to the fallback
)

// Event is something that an operator may want to know.
type Event struct {
	Kind   EventKind
	Device string // gpu.Info.ID
	Err    error  // why, where there is a reason
}
