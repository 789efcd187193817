package health

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
)

// Program reads devices by a program that loads NVML: gristmill-engine-icicle
// with --health. What it prints is an [Answer].
type Program struct {
	// Command is the program and its arguments.
	Command []string
	// Timeout is how long it may take. Defaults to DefaultTimeout.
	Timeout time.Duration
	// KernelLog is the file with the kernel's log. Empty is /dev/kmsg, "-" none.
	KernelLog string

	mu    sync.Mutex
	asker asker
}

var _ Source = (*Program)(nil)

// Answer is what the program prints, as JSON.
type Answer struct {
	Readings []Reading `json:"readings"`
	// Kind is one of "no driver", "no devices" and "unreadable" when there are no
	// readings, Error says more.
	Kind  string `json:"kind,omitempty"`
	Error string `json:"error,omitempty"`
}

// NewAnswer is the answer of a source that read, or failed to.
func NewAnswer(readings []Reading, err error) Answer {
	if err == nil {
		return Answer{Readings: readings}
	}
	for kind, known := range kinds {
		if errors.Is(err, known) {
			return Answer{Kind: kind, Error: err.Error()}
		}
	}
	return Answer{Kind: "unreadable", Error: err.Error()}
}

// Name implements Source.
func (p *Program) Name() string { return "NVML" }

// Read implements Source. ErrNoTool is a program that is not there or knows
// nothing of devices.
func (p *Program) Read(ctx context.Context) ([]Reading, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	said, err := p.asker.ask(ctx, "NVML's reader", p.Timeout, p.Command)
	switch {
	case err == nil:
	case errors.Is(err, ErrTimeout) || ctx.Err() != nil:
		return nil, err
	default:
		return nil, fmt.Errorf("%w: %s: %w: %s", ErrNoTool, p.Command[0], err, firstLine(said.Err))
	}
	readings, err := parseAnswer(said.Out)
	if err != nil {
		return nil, err
	}
	addXids(readings, p.KernelLog)
	return readings, nil
}

func parseAnswer(text string) ([]Reading, error) {
	var answer Answer
	decoder := json.NewDecoder(bytes.NewReader([]byte(text)))
	if err := decoder.Decode(&answer); err != nil {
		return nil, fmt.Errorf("%w: NVML's reader says: %s: %w", ErrUnreadable, firstLine(text), err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%w: NVML's reader says more than its answer", ErrUnreadable)
	}
	if answer.Error != "" || answer.Kind != "" {
		known := kinds[answer.Kind]
		if known == nil {
			known = ErrUnreadable
		}
		return nil, fmt.Errorf("%w (%s)", known, firstLine(answer.Error))
	}
	if len(answer.Readings) == 0 {
		return nil, ErrNoDevices
	}
	for i, r := range answer.Readings {
		if r.UUID == "" && r.Fault == "" {
			return nil, fmt.Errorf("%w: NVML's reader gives device %d neither name nor fault", ErrUnreadable, i)
		}
	}
	return answer.Readings, nil
}

// either asks one source and, when that can not tell, another.
type either struct{ first, second Source }

// Name implements Source.
func (e *either) Name() string { return e.first.Name() + " or " + e.second.Name() }

// Read implements Source. A driver that hangs is not asked twice.
func (e *either) Read(ctx context.Context) ([]Reading, error) {
	readings, err := e.first.Read(ctx)
	if err == nil || ctx.Err() != nil || errors.Is(err, ErrTimeout) {
		return readings, err
	}
	readings, second := e.second.Read(ctx)
	if errors.Is(second, ErrNoTool) && !errors.Is(err, ErrNoTool) {
		return nil, err
	}
	return readings, second
}
