package sequencer

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/gristmill-zk/gristmill/miner"
	"github.com/gristmill-zk/gristmill/wire"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		runChild(dir)
		return
	}
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction("github.com/ethereum/go-ethereum/core.(*txSenderCacher).cache"),
		goleak.IgnoreAnyFunction("github.com/syndtr/goleveldb/leveldb.(*DB).mpoolDrain"),
	)
}

// rig is a sequencer on a fake chain, with devices.
type rig struct {
	t      *testing.T
	chain  *fakeChain
	cfg    Config
	seq    *Sequencer
	server *httptest.Server
	served http.Handler // by the server
	api    *contract    // of what is served; read when first needed
	stop   func()

	mu     sync.Mutex
	events []Event
}

// newRig runs a sequencer. No miner runs unless mine is called.
func newRig(t *testing.T, edit ...func(*Config)) *rig {
	t.Helper()
	r := &rig{t: t, chain: newFakeChain("")}
	r.cfg = Config{
		Chain: r.chain, Key: [32]byte{31: 7}, DB: filepath.Join(t.TempDir(), "sequencer.db"),
		Poll: 5 * time.Millisecond, RetryFirst: 5 * time.Millisecond, RetryMost: 20 * time.Millisecond,
		CacheFor: time.Millisecond, Logger: slog.New(slog.DiscardHandler), Observe: r.observe,
	}
	for _, e := range edit {
		e(&r.cfg)
	}
	r.start()
	t.Cleanup(func() { r.stop() })
	return r
}

func (r *rig) observe(e Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, e)
}

func countEvents[E Event](r *rig) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for _, e := range r.events {
		if _, ok := e.(E); ok {
			n++
		}
	}
	return n
}

func (r *rig) start() {
	r.t.Helper()
	seq, err := New(r.t.Context(), r.cfg)
	require.NoError(r.t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ready, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- seq.Run(ctx, func() { close(ready) }) }()
	select {
	case <-ready:
	case err := <-ended:
		cancel()
		require.NoError(r.t, err)
	}
	r.seq, r.server, r.served = seq, httptest.NewServer(seq.Handler()), seq.Handler()
	r.stop = sync.OnceFunc(func() {
		r.server.CloseClientConnections()
		r.server.Close()
		cancel()
		require.ErrorIs(r.t, <-ended, context.Canceled)
	})
}

func (r *rig) restart() {
	r.t.Helper()
	r.stop()
	r.start()
}

// mine runs a miner on the current sequencer until the returned stop.
func (r *rig) mine() (stop func()) {
	m, err := miner.New(miner.Config{Source: r.seq, Workers: 1, Logger: r.cfg.Logger})
	require.NoError(r.t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); _ = m.Run(ctx, func() {}) }()
	stop = sync.OnceFunc(func() { cancel(); <-ended })
	r.t.Cleanup(stop)
	return stop
}

// device signs messages.
type device struct {
	signer wire.Signer
	id     wire.Hash
}

func newDevice(t testing.TB, scheme wire.Scheme, seed byte) device {
	t.Helper()
	signer, err := wire.NewSigner(scheme, bytes.Repeat([]byte{seed}, wire.SecretLen))
	require.NoError(t, err)
	id, err := signer.Key().ID()
	require.NoError(t, err)
	return device{signer, id}
}

func (d device) message(t testing.TB, project, nonce uint64, payload string) *wire.Message {
	t.Helper()
	m := &wire.Message{Project: project, Nonce: nonce, Time: 1_700_000_000_000 + nonce, Payload: []byte(payload)}
	require.NoError(t, d.signer.Sign((&fakeChain{}).Deployment(), 64, m))
	return m
}

// send hands messages in and returns their ids.
func (r *rig) send(msgs ...*wire.Message) []wire.Hash {
	r.t.Helper()
	var ids []wire.Hash
	for _, a := range r.seq.Accept(r.t.Context(), msgs...) {
		require.NoError(r.t, a.Err)
		ids = append(ids, a.ID)
	}
	return ids
}

func (r *rig) state(id wire.Hash) MessageView {
	r.t.Helper()
	v, err := loadMessage(r.t.Context(), r.seq.db.Read(), id)
	require.NoError(r.t, err)
	return v
}

// patience is for machines that are busy with other things.
const patience = time.Minute

func (r *rig) eventually(what string, ok func() bool) {
	r.t.Helper()
	require.Eventually(r.t, ok, patience, 2*time.Millisecond, what)
}

// looks waits until the templater has looked twice at the chain and the
// batches, the second time from the start after this call.
func (r *rig) looks() {
	r.t.Helper()
	from := r.seq.steps.Load()
	r.eventually("the templater looks", func() bool { return r.seq.steps.Load() >= from+2 })
}

func (r *rig) reaches(state string, ids ...wire.Hash) {
	r.t.Helper()
	for _, id := range ids {
		var v MessageView
		require.Eventually(r.t, func() bool { v = r.state(id); return v.State == state }, patience, 2*time.Millisecond,
			"message %s does not become %s", id, state)
	}
}

// eventuallyLong is for a chain that seals once a second.
func (r *rig) eventuallyLong(what string, ok func() bool) {
	r.t.Helper()
	require.Eventually(r.t, ok, 3*patience, 50*time.Millisecond, what)
}

func (r *rig) reachesWithin(state string, id wire.Hash) {
	r.t.Helper()
	r.eventuallyLong("message becomes "+state, func() bool { return r.state(id).State == state })
}

func rigLogger() *slog.Logger { return slog.New(slog.DiscardHandler) }

// answer is an HTTP answer that was read.
type answer struct {
	*http.Response
	raw []byte
}

func (a answer) problem(t *testing.T) Problem {
	t.Helper()
	require.Equal(t, "application/problem+json", a.Header.Get("Content-Type"), string(a.raw))
	var p Problem
	require.NoError(t, json.Unmarshal(a.raw, &p))
	require.Equal(t, a.StatusCode, p.Status)
	require.NotEmpty(t, p.Detail)
	return p
}

func (a answer) into(t *testing.T, v any) {
	t.Helper()
	require.Equal(t, "application/json", a.Header.Get("Content-Type"), string(a.raw))
	require.NoError(t, json.Unmarshal(a.raw, v), string(a.raw))
}

func (r *rig) do(method, path, contentType string, body []byte) answer {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), method, r.server.URL+path, bytes.NewReader(body))
	require.NoError(r.t, err)
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	resp, err := r.server.Client().Do(req)
	require.NoError(r.t, err)
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	require.NoError(r.t, err)
	if r.api == nil {
		r.api = newContract(r.t, r.served)
	}
	r.api.check(r.t, method, path, contentType, body, answer{resp, raw})
	return answer{resp, raw}
}

func (r *rig) get(path string) answer { r.t.Helper(); return r.do(http.MethodGet, path, "", nil) }

func (r *rig) post(body any) answer {
	r.t.Helper()
	raw, ok := body.([]byte)
	if !ok {
		var err error
		raw, err = json.Marshal(body)
		require.NoError(r.t, err)
	}
	return r.do(http.MethodPost, "/v1/messages", "application/json", raw)
}
