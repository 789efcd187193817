package sequencer

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gristmill-zk/gristmill/miner"
	"github.com/gristmill-zk/gristmill/wire"
)

// withMining points a rig's HTTP helpers at the mining API.
func (r *rig) withMining() *miner.HTTPSource {
	r.t.Helper()
	server := httptest.NewServer(r.seq.MiningHandler())
	r.t.Cleanup(server.Close)
	r.server.Close()
	r.server, r.served, r.api = server, r.seq.MiningHandler(), nil
	source, err := miner.NewHTTPSource(server.URL, server.Client())
	require.NoError(r.t, err)
	return source
}

// TestOutsideMiners lets two of them mine over HTTP what devices sent.
func TestOutsideMiners(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.settleAll()
	source := r.withMining()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 2)
	for range 2 {
		m, err := miner.New(miner.Config{Source: source, Workers: 1, Logger: r.cfg.Logger})
		require.NoError(t, err)
		go func() { ended <- m.Run(ctx, func() {}) }()
	}
	ids := r.sendMany(newDevice(t, wire.SchemeEd25519, 1), 1, 12)
	r.reaches(stateSettled, ids...)
	r.requireOnce(ids...)
	cancel()
	<-ended
	<-ended
}

func TestMiningAPI(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *Config) { c.MineEmpty = true })
	r.withMining()
	var work miner.WorkAnswer
	r.get("/v1/mining/work").into(t, &work)
	require.NotEmpty(t, work.ID)
	require.Equal(t, uint64(1), work.Height)
	require.Equal(t, http.StatusNoContent, r.get("/v1/mining/work?wait=0&have="+work.ID).StatusCode)
	require.Equal(t, 400, r.get("/v1/mining/work?wait=61").problem(t).Status)

	raw, err := hex.DecodeString(work.Header)
	require.NoError(t, err)
	header, err := wire.ParseHeader(raw)
	require.NoError(t, err)
	post := func(body any) answer {
		raw, err := json.Marshal(body)
		require.NoError(t, err)
		return r.do(http.MethodPost, "/v1/mining/submit", "application/json", raw)
	}
	hexOf := func(h wire.Header) string { raw := h.Encode(); return hex.EncodeToString(raw[:]) }
	for header.CheckWork() == nil {
		header.Nonce++
	}
	p := post(miner.SubmitRequest{JobID: work.ID, Header: hexOf(header)}).problem(t)
	require.Equal(t, 400, p.Status)
	require.Equal(t, wire.RejectNotEnoughWork, p.Code)
	require.Equal(t, wire.RejectMalformed, post(miner.SubmitRequest{JobID: work.ID, Header: "00"}).problem(t).Code)
	require.Equal(t, wire.RejectMalformed, post("text").problem(t).Code)
	require.Equal(t, 415, r.do(http.MethodPost, "/v1/mining/submit", "text/plain", []byte("{}")).problem(t).Status)
	p = post(miner.SubmitRequest{JobID: "dead-00", Header: hexOf(header)}).problem(t)
	require.Equal(t, 409, p.Status)
	require.Equal(t, codeStaleJob, p.Code)

	for header.CheckWork() != nil {
		header.Nonce++
	}
	var taken miner.SubmitAnswer
	post(miner.SubmitRequest{JobID: work.ID, Header: hexOf(header)}).into(t, &taken)
	require.Equal(t, header.Hash().BlockString(), taken.Block)
}

// TestLongPollEndsWithTheJob keeps a miner waiting until its job is over.
func TestLongPollEndsWithTheJob(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *Config) { c.MineEmpty = true })
	source := r.withMining()
	first, err := source.Work(t.Context(), "")
	require.NoError(t, err)
	next := make(chan miner.Job, 1)
	go func() {
		job, err := source.Work(context.WithoutCancel(t.Context()), first.ID)
		if err == nil {
			next <- job
		}
		close(next)
	}()
	select {
	case job := <-next:
		t.Fatalf("answered with %q while nothing changed", job.ID)
	case <-time.After(50 * time.Millisecond):
	}
	r.chain.compete()
	require.NotEqual(t, first.ID, (<-next).ID)
}

// TestRunningRequestsFinish: the end of the process is not that of the requests
// it is answering.
func TestRunningRequestsFinish(t *testing.T) {
	t.Parallel()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := l.Addr().String()
	running, release := make(chan struct{}), make(chan struct{})
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(running)
		<-release
		if r.Context().Err() != nil {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- serve(ctx, l, handler) }()
	status := make(chan int, 1)
	go func() {
		defer close(status)
		req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, "http://"+address, nil)
		if err != nil {
			return
		}
		transport := &http.Transport{DisableKeepAlives: true}
		if resp, err := transport.RoundTrip(req); err == nil {
			status <- resp.StatusCode
			_ = resp.Body.Close()
		}
	}()
	<-running
	cancel()
	require.Eventually(t, func() bool {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", address)
		if err == nil {
			_ = conn.Close()
		}
		return err != nil
	}, patience, time.Millisecond, "it takes no more requests")
	close(release)
	require.Equal(t, http.StatusOK, <-status)
	require.ErrorIs(t, <-ended, context.Canceled)
}

// TestServersListen runs the configured listeners.
func TestServersListen(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *Config) { c.Listen, c.MiningListen = "127.0.0.1:0", "127.0.0.1:0" })
	for url, want := range map[string]int{
		fmt.Sprintf("http://%s/v1/deployment", r.seq.Addr()):       200,
		fmt.Sprintf("http://%s/v1/mining/work", r.seq.Addr()):      404,
		fmt.Sprintf("http://%s/v1/deployment", r.seq.MiningAddr()): 404,
		fmt.Sprintf("http://%s/openapi.json", r.seq.MiningAddr()):  200,
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
		require.NoError(t, err)
		resp, err := http.DefaultTransport.RoundTrip(req)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Equal(t, want, resp.StatusCode, url)
	}
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()

	cfg := r.cfg
	cfg.DB, cfg.Listen = t.TempDir()+"/other.db", r.seq.Addr().String()
	other, err := New(t.Context(), cfg)
	require.NoError(t, err)
	require.ErrorContains(t, other.Run(t.Context(), func() {}), "address already in use")
}
