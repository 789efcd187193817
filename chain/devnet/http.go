package devnet

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"time"

	"github.com/ethereum/go-ethereum/rpc"
)

// served are the parts of go-ethereum's API that clients get.
var served = []string{"eth", "net", "txpool"}

const (
	batchItems    = 1000
	batchBytes    = 25 << 20
	closeIn       = 5 * time.Second
	headerTimeout = 10 * time.Second
)

// endpoint is the JSON-RPC server. It is ours and not the node's, so that
// nothing is served before the chain is whole.
type endpoint struct {
	rpc  *rpc.Server
	http *http.Server
	url  string
	done chan error
}

// serve answers on a listener until close.
func serve(listener net.Listener, apis []rpc.API) (*endpoint, error) {
	server := rpc.NewServer()
	server.SetBatchLimits(batchItems, batchBytes)
	for _, api := range apis {
		if !slices.Contains(served, api.Namespace) {
			continue
		}
		if err := server.RegisterName(api.Namespace, api.Service); err != nil {
			return nil, fmt.Errorf("devnet: serve %s: %w", api.Namespace, err)
		}
	}
	e := &endpoint{
		rpc:  server,
		http: &http.Server{Handler: onlyLocal(server), ReadHeaderTimeout: headerTimeout},
		url:  "http://" + listener.Addr().String(),
		done: make(chan error, 1),
	}
	go func() { e.done <- e.http.Serve(listener) }()
	return e, nil
}

// onlyLocal refuses requests that a web page sent by way of a name it made
// resolve to this machine.
func onlyLocal(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := r.Host
		if h, _, err := net.SplitHostPort(host); err == nil {
			host = h
		}
		if !isLoopback(host) {
			http.Error(w, "this endpoint answers to loopback names only", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func (e *endpoint) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeIn)
	defer cancel()
	err := e.http.Shutdown(ctx)
	if err != nil {
		err = errors.Join(err, e.http.Close())
	}
	if served := <-e.done; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	e.rpc.Stop()
	return err
}
