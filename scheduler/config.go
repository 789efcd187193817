package scheduler

import (
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"net/http"
	"net/url"
	"time"

	"github.com/gristmill-zk/gristmill/wire"
)

// Config is what a scheduler needs.
type Config struct {
	// Chain is the deployment the prover works for; required.
	Chain Chain
	// Dispatcher brings jobs to workers; required. It stays the caller's to
	// close, after Run has returned.
	Dispatcher Dispatcher
	// Prover is the account that tasks are offered to and proofs are bound
	// to, the account of the chain's sender; required.
	Prover wire.Address
	// DB is the path of the store, made if missing; required.
	DB string

	// Listen is the address of the HTTP listener that serves bodies, tasks and
	// health. Default "127.0.0.1:0", a free port of this machine only.
	Listen string
	// PublicURL is where workers reach that listener; default is the address
	// it listens on, which serves workers of the same machine.
	PublicURL string
	// DataURLs are asked for bodies after the block's operator and the
	// sequencer that authorised the task.
	DataURLs []string
	// HTTP fetches bodies; default is a client without proxies' surprises and
	// FetchTimeout a request.
	HTTP *http.Client
	// FetchTimeout bounds one request for a body; default 20 s.
	FetchTimeout time.Duration
	// FetchTries is how often all sources of a body are asked before the
	// offer is declined; default 8, with growing pauses.
	FetchTries int
	// Fetches is how many bodies are fetched at a time; default 4.
	Fetches int

	// Attempts is how many attempts may fail before an offer that is not yet
	// accepted is declined; default 4. An accepted task is tried until the
	// chain takes it away.
	Attempts int
	// LostAfter is how long an attempt may be neither waiting in the queue
	// nor beating before another is started; default 20 s.
	LostAfter time.Duration
	// RetryMin and RetryMax bound the growing pause after a failure; default
	// 500 ms and 30 s.
	RetryMin, RetryMax time.Duration
	// AcceptBatch is the most offers accepted in one transaction; default 32.
	AcceptBatch int
	// Settles is how many settlements are in flight at a time; default 16.
	Settles int

	// MinProveWindow is the least time to prove that this prover takes a task
	// for; offers of project versions with less are declined, as a bond is lost
	// with each missed deadline. Default 1 minute; 1 s takes all that there are.
	MinProveWindow time.Duration
	// MinReward is the least reward that it takes a task for, shares included,
	// in the smallest unit of whatever token the project pays in; offers of
	// versions with less are declined. Default nil takes any, none included.
	MinReward *big.Int

	// SkipClaim leaves waiting tasks of projects opted in to to others.
	SkipClaim bool
	// SkipAdvance leaves offers that others let pass as they are.
	SkipAdvance bool
	// SkipReassign leaves accepted tasks with provers that are past the
	// deadline.
	SkipReassign bool

	// Retention is how long bodies and others' tasks are kept after their
	// end; default 7 days.
	Retention time.Duration
	// Poll is how often the store is looked through for work that nothing
	// announced, and the queue asked for its jobs; default 1 s.
	Poll time.Duration
	// ChainPoll is how often the chain is read; default 500 ms.
	ChainPoll time.Duration
	// DutyPoll is how often offers of others, waiting tasks and this prover's
	// own standing are looked at; default 3 s.
	DutyPoll time.Duration

	// SilentAfter is how long the chain, or the queue while attempts run, may
	// not have answered before /healthz says so; default 1 minute.
	SilentAfter time.Duration

	// Observe is called for every event, one after the other, and must not
	// block; nil observes nothing.
	Observe func(Event)
	// Logger receives what happens; nil is slog.Default().
	Logger *slog.Logger
}

func (c Config) withDefaults() Config {
	setDefault(&c.Listen, "127.0.0.1:0")
	setDefault(&c.FetchTimeout, 20*time.Second)
	setDefault(&c.FetchTries, 8)
	setDefault(&c.Fetches, 4)
	setDefault(&c.Attempts, 4)
	setDefault(&c.LostAfter, 20*time.Second)
	setDefault(&c.RetryMin, 500*time.Millisecond)
	setDefault(&c.RetryMax, 30*time.Second)
	setDefault(&c.AcceptBatch, 32)
	setDefault(&c.Settles, 16)
	setDefault(&c.MinProveWindow, time.Minute)
	setDefault(&c.Retention, 7*24*time.Hour)
	setDefault(&c.Poll, time.Second)
	setDefault(&c.ChainPoll, 500*time.Millisecond)
	setDefault(&c.DutyPoll, 3*time.Second)
	setDefault(&c.SilentAfter, time.Minute)
	if c.Observe == nil {
		c.Observe = func(Event) {}
	}
	if c.HTTP == nil {
		c.HTTP = &http.Client{Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, IdleConnTimeout: time.Minute}}
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// validate names every field that is wrong and what it may be.
func (c Config) validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf("scheduler: "+format, args...)) }
	if c.Chain == nil {
		bad("Chain is required")
	}
	if c.Dispatcher == nil {
		bad("Dispatcher is required")
	}
	if c.Prover.IsZero() {
		bad("Prover is required: the account that tasks are offered to")
	}
	if c.DB == "" {
		bad("DB is required: the path of the store")
	}
	for name, n := range map[string]int{"FetchTries": c.FetchTries, "Fetches": c.Fetches, "Attempts": c.Attempts, "AcceptBatch": c.AcceptBatch, "Settles": c.Settles} {
		if n < 1 || n > 1000 {
			bad("%s is %d, want 1 to 1000", name, n)
		}
	}
	for name, d := range map[string]time.Duration{
		"FetchTimeout": c.FetchTimeout, "LostAfter": c.LostAfter, "RetryMin": c.RetryMin, "RetryMax": c.RetryMax,
		"MinProveWindow": c.MinProveWindow,
		"Retention":      c.Retention, "Poll": c.Poll, "ChainPoll": c.ChainPoll, "DutyPoll": c.DutyPoll, "SilentAfter": c.SilentAfter,
	} {
		if d <= 0 {
			bad("%s is %v, want more than 0", name, d)
		}
	}
	if c.MinReward != nil && c.MinReward.Sign() < 0 {
		bad("MinReward is %v, want 0 or more", c.MinReward)
	}
	if c.RetryMin > c.RetryMax {
		bad("RetryMin %v is above RetryMax %v", c.RetryMin, c.RetryMax)
	}
	for _, raw := range append([]string{c.PublicURL}, c.DataURLs...) {
		if raw != "" && !isHTTP(raw) {
			bad("%q is not an http or https URL", raw)
		}
	}
	return errors.Join(errs...)
}

func isHTTP(raw string) bool {
	u, err := url.Parse(raw)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != ""
}
