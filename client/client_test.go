package client_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gristmill-zk/gristmill/client"
	"github.com/gristmill-zk/gristmill/wire"
)

var deployment = wire.Deployment{ChainID: 31337, Registry: wire.Address{0: 1, 19: 2}}

// sequencer answers requests in turn from a script, the last answer for ever.
type sequencer struct {
	t       *testing.T
	answers []http.HandlerFunc

	mu     sync.Mutex
	paths  []string
	bodies []string
}

func (s *sequencer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	s.mu.Lock()
	s.paths = append(s.paths, r.Method+" "+r.URL.RequestURI())
	s.bodies = append(s.bodies, string(body))
	next := s.answers[min(len(s.paths), len(s.answers))-1]
	s.mu.Unlock()
	r.Body = io.NopCloser(bytes.NewReader(body))
	next(w, r)
}

func (s *sequencer) seen() (paths, bodies []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.paths...), append([]string(nil), s.bodies...)
}

func answer(status int, body any) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(body)
	}
}

func cut(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

func overloaded(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Retry-After", "3600") // bounded by MaxDelay
	answer(429, map[string]any{"code": "overloaded", "detail": "later"})(w, nil)
}

func start(t *testing.T, answers ...http.HandlerFunc) (*client.Client, *sequencer) {
	t.Helper()
	s := &sequencer{t: t, answers: answers}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	c, err := client.NewWithConfig(server.URL+"/base", client.Config{
		MinDelay: time.Millisecond, MaxDelay: 5 * time.Millisecond, PollInterval: time.Millisecond, Attempts: 5,
	})
	require.NoError(t, err)
	return c, s
}

func message(t *testing.T, nonce uint64) *wire.Message {
	t.Helper()
	signer, err := wire.NewSigner(wire.SchemeEd25519, bytes.Repeat([]byte{1}, wire.SecretLen))
	require.NoError(t, err)
	m := &wire.Message{Project: 1, Nonce: nonce, Time: 1, Payload: []byte("p")}
	require.NoError(t, signer.Sign(deployment, 8, m))
	return m
}

func idOf(t *testing.T, m *wire.Message) wire.Hash {
	t.Helper()
	id, err := m.ID()
	require.NoError(t, err)
	return id
}

func TestSendRepeatsTheSameBytes(t *testing.T) {
	t.Parallel()
	m := message(t, 1)
	id := idOf(t, m)
	c, s := start(t, overloaded, cut, answer(503, "no problem document"),
		answer(200, map[string]any{"id": id, "state": "pending", "duplicate": true}))
	receipt, err := c.Send(t.Context(), m)
	require.NoError(t, err)
	require.Equal(t, client.Receipt{ID: id, State: client.StatePending, Duplicate: true}, receipt)
	paths, bodies := s.seen()
	require.Len(t, bodies, 4)
	for i := range bodies {
		require.Equal(t, bodies[0], bodies[i])
		require.Equal(t, "POST /base/v1/messages", paths[i])
	}
}

func TestRefusalsAreTypedAndNotRepeated(t *testing.T) {
	t.Parallel()
	for _, code := range wire.RejectCodes() {
		if code.Retryable() {
			continue
		}
		c, s := start(t, answer(code.HTTPStatus(), map[string]any{"code": code, "field": "nonce", "detail": "why"}))
		_, err := c.Send(t.Context(), message(t, 1))
		var refused *client.Error
		require.ErrorAs(t, err, &refused)
		require.Equal(t, &client.Error{Status: code.HTTPStatus(), Code: code, Field: "nonce", Detail: "why"}, refused)
		require.Equal(t, code, wire.CodeOf(err))
		paths, _ := s.seen()
		require.Len(t, paths, 1, code)
	}
}

func TestGivesUp(t *testing.T) {
	t.Parallel()
	c, s := start(t, overloaded)
	_, err := c.Send(t.Context(), message(t, 1))
	require.Equal(t, wire.RejectOverloaded, wire.CodeOf(err))
	paths, _ := s.seen()
	require.Len(t, paths, 5)
}

func TestContextEndsRepetition(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	c, s := start(t, func(w http.ResponseWriter, r *http.Request) { cancel(); cut(w, r) })
	_, err := c.Send(ctx, message(t, 1))
	require.ErrorIs(t, err, context.Canceled)
	paths, _ := s.seen()
	require.Len(t, paths, 1)
}

func TestAnswersMustBelongToTheRequest(t *testing.T) {
	t.Parallel()
	other := idOf(t, message(t, 2))
	wrong := answer(202, map[string]any{"id": other, "chain_id": 1, "deployment_id": other, "project": 7, "results": []any{}})
	asks := map[string]func(*client.Client) error{
		"send": func(c *client.Client) error { _, err := c.Send(t.Context(), message(t, 1)); return err },
		"batch": func(c *client.Client) error {
			_, err := c.SendBatch(t.Context(), []*wire.Message{message(t, 1)})
			return err
		},
		"message": func(c *client.Client) error { _, err := c.Message(t.Context(), wire.Hash{}); return err },
		"task":    func(c *client.Client) error { _, err := c.Task(t.Context(), wire.Hash{}); return err },
		"project": func(c *client.Client) error { _, err := c.Project(t.Context(), 1); return err },
		"deploy":  func(c *client.Client) error { _, err := c.Deployment(t.Context()); return err },
	}
	for name, ask := range asks {
		c, s := start(t, wrong)
		require.ErrorIs(t, ask(c), client.ErrWrongAnswer, name)
		c, _ = start(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) })
		require.ErrorIs(t, ask(c), client.ErrWrongAnswer, name)
		paths, _ := s.seen()
		require.Len(t, paths, 1, name)
	}
}

func TestBatchSendsAgainOnlyWhatMayHelp(t *testing.T) {
	t.Parallel()
	msgs := []*wire.Message{message(t, 1), message(t, 2), message(t, 3)}
	results := func(entries ...map[string]any) http.HandlerFunc {
		return answer(207, map[string]any{"results": entries})
	}
	taken := func(i int) map[string]any {
		return map[string]any{"status": 202, "id": idOf(t, msgs[i]), "state": "pending"}
	}
	busy := map[string]any{"status": 429, "code": "overloaded"}
	bad := map[string]any{"status": 401, "code": "bad_signature", "field": "signature", "detail": "no"}
	c, s := start(t, results(taken(0), busy, bad), results(busy), results(taken(1)))
	got, err := c.SendBatch(t.Context(), msgs)
	require.NoError(t, err)
	require.NoError(t, got[0].Err)
	require.NoError(t, got[1].Err)
	require.Equal(t, client.StatePending, got[1].State)
	require.Equal(t, wire.RejectBadSignature, wire.CodeOf(got[2].Err))
	_, bodies := s.seen()
	require.Len(t, bodies, 3)
	for i, want := range []int{3, 1, 1} {
		var sent []wire.Message
		require.NoError(t, json.Unmarshal([]byte(bodies[i]), &sent))
		require.Len(t, sent, want)
	}
	_, err = c.SendBatch(t.Context(), nil)
	require.Error(t, err)
	_, err = c.SendBatch(t.Context(), make([]*wire.Message, client.MaxBatch+1))
	require.Error(t, err)
}

func TestBatchThatFailsSaysSoForEachMessage(t *testing.T) {
	t.Parallel()
	c, _ := start(t, cut)
	got, err := c.SendBatch(t.Context(), []*wire.Message{message(t, 1), message(t, 2)})
	require.Error(t, err)
	require.Len(t, got, 2)
	for _, r := range got {
		require.Error(t, r.Err)
		require.Empty(t, r.State)
	}
}

// TestLargeBatchGoesInParts sends more bytes than one request may have.
func TestLargeBatchGoesInParts(t *testing.T) {
	t.Parallel()
	signer, err := wire.NewSigner(wire.SchemeEd25519, bytes.Repeat([]byte{1}, wire.SecretLen))
	require.NoError(t, err)
	var msgs []*wire.Message
	for nonce := range uint64(50) {
		m := &wire.Message{Project: 1, Nonce: nonce + 1, Time: 1, Payload: make([]byte, wire.MaxPayload)}
		require.NoError(t, signer.Sign(deployment, wire.MaxPayload, m))
		msgs = append(msgs, m)
	}
	c, s := start(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		var sent []wire.Message
		assert.NoError(t, json.Unmarshal(body, &sent))
		var results []map[string]any
		for i := range sent {
			id, _ := sent[i].ID()
			results = append(results, map[string]any{"status": 202, "id": id, "state": "pending"})
		}
		answer(202, map[string]any{"results": results})(w, r)
	})
	got, err := c.SendBatch(t.Context(), msgs)
	require.NoError(t, err)
	for i := range got {
		require.NoError(t, got[i].Err)
		require.Equal(t, client.StatePending, got[i].State)
	}
	_, bodies := s.seen()
	require.Greater(t, len(bodies), 1)
	for _, b := range bodies {
		require.LessOrEqual(t, len(b), 4<<20)
	}
}

func TestFollow(t *testing.T) {
	t.Parallel()
	id := wire.Hash{9}
	view := func(state client.State) http.HandlerFunc {
		return answer(200, map[string]any{"id": id, "state": state, "reason": "r"})
	}
	c, _ := start(t, view("pending"), overloaded, view("pending"), view("batched"), view("mined"), view("settled"))
	var met []client.State
	m, err := c.FollowMessage(t.Context(), id, func(m client.Message) { met = append(met, m.State) })
	require.NoError(t, err)
	require.Equal(t, client.StateSettled, m.State)
	require.Equal(t, []client.State{"pending", "batched", "mined", "settled"}, met)

	c, _ = start(t, view("offered"), view("accepted"), view("dead"))
	task, err := c.FollowTask(t.Context(), id, nil)
	require.NoError(t, err)
	require.Equal(t, client.StateDead, task.State)
	require.Equal(t, "r", task.Reason)

	ctx, cancel := context.WithCancel(t.Context())
	c, _ = start(t, view("pending"))
	_, err = c.FollowMessage(ctx, id, func(client.Message) { cancel() })
	require.ErrorIs(t, err, context.Canceled)

	c, _ = start(t, answer(404, map[string]any{"code": "not_found"}))
	_, err = c.FollowMessage(t.Context(), id, nil)
	require.Equal(t, wire.RejectNotFound, wire.CodeOf(err))
}

// TestDevice runs a device against answers of every endpoint it uses.
func TestDevice(t *testing.T) {
	t.Parallel()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /base/v1/deployment", answer(200, map[string]any{
		"chain_id": deployment.ChainID, "registry": deployment.Registry, "deployment_id": deployment.IDBytes(), "minter": deployment.Registry,
	}))
	mux.HandleFunc("GET /base/v1/projects/7", answer(200, client.Project{ID: 7, PayloadLimit: 16}))
	signer, err := wire.NewSigner(wire.SchemeEdDSABN254, bytes.Repeat([]byte{5}, wire.SecretLen))
	require.NoError(t, err)
	device, err := signer.Key().ID()
	require.NoError(t, err)
	mux.HandleFunc("GET /base/v1/devices/"+device.String()+"/nonce", func(w http.ResponseWriter, r *http.Request) {
		assert.Equal(t, "7", r.URL.Query().Get("project"))
		answer(200, map[string]any{"nonce": 41, "used": true})(w, r)
	})
	mux.HandleFunc("POST /base/v1/messages", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		var m wire.Message
		if err := errors.Join(m.UnmarshalJSON(body), m.Verify(deployment, 16)); err != nil {
			answer(400, map[string]any{"code": wire.CodeOf(err), "detail": err.Error()})(w, r)
			return
		}
		id, _ := m.ID()
		answer(202, client.Receipt{ID: id, State: client.StatePending})(w, r)
	})
	c, _ := start(t, mux.ServeHTTP)
	d, err := c.NewDevice(t.Context(), signer, 7)
	require.NoError(t, err)
	for nonce := uint64(42); nonce < 45; nonce++ {
		m, receipt, err := d.Send(t.Context(), []byte("reading"))
		require.NoError(t, err)
		require.Equal(t, nonce, m.Nonce)
		require.Equal(t, client.StatePending, receipt.State)
	}
	_, _, err = d.Send(t.Context(), make([]byte, 17))
	require.Equal(t, wire.RejectPayloadTooLong, wire.CodeOf(err))
	m, err := d.Sign(t.Context(), nil)
	require.NoError(t, err)
	require.Equal(t, uint64(45), m.Nonce, "a payload that was not signed takes no nonce")
}

func TestNew(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"", "127.0.0.1:80", "ftp://host", "http://", "http://a b"} {
		_, err := client.New(bad)
		require.Error(t, err, bad)
	}
	for _, cfg := range []client.Config{{Attempts: -1}, {MinDelay: 2, MaxDelay: 1}, {Timeout: -1}} {
		_, err := client.NewWithConfig("http://localhost", cfg)
		require.Error(t, err)
	}
}
