package scheduler

import (
	"fmt"

	"github.com/gristmill-zk/gristmill/wire"
)

// fold derives what the chain says about a task from all its events, in
// order. No events is a task whose block is gone.
func fold(events []ChainEvent) View {
	v := View{Status: ChainGone}
	for i := range events {
		v.apply(&events[i])
	}
	return v
}

func (v *View) apply(e *ChainEvent) {
	if v.Offer > 0 && (e.Kind == EventMined || e.Kind == EventSkipped) {
		return // the block has the leaf twice: the second was skipped, the task stands
	}
	switch e.Kind {
	case EventMined:
		if e.Mined != nil {
			v.mined(e.Mined)
		}
	case EventSkipped:
		v.end(ChainSkipped, e.Reason)
	case EventWaiting:
		v.Status, v.Prover, v.AcceptBy, v.Deadline = ChainWaiting, wire.Address{}, 0, 0
		v.Offer++
	case EventOffered:
		v.Status, v.Prover, v.Draw, v.AcceptBy, v.Deadline = ChainOffered, e.Prover, e.Draw, e.AcceptBy, 0
		v.Offer++
	case EventAccepted:
		v.Status, v.Prover, v.Deadline = ChainAccepted, e.Prover, e.Deadline
	case EventSettled:
		v.Status, v.Prover, v.SettleTx = ChainSettled, e.Prover, e.Tx
	case EventRecalled:
		v.end(ChainRecalled, "recalled by the project")
	case EventDead:
		v.end(ChainDead, e.Reason)
	case EventDeclined, EventMissed, EventReassigned:
		// An offer, a wait or a death follows and says whose the task is.
		v.Prover, v.Status = wire.Address{}, ChainWaiting
	}
}

func (v *View) mined(m *Mined) {
	v.Status = ChainMined
	v.Project, v.Version, v.Count = m.Project, m.Version, m.Count
	v.DataCommitment, v.DataHash, v.Size = m.DataCommitment, m.DataHash, m.Size
	v.Height, v.Operator = m.Height, m.Operator
}

func (v *View) end(status ChainStatus, why string) {
	v.Status, v.Why, v.Prover, v.AcceptBy, v.Deadline = status, why, wire.Address{}, 0, 0
}

// party is whose tasks these are and what it wants.
type party struct {
	prover wire.Address
	// claims says that a task which waits for any prover is worth the work.
	claims bool
}

// refold brings a task in line with its events. It is the only way by which
// the chain changes a task, forward and after a reorganisation.
func (t *txn) refold(id wire.Hash, us party) error {
	events, err := t.taskEvents(id)
	if err != nil {
		return err
	}
	task, err := t.known(id)
	if err != nil {
		return err
	}
	view := fold(events)
	if view.Status == ChainGone {
		if task.State == None {
			return t.drop(id)
		}
		// What the task was stays readable; only the chain's word changes.
		gone := task.View
		gone.Status, gone.Prover, gone.AcceptBy, gone.Deadline, gone.SettleTx = ChainGone, wire.Address{}, 0, 0, wire.Hash{}
		view = gone
	}
	return t.align(task, view, us)
}

// known reads a task, or makes a new one.
func (t *txn) known(id wire.Hash) (*Task, error) {
	task, err := t.task(id)
	if isNotFound(err) {
		return &Task{ID: id}, nil
	}
	return task, err
}

// align takes the task to where the chain's view says it belongs.
func (t *txn) align(task *Task, view View, us party) error {
	prover := us.prover
	before := task.View
	task.View = view
	if view.Offer != before.Offer || view.Status == ChainGone {
		task.answer = unanswered
	}
	if view.mine(prover) && task.State != Declined {
		task.opened = view.Offer
	}
	switch {
	case view.Status != ChainSettled:
		// Known from a block that a reorganisation took away, if at all: the
		// settlement has to be asked after again.
		task.Tx, task.Gas = wire.Hash{}, 0
	case view.Prover == prover && task.Tx != view.SettleTx:
		task.Tx, task.Gas = view.SettleTx, 0
	}
	haveBody, err := t.haveBody(view.DataHash)
	if err != nil {
		return err
	}
	if view.Status == ChainAccepted && before.Status != ChainAccepted && view.mine(prover) {
		defer func() {
			t.events = append(t.events, Event{At: t.now, Kind: OfferAccepted, From: task.State, Task: *task})
		}()
	}
	to, reason := task.destination(us, haveBody)
	if to == task.State {
		return t.save(task)
	}
	if view.mine(prover) {
		task.opened, task.failures, task.nextAt = view.Offer, 0, t.now
	}
	return t.move(task, to, reason)
}

// destination is the state that the chain's view demands, the present one if
// it agrees with it.
func (task *Task) destination(us party, haveBody bool) (State, string) {
	prover := us.prover
	v := &task.View
	if v.mine(prover) {
		return task.held(haveBody)
	}
	if task.State == None {
		return None, ""
	}
	switch v.Status {
	case ChainSettled:
		if v.Prover == prover {
			return Settled, "settled on chain"
		}
		return task.taken("settled by " + v.Prover.String())
	case ChainRecalled, ChainDead, ChainSkipped:
		if task.State == Declined {
			return Declined, ""
		}
		return Dead, fmt.Sprintf("%s on chain: %s", v.Status, v.Why)
	case ChainOffered, ChainAccepted:
		return task.taken(fmt.Sprintf("%s: with prover %s", v.Status, v.Prover))
	case ChainWaiting:
		switch {
		case us.claims && task.State == Submitted:
			return Proved, "no longer accepted on chain: to be claimed again"
		case us.claims && !task.State.End():
			return task.State, "" // it is claimed once it solves
		}
		return task.taken("waits on chain for any prover")
	}
	return task.taken("a reorganisation removed its block")
}

// held is the state of a task that is offered to, or accepted by, this prover.
func (task *Task) held(haveBody bool) (State, string) {
	switch {
	case task.State == None:
		return Discovered, fmt.Sprintf("offered in block %d", task.Height)
	case task.State == Submitted && task.Status == ChainOffered:
		return Proved, "no longer accepted on chain: to be accepted again"
	case !task.State.End():
		return task.State, ""
	case task.State == Declined && task.Status == ChainOffered && task.Offer == task.opened:
		return Declined, ""
	}
	return task.reached(haveBody), fmt.Sprintf("%s on chain: back from %s", task.Status, task.State)
}

// taken is the state of a task that is not this prover's.
func (task *Task) taken(reason string) (State, string) {
	if task.State == Declined || task.State == Lost {
		return task.State, ""
	}
	return Lost, reason
}
