package sequencer

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	headerTimeout = 10 * time.Second
	bodyTimeout   = 30 * time.Second
	drainTimeout  = 5 * time.Second
	longPollMost  = 60 * time.Second
)

// listen starts the configured servers in g.
func (s *Sequencer) listen(ctx context.Context, g *errgroup.Group) error {
	var open []net.Listener
	for _, srv := range []struct {
		name, addr string
		handler    http.Handler
		bound      *net.Addr
	}{
		{"api", s.cfg.Listen, s.api, &s.apiAddr},
		{"mining api", s.cfg.MiningListen, s.mining, &s.miningAddr},
	} {
		if srv.addr == "" {
			continue
		}
		l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", srv.addr)
		if err != nil {
			for _, l := range open {
				err = errors.Join(err, l.Close())
			}
			return fmt.Errorf("sequencer: %s: %w", srv.name, err)
		}
		open = append(open, l)
		s.mu.Lock()
		*srv.bound = l.Addr()
		s.mu.Unlock()
		g.Go(func() error { return serve(ctx, l, srv.handler) })
		s.cfg.Logger.InfoContext(ctx, "listening", "server", srv.name, "address", l.Addr().String())
	}
	return nil
}

// serve answers until ctx ends, then lets running requests finish for a while.
func serve(ctx context.Context, l net.Listener, h http.Handler) error {
	srv := &http.Server{
		Handler: h, ReadHeaderTimeout: headerTimeout, ReadTimeout: bodyTimeout,
		WriteTimeout: longPollMost + bodyTimeout, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 16 << 10,
		BaseContext: func(net.Listener) context.Context { return ctx },
	}
	failed := make(chan error, 1)
	go func() { failed <- srv.Serve(l) }()
	select {
	case err := <-failed:
		return fmt.Errorf("sequencer: serve: %w", err)
	case <-ctx.Done():
	}
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
	defer cancel()
	if err := srv.Shutdown(drain); err != nil {
		_ = srv.Close() // whoever still talks is cut off
	}
	<-failed
	return ctx.Err()
}
