package fetch

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/gristmill-zk/gristmill/plugins/bundle"
)

// Config is what a fetcher needs.
type Config struct {
	// Store is the folder that bundles are installed into, by digest; required.
	Store string
	// Sources are asked in order; at least one.
	Sources []bundle.Source
	// MaxBytes bounds what one bundle may have in all; 0 means
	// bundle.DefaultMaxBytes.
	MaxBytes int64
	// Trust is the operator's allow-list; required unless AllowUntrusted.
	Trust *bundle.Policy
	// AllowUntrusted fetches, with no allow-list, whatever the chain names.
	AllowUntrusted bool
	// AllowInsecure takes bundles whose keys one machine made by itself.
	AllowInsecure bool
	// Timeout is the time for one bundle, repetitions included; default 1 h.
	Timeout time.Duration
	// Stall is how long a source may send nothing before the connection counts
	// as broken; default 1 min.
	Stall time.Duration
	// RetryMin and RetryMax bound the growing pauses between tries; default 1 s
	// and 1 min.
	RetryMin, RetryMax time.Duration
	// Logger is told of beginning, progress, failure and end; nil is
	// slog.Default().
	Logger *slog.Logger
}

func (c *Config) validate() error {
	switch {
	case c.Store == "":
		return errors.New("fetch: Store is required")
	case len(c.Sources) == 0:
		return errors.New("fetch: Sources is empty: at least one is required")
	case c.Trust == nil && !c.AllowUntrusted:
		return errors.New("fetch: Trust is required unless AllowUntrusted is set")
	case c.MaxBytes < 0:
		return fmt.Errorf("fetch: MaxBytes is %d, must not be negative", c.MaxBytes)
	}
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{
		{&c.Timeout, time.Hour},
		{&c.Stall, time.Minute},
		{&c.RetryMin, time.Second},
		{&c.RetryMax, time.Minute},
	} {
		if *d.field <= 0 {
			*d.field = d.value
		}
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return nil
}
