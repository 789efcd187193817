// Package embedredis is the in-process queue server of `gristmill up`.
//
// It is miniredis on a loopback port with its clock moved along with the
// wall's, because miniredis by itself never expires a key. Nothing is kept
// across a restart: that is allowed, as the queue only carries envelopes and
// the scheduler's reconciler dispatches again from its store. It speaks plain
// Redis, so the same clients serve an embedded and a real server.
package embedredis

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/alicebob/miniredis/v2"
)

// Config says where the server listens.
type Config struct {
	// Addr is the loopback address to listen on; "127.0.0.1:0" (the default)
	// picks a free port.
	Addr string
	// Tick is how often keys are expired; default one second.
	Tick time.Duration
	// Logger receives start and stop; nil is slog.Default().
	Logger *slog.Logger
}

// Server is one embedded server.
type Server struct {
	mini   *miniredis.Miniredis
	tick   time.Duration
	logger *slog.Logger
}

// Start listens. The clock stands still until [Server.Run] runs.
func Start(cfg Config) (*Server, error) {
	if cfg.Addr == "" {
		cfg.Addr = "127.0.0.1:0"
	}
	if cfg.Tick <= 0 {
		cfg.Tick = time.Second
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	mini := miniredis.NewMiniRedis()
	if err := mini.StartAddr(cfg.Addr); err != nil {
		return nil, fmt.Errorf("embedded queue: listen on %s: %w", cfg.Addr, err)
	}
	return &Server{mini: mini, tick: cfg.Tick, logger: cfg.Logger}, nil
}

// Addr is host:port for Redis clients.
func (s *Server) Addr() string { return s.mini.Addr() }

// Wipe drops every key, as a restart of the process does.
func (s *Server) Wipe() { s.mini.FlushAll() }

// Run moves the clock until ctx ends, then closes the server.
func (s *Server) Run(ctx context.Context, ready func()) error {
	defer s.mini.Close()
	s.logger.InfoContext(ctx, "embedded queue listens", "addr", s.Addr())
	ready()
	ticker := time.NewTicker(s.tick)
	defer ticker.Stop()
	last := time.Now()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
			now := time.Now()
			s.mini.FastForward(now.Sub(last))
			last = now
		}
	}
}
