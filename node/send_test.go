package node

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gristmill-zk/gristmill/client"
	"github.com/gristmill-zk/gristmill/wire"
)

// TestFollowingOutlastsTheSequencer follows a message whose sequencer is away
// at first, and whose task the prover declines.
func TestFollowingOutlastsTheSequencer(t *testing.T) {
	t.Parallel()
	id, task := wire.Hash{1}, wire.Hash{2}
	looks := 0
	sequencer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		looks++
		switch looks {
		case 1:
			w.WriteHeader(http.StatusServiceUnavailable)
		case 2:
			_, _ = fmt.Fprintf(w, `{"id":%q,"state":"mined","task_id":%q}`, id, task)
		default:
			_, _ = fmt.Fprintf(w, `{"id":%q,"state":"refused","reason":"no proof is possible"}`, id)
		}
	}))
	defer sequencer.Close()
	scheduler := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		require.Equal(t, "/v1/tasks/"+task.String(), r.URL.Path)
		_, _ = w.Write([]byte(`{"state":"declined","attempt":1,"reason":"a reading is in the future"}`))
	}))
	defer scheduler.Close()
	from, err := client.NewWithConfig(sequencer.URL, client.Config{Attempts: 1, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)

	var told []string
	sent := Sent{ID: id}
	err = sent.follow(t.Context(), from, scheduler.URL, func(line string) { told = append(told, line) })
	require.ErrorContains(t, err, "no proof is possible")
	require.Equal(t, client.StateRefused, sent.State)
	all := strings.Join(told, "\n")
	require.Contains(t, all, "still waiting")
	require.Contains(t, all, "prover: declined: a reading is in the future")
	require.Less(t, strings.Index(all, "still waiting"), strings.Index(all, "mined"))

	unknown := httptest.NewServer(http.NotFoundHandler())
	defer unknown.Close()
	from, err = client.NewWithConfig(unknown.URL, client.Config{Attempts: 1, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	err = sent.follow(t.Context(), from, "", func(string) {})
	require.ErrorContains(t, err, "is taken, but cannot be followed")
}
