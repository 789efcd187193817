package client

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"github.com/gristmill-zk/gristmill/wire"
)

// State is how far a message or task has come.
type State string

// States of messages. Pending to mined may go back after a reorg, a skipped or
// a dead task. Settled and refused end a message, but the chain has the last
// word: a reorganisation that takes the settlement back, or the last of the
// failures, makes it mined or batched again. Where that matters, look again
// once the settlement is as deep as the chain's reorganisations go.
const (
	StatePending State = "pending"
	StateBatched State = "batched"
	StateMined   State = "mined"
	StateSettled State = "settled"
	StateRefused State = "refused"
)

// Ends of tasks besides StateSettled. A reorganisation may take any of them back.
const (
	StateSkipped  State = "skipped"
	StateDead     State = "dead"
	StateRecalled State = "recalled"
)

// Project is what signing for a project takes, and whether it takes messages.
type Project struct {
	ID uint64 `json:"project"`
	// Version is the current version's number.
	Version uint32 `json:"version"`
	// PayloadLimit is the longest payload; it is part of what eddsa-bn254 signs.
	PayloadLimit uint32 `json:"payload_limit"`
	// BatchSize is how many messages make a task, MaxWait after how many
	// seconds fewer do.
	BatchSize uint32 `json:"batch_size"`
	MaxWait   uint32 `json:"max_wait"`
	Paused    bool   `json:"paused"`
	// Funded says whether the escrow pays for another task, Listed whether the
	// project takes tasks of this sequencer.
	Funded bool `json:"funded"`
	Listed bool `json:"listed"`
}

// Message is where a message is.
type Message struct {
	ID      wire.Hash `json:"id"`
	Project uint64    `json:"project"`
	Device  wire.Hash `json:"device"`
	Nonce   uint64    `json:"nonce"`
	State   State     `json:"state"`
	// Reason is why it was refused.
	Reason string `json:"reason"`
	// DataHash is the body it is in, TaskID the newest task of that body.
	DataHash *wire.Hash `json:"data_hash"`
	TaskID   *wire.Hash `json:"task_id"`
}

// Final says whether the message has come to an end. Only a reorganisation of
// the chain changes it from there.
func (m Message) Final() bool { return m.State == StateSettled || m.State == StateRefused }

// Task is where a task is.
type Task struct {
	ID             wire.Hash `json:"id"`
	Project        uint64    `json:"project"`
	Version        uint32    `json:"version"`
	Count          uint32    `json:"count"`
	Size           uint32    `json:"size"`
	DataHash       wire.Hash `json:"data_hash"`
	DataCommitment wire.Hash `json:"data_commitment"`
	// Height and Block are of the block that carries it.
	Height uint64     `json:"height"`
	Block  *wire.Hash `json:"block"`
	State  State      `json:"state"`
	// Reason is why it was skipped or died.
	Reason   string      `json:"reason"`
	Messages []wire.Hash `json:"messages"`
}

// Final says whether the task has come to an end, good or bad. Only a
// reorganisation of the chain changes it from there.
func (t Task) Final() bool {
	switch t.State {
	case StateSettled, StateSkipped, StateDead, StateRecalled:
		return true
	}
	return false
}

// Deployment asks which contracts the sequencer works for. It checks that the
// id that the sequencer states is the one these names give.
func (c *Client) Deployment(ctx context.Context) (wire.Deployment, error) {
	var answer struct {
		wire.Deployment
		ID wire.Hash `json:"deployment_id"`
	}
	if err := c.get(ctx, "/v1/deployment", nil, &answer); err != nil {
		return wire.Deployment{}, err
	}
	if answer.ID != answer.IDBytes() {
		return wire.Deployment{}, fmt.Errorf("client: deployment: %w", ErrWrongAnswer)
	}
	return answer.Deployment, nil
}

// Project asks for a project.
func (c *Client) Project(ctx context.Context, id uint64) (Project, error) {
	var p Project
	if err := c.get(ctx, "/v1/projects/"+strconv.FormatUint(id, 10), nil, &p); err != nil {
		return Project{}, err
	}
	if p.ID != id {
		return Project{}, fmt.Errorf("client: project %d: %w", id, ErrWrongAnswer)
	}
	return p, nil
}

// NextNonce asks for the lowest nonce that the device may use in the project.
func (c *Client) NextNonce(ctx context.Context, key wire.DeviceKey, project uint64) (uint64, error) {
	device, err := key.ID()
	if err != nil {
		return 0, err
	}
	var answer struct {
		Nonce uint64 `json:"nonce"`
		Used  bool   `json:"used"`
	}
	query := url.Values{"project": {strconv.FormatUint(project, 10)}}
	if err := c.get(ctx, "/v1/devices/"+device.String()+"/nonce", query, &answer); err != nil {
		return 0, err
	}
	if !answer.Used {
		return 1, nil
	}
	return answer.Nonce + 1, nil
}

// Message asks where a message is.
func (c *Client) Message(ctx context.Context, id wire.Hash) (Message, error) {
	var m Message
	if err := c.get(ctx, "/v1/messages/"+id.String(), nil, &m); err != nil {
		return Message{}, err
	}
	if m.ID != id {
		return Message{}, fmt.Errorf("client: message %s: %w", id, ErrWrongAnswer)
	}
	return m, nil
}

// Task asks where a task is.
func (c *Client) Task(ctx context.Context, id wire.Hash) (Task, error) {
	var t Task
	if err := c.get(ctx, "/v1/tasks/"+id.String(), nil, &t); err != nil {
		return Task{}, err
	}
	if t.ID != id {
		return Task{}, fmt.Errorf("client: task %s: %w", id, ErrWrongAnswer)
	}
	return t, nil
}

// FollowMessage looks at a message until its state is final or ctx ends.
// onChange, if not nil, gets every new state, the last included.
func (c *Client) FollowMessage(ctx context.Context, id wire.Hash, onChange func(Message)) (Message, error) {
	return follow(ctx, c, id, onChange, c.Message, func(m Message) State { return m.State })
}

// FollowTask does the same with a task.
func (c *Client) FollowTask(ctx context.Context, id wire.Hash, onChange func(Task)) (Task, error) {
	return follow(ctx, c, id, onChange, c.Task, func(t Task) State { return t.State })
}

type finisher interface{ Final() bool }

func follow[T finisher](
	ctx context.Context, c *Client, id wire.Hash, onChange func(T),
	look func(context.Context, wire.Hash) (T, error), state func(T) State,
) (T, error) {
	var last State
	for {
		view, err := look(ctx, id)
		if err != nil {
			return view, err
		}
		if now := state(view); now != last {
			last = now
			if onChange != nil {
				onChange(view)
			}
		}
		if view.Final() {
			return view, nil
		}
		if err := wait(ctx, c.cfg.PollInterval); err != nil {
			return view, err
		}
	}
}

func (c *Client) get(ctx context.Context, path string, query url.Values, out any) error {
	return c.request(ctx, http.MethodGet, path, query, nil, out)
}
