package node

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gristmill-zk/gristmill/audit"
	"github.com/gristmill-zk/gristmill/wire"
)

// TestBodiesOfOthers: anyone may register an endpoint, so what a foreign one
// serves or fails to must not be able to spoil an audit.
func TestBodiesOfOthers(t *testing.T) {
	t.Parallel()
	good := []byte("a body")
	hash := wire.DataHash(good)
	asked, answer := 0, func(w http.ResponseWriter) {}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked++
		answer(w)
	}))
	defer server.Close()
	other, own := bodyAt(server.URL, false), bodyAt(server.URL, true)

	answer = func(w http.ResponseWriter) { _, _ = w.Write(good) }
	body, err := other(t.Context(), hash)
	require.NoError(t, err)
	require.Equal(t, good, body)

	answer = func(w http.ResponseWriter) { _, _ = w.Write([]byte("a bode")) }
	_, err = other(t.Context(), hash)
	require.ErrorIs(t, err, audit.ErrNoBody)
	body, err = own(t.Context(), hash)
	require.NoError(t, err)
	require.NotEqual(t, good, body, "what our own node has stored is for the audit to judge")

	answer = func(w http.ResponseWriter) { http.Error(w, "no", http.StatusInternalServerError) }
	_, err = own(t.Context(), hash)
	require.Error(t, err)
	require.NotErrorIs(t, err, audit.ErrNoBody)
	asked = 0
	for range 2 * strikes {
		_, err = other(t.Context(), hash)
		require.ErrorIs(t, err, audit.ErrNoBody)
	}
	require.Equal(t, strikes, asked)
}
