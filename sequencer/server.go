package sequencer

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"golang.org/x/net/netutil"
	"golang.org/x/sync/errgroup"
)

const (
	headerTimeout = 10 * time.Second
	bodyTimeout   = 30 * time.Second
	drainTimeout  = 5 * time.Second
	longPollMost  = 60 * time.Second
)

// listen starts the configured servers in g. The function it returns waits for
// their end.
func (s *Sequencer) listen(ctx context.Context, g *errgroup.Group) (served func(), err error) {
	var open []net.Listener
	var serving sync.WaitGroup
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
			return nil, fmt.Errorf("sequencer: %s: %w", srv.name, err)
		}
		open = append(open, l)
		s.mu.Lock()
		*srv.bound = l.Addr()
		s.mu.Unlock()
		serving.Add(1)
		g.Go(func() error {
			defer serving.Done()
			return serve(ctx, netutil.LimitListener(l, s.cfg.MaxConns), srv.handler)
		})
		s.cfg.Logger.InfoContext(ctx, "listening", "server", srv.name, "address", l.Addr().String())
	}
	return serving.Wait, nil
}

// serve answers until ctx ends, then lets running requests finish for a while:
// they end with their own context only when that while is over.
func serve(ctx context.Context, l net.Listener, h http.Handler) error {
	requests, cutOff := context.WithCancel(context.WithoutCancel(ctx))
	defer cutOff()
	srv := &http.Server{
		Handler: h, ReadHeaderTimeout: headerTimeout, ReadTimeout: bodyTimeout,
		WriteTimeout: longPollMost + bodyTimeout, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 16 << 10,
		BaseContext: func(net.Listener) context.Context { return requests },
	}
	failed := make(chan error, 1)
	go func() { failed <- srv.Serve(l) }()
	select {
	case err := <-failed:
		return fmt.Errorf("sequencer: serve: %w", err)
	case <-ctx.Done():
	}
	drain, cancel := context.WithTimeout(requests, drainTimeout)
	defer cancel()
	if err := srv.Shutdown(drain); err != nil {
		cutOff()
		_ = srv.Close() // whoever still talks is cut off
	}
	<-failed
	return ctx.Err()
}
