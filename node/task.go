package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/ethereum/go-ethereum/common"

	"github.com/gristmill-zk/gristmill/chain"
	"github.com/gristmill-zk/gristmill/chain/cursor"
	"github.com/gristmill-zk/gristmill/wire"
)

// TaskView is a task as the chain's events tell of it.
type TaskView struct {
	ID              wire.Hash    `json:"task_id"`
	Status          string       `json:"status"`
	Why             string       `json:"reason,omitempty"`
	Project         uint64       `json:"project"`
	Version         uint32       `json:"version"`
	Count           uint32       `json:"messages"`
	Size            uint32       `json:"size"`
	DataHash        wire.Hash    `json:"data_hash"`
	DataCommitment  wire.Hash    `json:"data_commitment"`
	Height          uint64       `json:"height"`
	MinedTx         wire.Hash    `json:"mined_tx"`
	Prover          wire.Address `json:"prover,omitzero"`
	Deadline        uint64       `json:"deadline,omitempty"`
	SettledTx       wire.Hash    `json:"settled_tx,omitzero"`
	Proof           wire.Proof   `json:"proof,omitzero"`
	Outputs         []wire.Hash  `json:"outputs,omitempty"`
	ProverAmount    *Wei         `json:"prover_amount,omitempty"`
	SequencerAmount *Wei         `json:"sequencer_amount,omitempty"`
	ProtocolAmount  *Wei         `json:"protocol_amount,omitempty"`
	// Decimals are the reward token's, once the task is settled; Word is what
	// the prover says, when it can be asked. Lists have neither.
	Decimals uint8       `json:"token_decimals,omitempty"`
	Word     *ProverWord `json:"prover_says,omitempty"`
}

// OutputTexts are the proof's outputs as decimal numbers.
func (t TaskView) OutputTexts() []string {
	texts := make([]string, len(t.Outputs))
	for i, out := range t.Outputs {
		texts[i] = out.Big().String()
	}
	return texts
}

// Tasks lists tasks, the newest first; limit 0 means all.
func (s *Session) Tasks(ctx context.Context, limit int) ([]TaskView, error) {
	tasks, err := readTasks(ctx, s.deployment, nil)
	if err != nil {
		return nil, err
	}
	slices.Reverse(tasks)
	if limit > 0 && len(tasks) > limit {
		tasks = tasks[:limit]
	}
	return tasks, nil
}

// TaskDetail is Task and what only a look at one task is worth the asking for.
func (s *Session) TaskDetail(ctx context.Context, idOrPrefix string) (TaskView, error) {
	t, err := s.Task(ctx, idOrPrefix)
	if err != nil {
		return t, err
	}
	if word, ok := proverWord(ctx, s.SchedulerURL(), t.ID); ok {
		t.Word = &word
	}
	if t.ProverAmount == nil {
		return t, nil
	}
	version, err := s.deployment.Version(ctx, t.Project, t.Version)
	if err != nil {
		return t, err
	}
	t.Decimals, err = tokenDecimals(ctx, s.client, version.RewardToken)
	return t, err
}

// Task finds a task by its id, or by the first digits of it.
func (s *Session) Task(ctx context.Context, idOrPrefix string) (TaskView, error) {
	if id, err := wire.ParseHash(idOrPrefix); err == nil {
		tasks, err := readTasks(ctx, s.deployment, &id)
		if err != nil {
			return TaskView{}, err
		}
		if len(tasks) == 0 {
			return TaskView{}, fmt.Errorf("the chain knows no task %s", id)
		}
		return tasks[0], nil
	}
	prefix := "0x" + strings.ToLower(strings.TrimPrefix(idOrPrefix, "0x"))
	tasks, err := readTasks(ctx, s.deployment, nil)
	if err != nil {
		return TaskView{}, err
	}
	tasks = slices.DeleteFunc(tasks, func(t TaskView) bool { return !strings.HasPrefix(t.ID.String(), prefix) })
	switch len(tasks) {
	case 0:
		return TaskView{}, fmt.Errorf("the chain knows no task %s…", prefix)
	case 1:
		return tasks[0], nil
	}
	return TaskView{}, fmt.Errorf("%d tasks begin with %s: give more digits", len(tasks), prefix)
}

// readTasks folds the task manager's events, of all tasks or of one.
func readTasks(ctx context.Context, d *chain.Deployment, only *wire.Hash) ([]TaskView, error) {
	var topics [][]common.Hash
	if only != nil {
		topics = [][]common.Hash{nil, {common.Hash(*only)}}
	}
	fold := taskFold{at: map[wire.Hash]int{}}
	err := eachEvent(ctx, d, []common.Address{d.Parts().Tasks}, topics, func(e chain.Event) error {
		fold.add(e)
		return nil
	})
	return fold.list, err
}

// eachEvent calls yield for the events of some contracts, from the deployment's
// first block to the head.
func eachEvent(ctx context.Context, d *chain.Deployment, addresses []common.Address, topics [][]common.Hash, yield func(chain.Event) error) error {
	start, err := d.Start(ctx)
	if err != nil {
		return err
	}
	logs, err := cursor.New(cursor.Config{Client: d.Client(), Addresses: addresses, Topics: topics, Start: start})
	if err != nil {
		return err
	}
	var at cursor.Position
	for {
		batch, err := logs.Next(ctx, at)
		if err != nil {
			return err
		}
		if batch.Rollback != nil {
			return errors.New("the chain reorganised while it was read; try again")
		}
		events, err := d.DecodeEvents(batch.Logs)
		if err != nil {
			return err
		}
		for _, e := range events {
			if err := yield(e); err != nil {
				return err
			}
		}
		at = batch.Next
		if !batch.More {
			return nil
		}
	}
}

// taskFold turns events into task views. A block may have two leaves of one
// task: the contract announces both as mined and skips the second once the
// first stands. So what is said of a leaf counts only until the task stands.
type taskFold struct {
	list []TaskView
	at   map[wire.Hash]int
}

func (f *taskFold) add(e chain.Event) {
	switch e := e.(type) {
	case chain.TaskMined:
		f.mined(TaskView{
			ID: e.TaskID, Status: taskMined, Project: e.Task.Project, Version: e.Task.Version, Count: e.Task.Count, Size: e.Task.Size,
			DataHash: e.Task.DataHash, DataCommitment: e.Task.DataCommitment, Height: e.Height, MinedTx: wire.Hash(e.Tx),
		})
	case chain.TaskSkipped:
		if !f.stands(e.TaskID) {
			f.change(e.TaskID, taskSkipped, e.Reason.String(), wire.Address{})
		}
	case chain.TaskOffered:
		f.change(e.TaskID, "offered", "", e.Prover)
	case chain.TaskWaiting:
		f.change(e.TaskID, "waiting", "", wire.Address{})
	case chain.TaskAccepted:
		if t := f.change(e.TaskID, "accepted", "", e.Prover); t != nil {
			t.Deadline = e.Deadline
		}
	case chain.TaskRecalled:
		f.change(e.TaskID, "recalled", "", wire.Address{})
	case chain.TaskDead:
		f.change(e.TaskID, "dead", e.Reason.String(), wire.Address{})
	case chain.TaskSettled:
		if t := f.change(e.TaskID, "settled", "", e.Prover); t != nil {
			t.SettledTx, t.Proof, t.Outputs = wire.Hash(e.Tx), e.Proof, e.Outputs
			t.ProverAmount, t.SequencerAmount, t.ProtocolAmount = (*Wei)(e.ProverAmount), (*Wei)(e.SequencerAmount), (*Wei)(e.ProtocolAmount)
		}
	}
}

// What a leaf may be before its task stands.
const (
	taskMined   = "mined"
	taskSkipped = "skipped"
)

// stands says whether a task was let in: offered to somebody, or waiting.
func (f *taskFold) stands(id wire.Hash) bool {
	i, known := f.at[id]
	return known && f.list[i].Status != taskMined && f.list[i].Status != taskSkipped
}

func (f *taskFold) mined(t TaskView) {
	i, known := f.at[t.ID]
	switch {
	case !known:
		f.at[t.ID] = len(f.list)
		f.list = append(f.list, t)
	case !f.stands(t.ID): // the leaf before was skipped
		f.list[i] = t
	}
}

func (f *taskFold) change(id wire.Hash, status, why string, prover wire.Address) *TaskView {
	i, known := f.at[id]
	if !known {
		return nil
	}
	t := &f.list[i]
	t.Status, t.Why, t.Prover = status, why, prover
	return t
}
