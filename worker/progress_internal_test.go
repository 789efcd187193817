package worker

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/gristmill-zk/gristmill/internal/redistest"
	"github.com/gristmill-zk/gristmill/wire"
)

// News of the progress do not wait for the next beat.
func TestHeartBeatsForNews(t *testing.T) {
	t.Parallel()
	client := redis.NewClient(&redis.Options{Addr: redistest.Embedded(t).Addr()})
	t.Cleanup(func() { require.NoError(t, client.Close()) })
	h := &heart{
		redis: client, id: "an attempt", progress: newProgress(), every: time.Hour, pause: time.Millisecond,
		logger: slog.New(slog.DiscardHandler), stop: func(error) {},
	}
	require.True(t, h.start(t.Context()))
	for _, note := range []string{"solve", "prove"} {
		h.progress.note(note)
		require.Eventually(t, func() bool {
			return client.Get(t.Context(), wire.BeatKey(h.id)).Val() == h.progress.text()
		}, time.Minute, time.Millisecond)
	}
	h.finish(t.Context())
	require.Zero(t, client.Exists(t.Context(), wire.BeatKey(h.id)).Val())
}

func TestProgressTellsTheNewestNotes(t *testing.T) {
	t.Parallel()
	p := newProgress()
	require.Empty(t, p.text())
	p.note("fetch data")
	p.note("solve")
	p.note("solve")
	p.note("")
	require.Equal(t, "fetch data; solve", p.text())
	require.Len(t, p.news, 1)

	for i := range 2 * maxNotes {
		p.note(fmt.Sprint(i, strings.Repeat("é", maxNote)))
	}
	text := p.text()
	require.True(t, strings.HasPrefix(text, "…; 8é"), text)
	require.Contains(t, text, "; 15é")
	require.LessOrEqual(t, len(text), wire.MaxProgress)
	require.True(t, utf8.ValidString(text))
}
