package txmgr

import (
	"fmt"
	"math/big"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/gristmill-zk/gristmill/chain"
	"github.com/gristmill-zk/gristmill/chain/devnet"
)

// badEndpoint stands before an endpoint and fails calls, some before they are
// passed on and some only after.
type badEndpoint struct {
	bad atomic.Bool
	to  http.Handler
}

func (b *badEndpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if b.bad.Load() {
		switch rand.IntN(6) {
		case 0:
			http.Error(w, "overloaded", http.StatusServiceUnavailable)
			return
		case 1:
			b.to.ServeHTTP(httptest.NewRecorder(), r)
			panic(http.ErrAbortHandler) // the call is done and its answer lost
		}
	}
	b.to.ServeHTTP(w, r)
}

func TestEndpointThatFailsCalls(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	target, err := url.Parse(b.net.URL())
	require.NoError(t, err)
	proxy := httputil.NewSingleHostReverseProxy(target)
	proxy.Transport = &http.Transport{}
	front := &badEndpoint{to: proxy}
	server := httptest.NewServer(front)
	t.Cleanup(server.Close)
	t.Cleanup(proxy.Transport.(*http.Transport).CloseIdleConnections)
	client, err := chain.Dial(t.Context(), server.URL)
	require.NoError(t, err)
	t.Cleanup(client.Close)
	cfg := b.config()
	cfg.Client = client
	m, _ := start(t, cfg)
	counter := b.deploy(t, m)

	front.bad.Store(true)
	var g errgroup.Group
	for i := range 20 {
		g.Go(func() error { // callers try again with the same key
			for {
				_, err := m.Send(t.Context(), chain.Request{Key: fmt.Sprint(i), To: &counter})
				if err == nil || t.Context().Err() != nil {
					return err
				}
			}
		})
	}
	require.NoError(t, g.Wait())
	require.EqualValues(t, 20, b.count(t, counter))
}

// TestChainRestarts: the endpoint goes away with transactions in its pool and
// comes back, without them, at the same address.
func TestChainRestarts(t *testing.T) {
	t.Parallel()
	key, err := crypto.GenerateKey()
	require.NoError(t, err)
	cfg := devnet.Config{DataDir: t.TempDir(), Logger: quiet, EmptyAfter: time.Minute,
		Alloc: map[common.Address]*big.Int{crypto.PubkeyToAddress(key.PublicKey): big.NewInt(1e18)}}
	net, err := devnet.Start(t.Context(), cfg)
	require.NoError(t, err)
	at, err := url.Parse(net.URL())
	require.NoError(t, err)
	client, err := chain.Dial(t.Context(), net.URL())
	require.NoError(t, err)
	t.Cleanup(client.Close)
	b := &bench{net: net, client: client, key: key, dir: t.TempDir()}
	m, _ := start(t, b.config())
	counter := b.deploy(t, m)
	for i := range 3 {
		_, err := m.begin(t.Context(), chain.Request{Key: fmt.Sprint(i), To: &counter})
		require.NoError(t, err)
	}
	require.NoError(t, net.Close())
	cfg.HTTPAddr = at.Host
	net, err = devnet.Start(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, net.Close()) })
	for i := range 3 {
		_, err := m.Send(t.Context(), chain.Request{Key: fmt.Sprint(i), To: &counter})
		require.NoError(t, err)
	}
	require.EqualValues(t, 3, b.count(t, counter))
}
