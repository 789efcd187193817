package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/gristmill-zk/gristmill/client"
	"github.com/gristmill-zk/gristmill/wire"
)

// SendOptions is one message to send.
type SendOptions struct {
	Project uint64
	Device  string // name of a device key
	Payload []byte
	Wait    bool // follow it until its proof is settled
	// Progress is told a line at each step. Nil: nobody listens.
	Progress func(line string)
}

// Sent is what became of a message.
type Sent struct {
	ID        wire.Hash    `json:"id"`
	Device    wire.Hash    `json:"device_id"`
	Nonce     uint64       `json:"nonce"`
	State     client.State `json:"state"`
	Reason    string       `json:"reason,omitempty"`
	Task      *wire.Hash   `json:"task_id,omitempty"`
	Duplicate bool         `json:"duplicate"`
}

const (
	// followEvery is how often a message that is waited for is asked about.
	followEvery = 300 * time.Millisecond
	// followTimeout is how long the answer to that may take.
	followTimeout = 10 * time.Second
	// waitingEvery is how often a person is told that nobody answers.
	waitingEvery = 5 * time.Second
)

// Send signs a payload as a device and gives it to the sequencer. What it
// returns has an id once the sequencer has taken the message, also beside an
// error: then following it failed.
func (s *Session) Send(ctx context.Context, opts SendOptions) (Sent, error) {
	say := opts.Progress
	if say == nil {
		say = func(string) {}
	}
	if s.SequencerURL() == "" {
		if _, err := loadRole(s.opts.Dir, roleSequencer); errors.Is(err, ErrStarting) {
			return Sent{}, err
		}
		return Sent{}, errors.New("no sequencer runs on this data directory: give --sequencer")
	}
	to, err := client.NewWithConfig(s.SequencerURL(), client.Config{PollInterval: followEvery, Logger: s.opts.Logger})
	if err != nil {
		return Sent{}, err
	}
	key, signer, err := s.sendingDevice(ctx, opts, say)
	if err != nil {
		return Sent{}, err
	}
	device, err := to.NewDevice(ctx, signer, opts.Project)
	if err != nil {
		return Sent{}, err
	}
	message, receipt, err := device.Send(ctx, opts.Payload)
	if err != nil {
		return Sent{}, err
	}
	sent := Sent{ID: receipt.ID, Device: key.ID, Nonce: message.Nonce, State: receipt.State, Duplicate: receipt.Duplicate}
	say(fmt.Sprintf("message %s: on disk at the sequencer (%d bytes, nonce %d)", sent.ID, len(opts.Payload), sent.Nonce))
	if !opts.Wait {
		return sent, nil
	}
	return sent, s.follow(ctx, &sent, say)
}

// follow waits until a message that was sent is settled or refused.
func (s *Session) follow(ctx context.Context, sent *Sent, say func(string)) error {
	// Each look is one request, so that what is wrong shows at once.
	follower, err := client.NewWithConfig(s.SequencerURL(), client.Config{Attempts: 1, Timeout: followTimeout, Logger: s.opts.Logger})
	if err != nil {
		return err
	}
	return sent.follow(ctx, follower, s.SchedulerURL(), say)
}

// sendingDevice opens the device key. On the data directory of a local
// deployment a missing device is made and listed with the local project.
func (s *Session) sendingDevice(ctx context.Context, opts SendOptions, say func(string)) (Device, wire.Signer, error) {
	device, signer, err := s.devices.Open(opts.Device)
	if err == nil || s.local.Project == 0 || opts.Project != s.local.Project {
		return device, signer, err
	}
	if device, signer, err = s.devices.Ensure(opts.Device, wire.SchemeEdDSABN254); err != nil {
		return device, signer, err
	}
	say(fmt.Sprintf("device %s: made, listing it with project %d", device.ID, opts.Project))
	owner, err := s.Sender(ctx, keyOwner)
	if err != nil {
		return device, signer, err
	}
	return device, signer, s.SetDevices(ctx, owner, opts.Project, []wire.Hash{device.ID}, true)
}

// follow waits until the message is settled or refused, and tells each step and
// what the prover says of a task that goes back. A sequencer that does not
// answer is waited for: the message is on its disk.
func (m *Sent) follow(ctx context.Context, from *client.Client, scheduler string, say func(string)) error {
	start := time.Now()
	tell := func(line string) { say(fmt.Sprintf("%5.1f s  %s", time.Since(start).Seconds(), line)) }
	ticker := time.NewTicker(followEvery)
	defer ticker.Stop()
	var shown, prover string
	silent := time.Time{}
	for {
		now, err := from.Message(ctx, m.ID)
		switch {
		case err == nil:
			silent = time.Time{}
			m.State, m.Reason, m.Task = now.State, now.Reason, now.TaskID
			if line := messageLine(now); line != shown {
				shown = line
				tell(line)
			}
		case ctx.Err() != nil || !passing(err):
			return fmt.Errorf("message %s is taken, but cannot be followed: %w", m.ID, err)
		case time.Since(silent) >= waitingEvery:
			silent = time.Now()
			tell(fmt.Sprintf("still waiting: %v", err))
		}
		if now.Final() {
			break
		}
		if m.Task != nil && scheduler != "" {
			if line := proverLine(ctx, scheduler, *m.Task); line != prover {
				if prover = line; line != "" {
					tell(line)
				}
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
	}
	if m.State == client.StateRefused {
		return fmt.Errorf("message %s was refused: %s", m.ID, m.Reason)
	}
	return nil
}

func messageLine(m client.Message) string {
	line := string(m.State)
	if m.TaskID != nil {
		line += ", task " + m.TaskID.String()
	}
	if m.Reason != "" {
		line += " (" + m.Reason + ")"
	}
	return line
}

// passing says whether it makes sense to ask again after a failure: the
// endpoint did not answer, or said that it cannot now.
func passing(err error) bool {
	var refused *client.Error
	if errors.As(err, &refused) {
		return refused.Retryable()
	}
	return !errors.Is(err, client.ErrWrongAnswer)
}

// proverLine is what the prover has to say of a task that does not go forward;
// empty when it cannot be asked or all is well.
func proverLine(ctx context.Context, scheduler string, task wire.Hash) string {
	word, ok := proverWord(ctx, scheduler, task)
	if !ok || !word.stuck() {
		return ""
	}
	return fmt.Sprintf("prover: %s: %s", word.State, word.Reason)
}

// TemplatePayload fills the payload template of a project, kept in
// templates/PROJECT of the data directory, with NAME=VALUE settings.
func (s *Session) TemplatePayload(project uint64, settings []string) ([]byte, error) {
	path := templatePath(s.opts.Dir, project)
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("project %d has no payload template: %w", project, err)
	}
	spec, err := fillTemplate(strings.TrimSpace(string(text)), settings)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return PackPayload(spec)
}

func templatePath(dir DataDir, project uint64) string {
	return dir.Path("templates", fmt.Sprint(project))
}

// fillTemplate replaces each {name} or {name=default} of a template.
func fillTemplate(template string, settings []string) (string, error) {
	values := map[string]string{}
	for _, setting := range settings {
		name, value, ok := strings.Cut(setting, "=")
		if !ok {
			return "", fmt.Errorf("%q: want NAME=VALUE", setting)
		}
		values[name] = value
	}
	var out strings.Builder
	for rest := template; ; {
		before, after, found := strings.Cut(rest, "{")
		out.WriteString(before)
		if !found {
			break
		}
		field, tail, closed := strings.Cut(after, "}")
		if !closed {
			return "", fmt.Errorf("template %q: a { without its }", template)
		}
		name, fallback, hasFallback := strings.Cut(field, "=")
		value, given := values[name]
		if !given && !hasFallback {
			return "", fmt.Errorf("the template %q needs --set %s=…", template, name)
		}
		if !given {
			value = fallback
		}
		delete(values, name)
		out.WriteString(value)
		rest = tail
	}
	for name := range values {
		return "", fmt.Errorf("the template %q has no %s", template, name)
	}
	return out.String(), nil
}
