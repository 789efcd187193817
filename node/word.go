package node

import (
	"context"
	"time"

	"github.com/gristmill-zk/gristmill/wire"
)

// ProverWord is what a prover's scheduler says of a task.
type ProverWord struct {
	State   string `json:"state"`
	Attempt uint32 `json:"attempt"`
	Reason  string `json:"reason"`
	// Attempts are the tries so far, the oldest first.
	Attempts []ProverAttempt `json:"attempts"`
}

// ProverAttempt is one try of a prover's at a task.
type ProverAttempt struct {
	Number uint32 `json:"attempt"`
	State  string `json:"state"`
	Worker string `json:"worker"`
	// Reason is why it failed; Progress what it has come to in the words of its
	// worker and plugin.
	Reason   string `json:"reason"`
	Progress string `json:"progress"`
}

// String is a line for people, without the number.
func (a ProverAttempt) String() string {
	text := a.State
	if a.Worker != "" {
		text += " on worker " + a.Worker
	}
	if a.Reason != "" {
		text += ": " + a.Reason
	}
	if a.Progress != "" {
		text += " (" + a.Progress + ")"
	}
	return text
}

// proverPatience is how long a scheduler may take to answer what only serves a
// person's understanding.
const proverPatience = 2 * time.Second

// proverWord asks a scheduler; false when it cannot be asked or has no word.
func proverWord(ctx context.Context, scheduler string, task wire.Hash) (word ProverWord, ok bool) {
	if scheduler == "" {
		return word, false
	}
	ctx, cancel := context.WithTimeout(ctx, proverPatience)
	defer cancel()
	err := getJSON(ctx, scheduler+"/v1/tasks/"+task.String(), &word)
	return word, err == nil && word.State != ""
}

// stuck says whether the task has ended badly with this prover, or goes back
// to be tried again.
func (w ProverWord) stuck() bool {
	switch w.State {
	case "declined", "lost", "dead":
		return true
	case "fetched":
		return w.Attempt > 0
	}
	return false
}
