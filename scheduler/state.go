package scheduler

import (
	"errors"
	"fmt"
	"slices"
)

// State is how far this prover has come with a task.
type State string

// The states of a task. [None] is a task that never was this prover's.
const (
	None State = ""
	// Discovered: offered to this prover; its data is not here yet.
	Discovered State = "discovered"
	// Fetched: the data is here, checked, and an attempt may start.
	Fetched State = "fetched"
	// Dispatched: the current attempt is with the workers.
	Dispatched State = "dispatched"
	// Solved: the current attempt found a witness and goes on proving.
	Solved State = "solved"
	// Proved: a verified proof is on disk.
	Proved State = "proved"
	// Submitted: the settlement is, or is about to be, sent.
	Submitted State = "submitted"
	// Settled: the chain settled the task with this prover. An end.
	Settled State = "settled"
	// Declined: this prover does not want the offer. An end.
	Declined State = "declined"
	// Lost: the task was given to another, or its block is gone. An end.
	Lost State = "lost"
	// Dead: the task is nobody's any more. An end.
	Dead State = "dead"
)

// States are all states in the order of a task's way.
var States = []State{Discovered, Fetched, Dispatched, Solved, Proved, Submitted, Settled, Declined, Lost, Dead}

// ends of a task's way. Only the chain leads out of them: a reorganisation, or
// a new offer of the same task.
var ends = []State{Settled, Declined, Lost, Dead}

// transitions is every way there is. From any state of work the chain may end
// a task; out of an end it leads back to as far as what is on disk reaches.
var transitions = map[State][]State{
	None:       {Discovered},
	Discovered: {Fetched, Settled, Declined, Lost, Dead},
	Fetched:    {Dispatched, Proved, Settled, Declined, Lost, Dead},
	Dispatched: {Solved, Proved, Fetched, Settled, Declined, Lost, Dead},
	Solved:     {Proved, Fetched, Settled, Declined, Lost, Dead},
	Proved:     {Submitted, Fetched, Settled, Lost, Dead},
	Submitted:  {Settled, Proved, Fetched, Lost, Dead},
	Settled:    {Discovered, Fetched, Proved, Lost, Dead},
	Declined:   {Discovered, Fetched, Proved, Settled},
	Lost:       {Discovered, Fetched, Proved, Settled, Dead},
	Dead:       {Discovered, Fetched, Proved, Settled, Lost},
}

// ErrTransition is a step that the table does not have.
var ErrTransition = errors.New("no such transition")

// End says whether only the chain leads out of the state.
func (s State) End() bool { return slices.Contains(ends, s) }

// CanBecome says whether the table has the step.
func (s State) CanBecome(to State) bool { return slices.Contains(transitions[s], to) }

// Working says whether the current attempt is with the workers.
func (s State) Working() bool { return s == Dispatched || s == Solved }

func (s State) check(to State) error {
	if !s.CanBecome(to) {
		return fmt.Errorf("%w: from %q to %q", ErrTransition, s, to)
	}
	return nil
}

// ParseState reads the name of a state.
func ParseState(name string) (State, error) {
	if s := State(name); slices.Contains(States, s) {
		return s, nil
	}
	return None, fmt.Errorf("no state %q, want one of %v", name, States)
}
