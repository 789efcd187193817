package remote

import (
	"bytes"
	"slices"
	"strings"
	"sync"
)

const (
	tailLines = 4
	tailLine  = 200
)

// tail keeps the last lines that a process printed, and the two with which a
// runtime begins its account of a crash, below which there is much else.
type tail struct {
	mu    sync.Mutex
	crash []string
	lines []string
	rest  []byte
}

var headlines = []string{"panic: ", "fatal error: ", "terminate called", "SIGABRT: ", "SIGSEGV: ", "Assertion "}

// Write implements io.Writer.
func (t *tail) Write(data []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := len(data)
	for len(data) > 0 {
		line, rest, ended := bytes.Cut(data, []byte{'\n'})
		t.rest = append(t.rest, line[:min(len(line), tailLine-len(t.rest))]...)
		if ended {
			t.add(strings.TrimSpace(string(t.rest)))
			t.rest = t.rest[:0]
		}
		data = rest
	}
	return n, nil
}

func (t *tail) add(line string) {
	if line == "" {
		return
	}
	if n := len(t.crash); n == 1 || n == 0 && slices.ContainsFunc(headlines, func(h string) bool { return strings.HasPrefix(line, h) }) {
		t.crash = append(t.crash, line)
		return
	}
	if len(t.lines) == tailLines {
		t.lines = append(t.lines[:0], t.lines[1:]...)
	}
	t.lines = append(t.lines, line)
}

// String is what is kept, in one line.
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.crash) > 0 {
		return strings.Join(t.crash, " | ")
	}
	lines := t.lines
	if len(t.rest) > 0 {
		lines = append(lines[:len(lines):len(lines)], string(t.rest))
	}
	return strings.Join(lines, " | ")
}
