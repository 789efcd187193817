package health

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"time"
)

// SMI reads devices with nvidia-smi. The zero value is ready for use.
type SMI struct {
	// Command is the tool and arguments that come before others. Empty is
	// nvidia-smi from PATH.
	Command []string
	// Timeout is how long the tool may take. Defaults to DefaultTimeout.
	Timeout time.Duration
	// KernelLog is the file with the kernel's log. Empty is /dev/kmsg, "-" none.
	KernelLog string

	mu      sync.Mutex
	dropped map[string]bool // fields that this driver does not know
	asker   asker
}

var _ Source = (*SMI)(nil)

// Name implements Source.
func (s *SMI) Name() string { return strings.Join(s.command(), " ") }

func (s *SMI) command() []string {
	if len(s.Command) == 0 {
		return []string{"nvidia-smi"}
	}
	return s.Command
}

// Read implements Source.
func (s *SMI) Read(ctx context.Context) ([]Reading, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	readings, err := s.query(ctx)
	if err != nil {
		return nil, err
	}
	addXids(readings, s.KernelLog)
	return readings, nil
}

// query asks for all fields, leaving out those that the driver does not know.
func (s *SMI) query(ctx context.Context) ([]Reading, error) {
	for {
		fields := s.fields()
		out, err := s.run(ctx, "--query-gpu="+strings.Join(fields, ","), "--format=csv,noheader,nounits")
		if unknown := unknownField(out); unknown != "" && !s.dropped[unknown] {
			if s.dropped == nil {
				s.dropped = map[string]bool{}
			}
			s.dropped[unknown] = true
			if len(s.fields()) < len(fields) {
				continue
			}
		}
		readings, lost, parseErr := parse(out, fields)
		if len(lost) > 0 {
			return append(readings, lost...), nil
		}
		if err != nil {
			return nil, err
		}
		if parseErr == nil && len(readings) == 0 {
			return nil, ErrNoDevices
		}
		return readings, parseErr
	}
}

func (s *SMI) fields() []string {
	var names []string
	for _, f := range smiFields {
		if !s.dropped[f.name] {
			names = append(names, f.name)
		}
	}
	return names
}

var invalidField = regexp.MustCompile(`Field "([a-z0-9_.]+)" is not a valid field to query`)

func unknownField(out string) string {
	if m := invalidField.FindStringSubmatch(out); m != nil {
		return m[1]
	}
	return ""
}

// run runs the tool and returns what it printed, errors included.
func (s *SMI) run(ctx context.Context, args ...string) (string, error) {
	answer, err := s.asker.ask(ctx, "nvidia-smi", s.Timeout, append(append([]string{}, s.command()...), args...))
	text := answer.Out + answer.Err
	var exit *exec.ExitError
	switch {
	case err == nil:
		return text, nil
	case errors.As(err, &exit) || errors.Is(err, exec.ErrWaitDelay):
		return text, explain(text, err)
	case errors.Is(err, ErrTimeout) || ctx.Err() != nil:
		return "", err
	}
	return "", fmt.Errorf("%w: %w", ErrNoTool, err)
}

// explain says what the tool's failure means. Its exit codes are documented in
// its manual.
func explain(text string, err error) error {
	said := firstLine(text)
	var exit *exec.ExitError
	code := -1
	if errors.As(err, &exit) {
		code = exit.ExitCode()
	}
	for _, known := range []struct {
		text string
		code int
		kind error
	}{
		{"couldn't communicate with the NVIDIA driver", 9, ErrNoDriver},
		{"Driver/library version mismatch", -2, ErrNoDriver},
		{"Driver Not Loaded", -2, ErrNoDriver},
		{"shared library", 12, ErrNoDriver},
		{"NVIDIA-SMI couldn't find", 12, ErrNoDriver},
		{"No devices were found", -2, ErrNoDevices},
		{"Failed to initialize NVML", -2, ErrNoDriver},
	} {
		if code == known.code || strings.Contains(text, known.text) {
			return fmt.Errorf("%w: nvidia-smi says: %s", known.kind, said)
		}
	}
	return fmt.Errorf("%w: nvidia-smi failed (%w) and says: %s", ErrUnreadable, err, said)
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
	if len(line) > 200 {
		line = line[:200] + "…"
	}
	if line == "" {
		return "nothing"
	}
	return strings.ToValidUTF8(line, "?")
}
