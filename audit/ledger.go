package audit

import (
	"math/big"

	"github.com/gristmill-zk/gristmill/chain"
	"github.com/gristmill-zk/gristmill/wire"
)

// project is what the registries say of a project at the present event.
type project struct {
	versions   uint32
	paused     bool
	open       bool
	sequencers map[wire.Address]bool
	devices    map[wire.Hash]bool
}

func (p *project) allows(device wire.Hash) bool { return p.open || p.devices[device] }

// status is how far a task has come.
type status string

const (
	fresh    status = "mined"
	skipped  status = "skipped"
	waiting  status = "waiting"
	offered  status = "offered"
	accepted status = "accepted"
	settled  status = "settled"
	recalled status = "recalled"
	dead     status = "dead"
)

// task is one leaf of a block and what became of it.
type task struct {
	id        wire.Hash
	leaf      wire.Task
	height    uint64
	status    status
	prover    wire.Address
	sequencer wire.Address
	version   chain.Version
	due       chain.SkipReason
	// bad is what is wrong with the task's data: it counts once somebody
	// accepts the task, as nobody is paid for it before.
	bad error
	// strangers are devices that the project did not list when the task was
	// mined; they must be listed by the time it is accepted.
	strangers []wire.Hash
	messages  []wire.Hash
	paid      map[wire.Address]*big.Int
	// again is a second leaf of the same id in the same block, which the
	// contract has to skip; nil once it did.
	again *task
}

func (t *task) alive() bool {
	return t.status == waiting || t.status == offered || t.status == accepted
}

type dataKey struct {
	project uint64
	hash    wire.Hash
}

type potKey struct {
	project uint64
	token   wire.Address
}

// pot is a project's money in one token.
type pot struct{ free, withheld *big.Int }

// ledger is the state that the events so far add up to.
type ledger struct {
	projects map[uint64]*project
	tasks    map[wire.Hash]*task
	ofData   map[dataKey]*task       // the newest task made of a body
	messages map[wire.Hash]wire.Hash // settled message to its task
	pots     map[potKey]*pot
	// beneficiaries are the accounts that provers want to be paid on.
	beneficiaries map[wire.Address]wire.Address
}

func newLedger() *ledger {
	return &ledger{
		projects: map[uint64]*project{},
		tasks:    map[wire.Hash]*task{},
		ofData:   map[dataKey]*task{},
		messages: map[wire.Hash]wire.Hash{},
		pots:     map[potKey]*pot{},

		beneficiaries: map[wire.Address]wire.Address{},
	}
}

func (l *ledger) project(id uint64) *project {
	p := l.projects[id]
	if p == nil {
		p = &project{sequencers: map[wire.Address]bool{}, devices: map[wire.Hash]bool{}}
		l.projects[id] = p
	}
	return p
}

func (l *ledger) pot(project uint64, token wire.Address) *pot {
	key := potKey{project, token}
	p := l.pots[key]
	if p == nil {
		p = &pot{free: new(big.Int), withheld: new(big.Int)}
		l.pots[key] = p
	}
	return p
}

// taken says whether a body cannot be paid for (again): its task lives or settled.
func (l *ledger) taken(project uint64, data wire.Hash) bool {
	t := l.ofData[dataKey{project, data}]
	return t != nil && (t.alive() || t.status == settled)
}
