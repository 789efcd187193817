package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/gristmill-zk/gristmill/internal/subprocess"
)

// exitPatience is how long a process whose connection broke may take to be gone.
const exitPatience = 2 * time.Second

// lastWords keep what a process prints that says best why it ended: the line
// with which Go programs and the sandbox do, else the last one.
type lastWords struct {
	mu            sync.Mutex
	telling, last string
}

// Write takes whole lines.
func (w *lastWords) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for line := range bytes.Lines(p) {
		text := strings.TrimSpace(string(line[:min(len(line), maxWords)]))
		if text == "" || strings.HasPrefix(text, "{") { // the latter are log lines
			continue
		}
		w.last = text
		for _, start := range []string{"panic: ", "fatal error: ", "runtime: out of memory", "sandbox: ", "SIG"} {
			if w.telling == "" && strings.HasPrefix(text, start) {
				w.telling = text
			}
		}
	}
	return len(p), nil
}

const maxWords = 300

func (w *lastWords) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.telling != "" {
		return subprocess.Clean(w.telling)
	}
	return subprocess.Clean(w.last)
}

// forget is for the next task, to which what was printed before says nothing.
func (w *lastWords) forget() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.telling, w.last = "", ""
}

// howEnded says how a process ended, if it did so by itself: a short while is
// given to one that is on its way. Afterwards it is gone.
func (p *process) howEnded() (string, bool) {
	if p.runner == nil || p.runner.ID() == "" {
		return "", false
	}
	timer := time.NewTimer(exitPatience)
	defer timer.Stop()
	select {
	case <-p.runner.Gone():
	case <-timer.C:
		return "", false
	}
	text := exitText(p.runner.Exit())
	p.stop() // what it printed has been read then
	if words := p.words.String(); words != "" {
		text += ", after printing: " + words
		if strings.Contains(words, "out of memory") || strings.Contains(words, "cannot allocate memory") {
			text += fmt.Sprintf(" (it may use %d MiB)", p.circuit.host.cfg.MemoryLimit>>20)
		}
	}
	return text, true
}

func exitText(err error) string {
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return "the plugin's process ended by itself"
	}
	state, ok := exit.Sys().(syscall.WaitStatus)
	switch {
	case !ok || !state.Signaled():
		return fmt.Sprintf("the plugin's process ended with status %d", exit.ExitCode())
	case state.Signal() == syscall.SIGKILL:
		return "the plugin's process was killed, as the kernel does when memory runs out"
	case state.Signal() == syscall.SIGXFSZ:
		return "the plugin's process was ended because it wrote more to a file than it may"
	default:
		return fmt.Sprintf("the plugin's process was ended by the signal %s", state.Signal())
	}
}

// crashed puts a call that failed in the plugin's doing into words.
func (p *process) crashed(err error) error {
	text := subprocess.Clean(status.Convert(err).Message())
	switch status.Code(err) {
	case codes.Unavailable:
		if how, ended := p.howEnded(); ended {
			return errors.New(how)
		}
		return fmt.Errorf("the plugin closed its connection: %s", text)
	case codes.ResourceExhausted:
		return fmt.Errorf("the plugin's answer is too large: %s", text)
	}
	return errors.New(text)
}

// notStarted puts a failed start into words. The process is gone.
func (p *process) notStarted(ctx context.Context, step string, err error) error {
	if p.runner != nil && p.runner.ID() != "" && ctx.Err() == nil {
		if how, ended := p.howEnded(); ended && !strings.Contains(how, "was killed") {
			return fmt.Errorf("%s: %s", step, how)
		}
	}
	p.stop()
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fmt.Errorf("%s: the plugin was not ready within %s", step, p.circuit.host.cfg.StartTimeout)
	}
	return fmt.Errorf("%s: %w", step, err)
}

// calledOff puts the end of a solve's context into words.
func calledOff(ctx context.Context, started time.Time) error {
	after := time.Since(started).Round(10 * time.Millisecond)
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fmt.Errorf("no solution after %s, and no more time for it; the plugin's process was ended: %w", after, context.Cause(ctx))
	}
	return fmt.Errorf("called off after %s; the plugin's process was ended: %w", after, context.Cause(ctx))
}
