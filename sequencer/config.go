package sequencer

import (
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"time"

	"github.com/gristmill-zk/gristmill/wire"
)

// Config is what a Sequencer needs.
type Config struct {
	// Chain is the deployment. Required; OpenChain makes it.
	Chain Chain
	// Key is the secp256k1 secret that authorises tasks. Projects list its
	// address. Required.
	Key [32]byte
	// Beneficiary is credited with block rewards; zero means the operator.
	Beneficiary wire.Address
	// DB is the path of the database file. Required.
	DB string

	// Listen and MiningListen are the addresses of the two HTTP servers, as in
	// 127.0.0.1:8080. Empty means none: the handlers can still be served by
	// the caller.
	Listen       string
	MiningListen string

	// MineEmpty allows blocks without tasks, which keep the difficulty moving.
	MineEmpty bool
	// EmptyInterval is how old the tip must be before an empty block is
	// offered to miners; 0 means at once.
	EmptyInterval time.Duration
	// Poll is how often the chain's tip and the ready batches are looked at;
	// 0 means 500 ms. What this process does itself is acted on at once.
	Poll time.Duration
	// Refresh is how old a job's header time may get before it is replaced;
	// 0 means 20 s.
	Refresh time.Duration

	// AuthorisationTTL is how long a task's authorisation holds; 0 means 3 min.
	// It is renewed after half of that, and a block is found and minted while
	// at least a quarter is left. Messages of a batch that keeps failing wait
	// that long before they are packed anew.
	AuthorisationTTL time.Duration
	// Attempts is how often the chain may end a task of a single message
	// without settling it before the message is refused; 0 means 8. A batch of
	// several messages is split after two such ends.
	Attempts int
	// RetryFirst and RetryMost bound the growing pause before a batch is
	// offered again; 0 means 1 s and 1 min.
	RetryFirst, RetryMost time.Duration

	// CacheFor is how long facts about projects and devices are believed
	// before the chain is asked again; 0 means 2 s.
	CacheFor time.Duration
	// MaxBody is the most bytes of a request; 0 means 4 MiB.
	MaxBody int64
	// MaxInFlight is how many messages may be under check at once; above it
	// requests are answered 429. 0 means 4096.
	MaxInFlight int
	// MaxPending is how many messages may wait for a live task, in a batch or
	// not; above it requests are answered 429. 0 means 1,000,000.
	MaxPending int
	// MaxPendingProject is how many of them may be one project's; 0 means a
	// quarter of MaxPending. A project whose escrow pays for little may have
	// less: four times the messages that it pays for.
	MaxPendingProject int
	// MaxBodies is how many bytes of request bodies may be in memory at once,
	// and MaxServed how many of bodies being sent to provers; above them
	// requests are answered 429. 0 means 64 MiB and 128 MiB.
	MaxBodies, MaxServed int64
	// MaxConns is how many connections each of the two servers has at once;
	// further ones wait to be accepted. 0 means 4096.
	MaxConns int
	// Verifiers is how many signatures are checked at once; 0 means one per core.
	Verifiers int

	// Observe, if set, is told of each stage, from several goroutines. It must
	// not block.
	Observe func(Event)
	// Logger; nil means slog.Default().
	Logger *slog.Logger
}

const (
	maxArray   = 256 // messages per request
	splitAfter = 2   // failed tasks before a batch of several messages is split
)

func (c *Config) validate() error {
	switch {
	case c.Chain == nil:
		return errors.New("sequencer: config: Chain is missing")
	case c.Key == [32]byte{}:
		return errors.New("sequencer: config: Key is missing")
	case c.DB == "":
		return errors.New("sequencer: config: DB is missing")
	case c.MaxBody < 0 || c.MaxBody > wire.MaxBodySize:
		return fmt.Errorf("sequencer: config: MaxBody %d is not within 0..%d", c.MaxBody, wire.MaxBodySize)
	case c.MaxServed != 0 && c.MaxServed < wire.MaxBodySize:
		return fmt.Errorf("sequencer: config: MaxServed %d is below the %d of one body", c.MaxServed, wire.MaxBodySize)
	case c.AuthorisationTTL < 0 || (c.AuthorisationTTL > 0 && c.AuthorisationTTL < time.Second):
		return fmt.Errorf("sequencer: config: AuthorisationTTL %s is below one second", c.AuthorisationTTL)
	}
	for name, v := range map[string]int64{
		"EmptyInterval": int64(c.EmptyInterval), "Poll": int64(c.Poll), "Refresh": int64(c.Refresh),
		"Attempts": int64(c.Attempts), "RetryFirst": int64(c.RetryFirst), "RetryMost": int64(c.RetryMost),
		"CacheFor": int64(c.CacheFor), "MaxInFlight": int64(c.MaxInFlight),
		"MaxPending": int64(c.MaxPending), "MaxPendingProject": int64(c.MaxPendingProject), "Verifiers": int64(c.Verifiers),
		"MaxBodies": c.MaxBodies, "MaxConns": int64(c.MaxConns),
	} {
		if v < 0 {
			return fmt.Errorf("sequencer: config: %s is negative", name)
		}
	}
	c.setDefaults()
	return nil
}

func (c *Config) setDefaults() {
	orDefault(&c.Poll, 500*time.Millisecond)
	orDefault(&c.Refresh, 20*time.Second)
	orDefault(&c.AuthorisationTTL, 3*time.Minute)
	orDefault(&c.Attempts, 8)
	orDefault(&c.RetryFirst, time.Second)
	orDefault(&c.RetryMost, time.Minute)
	orDefault(&c.CacheFor, 2*time.Second)
	orDefault(&c.MaxBody, 4<<20)
	orDefault(&c.MaxInFlight, 4096)
	orDefault(&c.MaxPending, 1_000_000)
	orDefault(&c.MaxPendingProject, max(1, c.MaxPending/4))
	orDefault(&c.MaxBodies, 64<<20)
	orDefault(&c.MaxServed, 128<<20)
	orDefault(&c.MaxConns, 4096)
	orDefault(&c.Verifiers, runtime.GOMAXPROCS(0))
	if c.Beneficiary.IsZero() {
		c.Beneficiary = c.Chain.Operator()
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
}

func orDefault[T comparable](v *T, def T) {
	if *v == *new(T) {
		*v = def
	}
}
