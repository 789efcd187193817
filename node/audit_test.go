package node

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
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

// TestDamagedRecordsOfAProof: what a prover says about its own record is told
// apart from a prover that cannot be asked.
func TestDamagedRecordsOfAProof(t *testing.T) {
	t.Parallel()
	problem := func(code wire.RejectCode) string { return fmt.Sprintf(`{"code":%q,"detail":"why"}`, code) }
	for name, c := range map[string]struct {
		status  int
		text    string
		damaged bool
	}{
		"row is no proof":        {http.StatusBadRequest, problem(wire.RejectBadPoint), true},
		"row fails its checksum": {http.StatusInternalServerError, problem("damaged"), true},
		"answer is no proof":     {http.StatusOK, `{"curve":"bn255"}`, true},
		"store is away":          {http.StatusInternalServerError, problem(wire.RejectUnavailable), false},
		"something in between":   {http.StatusBadGateway, "<html>", false},
		"cut off":                {http.StatusOK, `{"curve":`, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(c.status)
				_, _ = w.Write([]byte(c.text))
			}))
			defer server.Close()
			_, err := proofAt(server.URL)(t.Context(), wire.Hash{1})
			require.Error(t, err)
			require.NotErrorIs(t, err, audit.ErrNoProof)
			if c.damaged {
				require.ErrorIs(t, err, audit.ErrDamaged)
			} else {
				require.NotErrorIs(t, err, audit.ErrDamaged)
			}
		})
	}
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	_, err := proofAt(server.URL)(t.Context(), wire.Hash{1})
	require.ErrorIs(t, err, audit.ErrNoProof)
}

// TestBlocksArePagedInOrder asks a sequencer that lacks one block in the middle
// and has not come to the end yet.
func TestBlocksArePagedInOrder(t *testing.T) {
	t.Parallel()
	const newest, gap, end = 2*blockPage + 5, blockPage + 7, 2*blockPage + 9
	asked := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		limit, _ := strconv.Atoi(r.URL.Query().Get("limit"))
		before, err := strconv.Atoi(r.URL.Query().Get("before"))
		if err != nil {
			before = newest + 1
		}
		var blocks []map[string]any
		for h := min(before-1, newest); h > 0 && len(blocks) < limit; h-- {
			if h != gap {
				header := hex.EncodeToString(fmt.Append(nil, h))
				blocks = append(blocks, map[string]any{"height": h, "hash": wire.Hash{1}, "header": header, "coinbase": header})
			}
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"blocks": blocks})
	}))
	defer server.Close()
	pages := &blockPages{url: server.URL}
	for h := uint64(1); h <= end; h++ {
		b, err := pages.at(t.Context(), h)
		require.NoError(t, err)
		switch {
		case h > newest:
			require.Nil(t, b)
		case h == gap:
			require.True(t, b.Missing)
		default:
			require.Equal(t, fmt.Append(nil, h), b.Header)
			require.Equal(t, h, b.Height)
		}
	}
	require.Equal(t, 4, asked)
}
