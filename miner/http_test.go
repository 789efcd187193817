package miner

import (
	"context"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gristmill-zk/gristmill/wire"
)

func serve(t *testing.T, h http.HandlerFunc) *HTTPSource {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	s, err := NewHTTPSource(srv.URL, srv.Client())
	require.NoError(t, err)
	return s
}

func answer(status int, kind, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", kind)
		w.WriteHeader(status)
		_, _ = fmt.Fprint(w, body)
	}
}

func headerHex(h wire.Header) string {
	raw := h.Encode()
	return hex.EncodeToString(raw[:])
}

func TestHTTPWork(t *testing.T) {
	t.Parallel()
	h := wire.Header{Version: 0x20000000, Bits: 0x1e7fffff, Time: 7}
	var calls atomic.Int32
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		assert.Equal(t, "old", r.URL.Query().Get("have")) // require may not end this goroutine
		if calls.Add(1) == 1 {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		answer(200, "application/json", `{"id":"j1","header":"`+headerHex(h)+`","height":3}`)(w, r)
	})
	job, err := s.Work(t.Context(), "old")
	require.NoError(t, err)
	require.Equal(t, "j1", job.ID)
	require.Equal(t, h, job.Header)
	require.Positive(t, job.Target.Sign())
	require.EqualValues(t, 2, calls.Load())
}

func TestHTTPWorkIdle(t *testing.T) {
	t.Parallel()
	job, err := serve(t, answer(200, "application/json", `{"id":""}`)).Work(t.Context(), "old")
	require.NoError(t, err)
	require.Empty(t, job.ID)
}

func TestHTTPWorkRefusesBadAnswers(t *testing.T) {
	t.Parallel()
	zero := wire.Header{Version: 0x20000000}
	for name, c := range map[string]struct {
		handler http.HandlerFunc
		says    string
	}{
		"not json":       {answer(200, "application/json", `{"id":`), "bad answer"},
		"html":           {answer(200, "text/html", `<html>`), "content type"},
		"short header":   {answer(200, "application/json", `{"id":"a","header":"00ff"}`), "bad answer"},
		"no hex":         {answer(200, "application/json", `{"id":"a","header":"zz"}`), "header"},
		"zero target":    {answer(200, "application/json", `{"id":"a","header":"`+headerHex(zero)+`"}`), "nBits"},
		"endless":        {answer(200, "application/json", strings.Repeat(" ", answerMost+1)), "more than"},
		"server error":   {answer(500, "text/plain", `boom`), "500"},
		"unavailable":    {answer(503, "application/problem+json", `{"code":"unavailable","detail":"chain is away"}`), "chain is away"},
		"wrong endpoint": {answer(404, "text/plain", `404 page not found`), "404"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := serve(t, c.handler).Work(t.Context(), "")
			require.ErrorContains(t, err, c.says)
		})
	}
}

func TestHTTPWorkEndsWithItsContext(t *testing.T) {
	t.Parallel()
	s := serve(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err := s.Work(ctx, "")
	require.ErrorIs(t, err, context.DeadlineExceeded)
}

func TestHTTPSubmit(t *testing.T) {
	t.Parallel()
	sol := Solution{JobID: "j", Header: wire.Header{Version: 0x20000000, Nonce: 9}}
	good := `{"block":"` + sol.Header.Hash().BlockString() + `"}`
	for name, c := range map[string]struct {
		handler http.HandlerFunc
		is      error
		says    string
	}{
		"taken":       {answer(200, "application/json", good), nil, ""},
		"other block": {answer(200, "application/json", `{"block":"00"}`), ErrRefused, "took block"},
		"stale":       {answer(409, "application/problem+json", `{"code":"stale_job","detail":"gone"}`), ErrStale, "gone"},
		"no work":     {answer(400, "application/problem+json", `{"code":"not_enough_work","detail":"x"}`), ErrRefused, "not_enough_work"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := serve(t, c.handler).Submit(t.Context(), sol)
			if c.is == nil {
				require.NoError(t, err)
				return
			}
			require.ErrorIs(t, err, c.is)
			require.ErrorContains(t, err, c.says)
		})
	}
}

func TestHTTPSubmitOverloadMayBeRepeated(t *testing.T) {
	t.Parallel()
	for _, status := range []int{429, 500, 503} {
		err := serve(t, answer(status, "application/problem+json", `{"code":"x","detail":"later"}`)).Submit(t.Context(), Solution{})
		require.Error(t, err)
		require.NotErrorIs(t, err, ErrStale)
		require.NotErrorIs(t, err, ErrRefused)
	}
}

func TestSubmitRequestIsChecked(t *testing.T) {
	t.Parallel()
	_, err := SubmitRequest{Header: headerHex(wire.Header{})}.Solution()
	require.Equal(t, wire.RejectMalformed, wire.CodeOf(err))
	_, err = SubmitRequest{JobID: "a", Header: "0011"}.Solution()
	require.Equal(t, wire.RejectMalformed, wire.CodeOf(err))
	s, err := SubmitRequest{JobID: "a", Header: headerHex(wire.Header{Version: 0x20000000})}.Solution()
	require.NoError(t, err)
	require.Equal(t, uint32(0x20000000), s.Header.Version)
}

func TestNewHTTPSourceChecksItsURL(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"", "127.0.0.1:1", "ftp://x", "http://", "http://a b"} {
		_, err := NewHTTPSource(bad, nil)
		require.Error(t, err, bad)
	}
}
