package node

import (
	"context"
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

// followEvery is how often a message that is waited for is asked about.
const followEvery = 300 * time.Millisecond

// Send signs a payload as a device and gives it to the sequencer.
func (s *Session) Send(ctx context.Context, opts SendOptions) (Sent, error) {
	say := opts.Progress
	if say == nil {
		say = func(string) {}
	}
	if s.SequencerURL() == "" {
		return Sent{}, fmt.Errorf("no sequencer: give --sequencer; %w", ErrNotRunning)
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
	return sent, sent.follow(ctx, to, say)
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

// follow waits until the message is settled or refused, and tells each step.
func (m *Sent) follow(ctx context.Context, from *client.Client, say func(string)) error {
	start := time.Now()
	last, err := from.FollowMessage(ctx, m.ID, func(now client.Message) {
		line := string(now.State)
		if now.TaskID != nil {
			line += ", task " + now.TaskID.String()
		}
		if now.Reason != "" {
			line += " (" + now.Reason + ")"
		}
		say(fmt.Sprintf("%5.1f s  %s", time.Since(start).Seconds(), line))
	})
	if err != nil {
		return err
	}
	m.State, m.Reason, m.Task = last.State, last.Reason, last.TaskID
	if last.State == client.StateRefused {
		return fmt.Errorf("message %s was refused: %s", m.ID, last.Reason)
	}
	return nil
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
