package worker

import (
	"strings"
	"sync"

	"github.com/gristmill-zk/gristmill/wire"
)

// maxNotes is how many notes are told, and maxNote how many bytes of each.
const maxNotes, maxNote = 8, 160

// progress is what an attempt has come to, for people: the newest notes of the
// worker and of the plugin.
type progress struct {
	mu    sync.Mutex
	notes []string
	cut   bool // older notes are left out

	news chan struct{} // has one when there is a note that was not read
}

func newProgress() *progress { return &progress{news: make(chan struct{}, 1)} }

// note adds a note. One that repeats the last is none.
func (p *progress) note(text string) {
	if len(text) > maxNote {
		text = strings.ToValidUTF8(text[:maxNote], "") + "…"
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(p.notes); text == "" || n > 0 && p.notes[n-1] == text {
		return
	}
	p.notes = append(p.notes, text)
	if len(p.notes) > maxNotes {
		p.notes, p.cut = p.notes[1:], true
	}
	select {
	case p.news <- struct{}{}:
	default:
	}
}

// text are the notes, the newest last; at most wire.MaxProgress bytes.
func (p *progress) text() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	text := strings.Join(p.notes, "; ")
	if p.cut {
		text = "…; " + text
	}
	return wire.CutProgress(text)
}
