package worker

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/gristmill-zk/gristmill/wire"
)

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
