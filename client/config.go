package client

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"time"
)

// Config has the client's settings; the zero value is usable.
type Config struct {
	// HTTP makes the requests; nil means a client of its own with Timeout.
	HTTP *http.Client
	// Timeout bounds one request; 0 means 30 s.
	Timeout time.Duration
	// Attempts is how often a request is made before its failure is returned;
	// 0 means 8, 1 means no repetition.
	Attempts int
	// MinDelay and MaxDelay bound the pause before a repetition, which doubles
	// each time; the sequencer's Retry-After goes first but not above
	// MaxDelay. 0 means 200 ms and 10 s.
	MinDelay, MaxDelay time.Duration
	// PollInterval is the pause between two looks while following; 0 means 1 s.
	PollInterval time.Duration
	// Logger reports repetitions; nil means slog.Default().
	Logger *slog.Logger
}

func (c Config) withDefaults() Config {
	if c.Timeout == 0 {
		c.Timeout = 30 * time.Second
	}
	if c.HTTP == nil {
		c.HTTP = &http.Client{}
	}
	if c.Attempts == 0 {
		c.Attempts = 8
	}
	if c.MinDelay == 0 {
		c.MinDelay = 200 * time.Millisecond
	}
	if c.MaxDelay == 0 {
		c.MaxDelay = max(10*time.Second, c.MinDelay)
	}
	if c.PollInterval == 0 {
		c.PollInterval = time.Second
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c
}

func (c Config) validate() error {
	switch {
	case c.Attempts < 0:
		return fmt.Errorf("client: Attempts is %d, below 0", c.Attempts)
	case c.MinDelay < 0, c.MaxDelay < c.MinDelay:
		return fmt.Errorf("client: delays from %s to %s are no range", c.MinDelay, c.MaxDelay)
	case c.PollInterval < 0, c.Timeout < 0:
		return fmt.Errorf("client: PollInterval %s or Timeout %s is below 0", c.PollInterval, c.Timeout)
	}
	return nil
}

// Client talks to one sequencer. It is safe for concurrent use.
type Client struct {
	base *url.URL
	cfg  Config
}

// New makes a client of the sequencer at baseURL with the default settings.
func New(baseURL string) (*Client, error) { return NewWithConfig(baseURL, Config{}) }

// NewWithConfig makes a client of the sequencer at baseURL. It makes no request.
func NewWithConfig(baseURL string, cfg Config) (*Client, error) {
	base, err := url.Parse(baseURL)
	if err != nil {
		return nil, fmt.Errorf("client: base URL: %w", err)
	}
	if (base.Scheme != "http" && base.Scheme != "https") || base.Host == "" {
		return nil, fmt.Errorf("client: base URL %q is not http or https", baseURL)
	}
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	return &Client{base: base, cfg: cfg}, nil
}
