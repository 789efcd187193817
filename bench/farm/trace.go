package farm

import (
	"sync"
	"time"

	"github.com/gristmill-zk/gristmill/bench/stats"
	"github.com/gristmill-zk/gristmill/scheduler"
	"github.com/gristmill-zk/gristmill/sequencer"
	"github.com/gristmill-zk/gristmill/wire"
	"github.com/gristmill-zk/gristmill/worker"
)

// trace follows tasks by the events of a deployment's parts. The zero value is
// not usable; its methods are safe for concurrent use.
type trace struct {
	mu     sync.Mutex
	bodies map[wire.Hash]body // by data hash
	tasks  map[wire.Hash]*task
	// ended counts messages of settled tasks; failure is the first other end.
	settled int
	failure string
	changed chan struct{} // closed at each end of a task
}

// body is a batch of messages before it is a task.
type body struct {
	made   time.Time
	waited time.Duration // its oldest message, before
}

// task is when what happened to a task; zero times have not happened.
type task struct {
	data                                         wire.Hash
	discovered, fetched, taken, solved, accepted time.Time
	proved, settled                              time.Time
	prepare, solve                               time.Duration
}

func newTrace() *trace {
	return &trace{bodies: map[wire.Hash]body{}, tasks: map[wire.Hash]*task{}, changed: make(chan struct{})}
}

func (t *trace) onSequencer(e sequencer.Event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch e := e.(type) {
	case sequencer.BatchMade:
		t.bodies[e.DataHash] = body{time.Now(), e.Waited}
	case sequencer.MessagesRefused:
		t.fail("messages were refused: " + e.Reason)
	}
}

func (t *trace) onScheduler(e scheduler.Event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	one := t.task(e.Task.ID)
	one.data = e.Task.DataHash
	if e.Kind == scheduler.OfferAccepted {
		one.accepted = e.At
	}
	if e.Kind != scheduler.StateChanged {
		return
	}
	switch e.Task.State {
	case scheduler.Discovered:
		one.discovered = e.At
	case scheduler.Fetched:
		one.fetched = e.At
	case scheduler.Solved:
		one.solved = e.At
	case scheduler.Proved:
		one.proved = e.At
	case scheduler.Settled:
		one.settled = e.At
		t.settled += int(e.Task.Count)
		t.wake()
	case scheduler.Declined, scheduler.Lost, scheduler.Dead:
		t.fail("task " + e.Task.ID.String() + " is " + string(e.Task.State) + ": " + e.Task.Reason)
	}
}

func (t *trace) onWorker(e worker.Event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	one := t.task(e.TaskID)
	switch e.Kind {
	case worker.EventTaken:
		one.taken = time.Now()
	case worker.EventFetched:
		one.prepare = e.Took
	case worker.EventSolved:
		one.solve = e.Took
	}
}

func (t *trace) task(id wire.Hash) *task {
	if t.tasks[id] == nil {
		t.tasks[id] = &task{}
	}
	return t.tasks[id]
}

func (t *trace) fail(why string) {
	if t.failure == "" {
		t.failure = why
	}
	t.wake()
}

func (t *trace) wake() {
	close(t.changed)
	t.changed = make(chan struct{})
}

// progress is how many messages are settled, what failed, and what is closed
// when either changes.
func (t *trace) progress() (settled int, failure string, changed <-chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.settled, t.failure, t.changed
}

// Stage is how long one stage of a task's way takes.
type Stage struct {
	Name string `json:"stage"`
	// What begins and ends it.
	What string `json:"what"`
	N    int    `json:"n"`
	// Milliseconds.
	P50 float64 `json:"p50_ms"`
	P99 float64 `json:"p99_ms"`
	Max float64 `json:"max_ms"`
}

// stages summarises all tasks. proofs are the envelopes of settled tasks.
func (t *trace) stages(proofs map[wire.Hash]*wire.ProofEnvelope) []Stage {
	t.mu.Lock()
	defer t.mu.Unlock()
	samples := make(map[string][]float64)
	add := func(name string, d time.Duration) {
		if d > 0 {
			samples[name] = append(samples[name], float64(d)/float64(time.Millisecond))
		}
	}
	between := func(name string, from, to time.Time) {
		if !from.IsZero() && !to.IsZero() {
			add(name, max(to.Sub(from), 1))
		}
	}
	for id, one := range t.tasks {
		b := t.bodies[one.data]
		add("batch", b.waited)
		between("mine", b.made, one.discovered)
		between("fetch", one.discovered, one.fetched)
		between("queue", one.fetched, one.taken)
		add("prepare", one.prepare)
		add("solve", one.solve)
		between("accept", one.solved, one.accepted)
		between("settle", one.proved, one.settled)
		if !b.made.IsZero() {
			between("total", b.made.Add(-b.waited), one.settled)
		}
		if p := proofs[id]; p != nil {
			samples["prove"] = append(samples["prove"], p.ProveMS)
			samples["verify"] = append(samples["verify"], p.VerifyMS)
		}
	}
	out := []Stage{
		{Name: "batch", What: "oldest message on disk → body made"},
		{Name: "mine", What: "body made → task found on chain, in a mined block"},
		{Name: "fetch", What: "task found → its data fetched"},
		{Name: "queue", What: "data fetched → a worker takes the task"},
		{Name: "prepare", What: "taken → circuit and data at hand"},
		{Name: "solve", What: "witness found, plugin and transport contained"},
		{Name: "prove", What: "proof made by the engine"},
		{Name: "verify", What: "proof checked by the worker"},
		{Name: "accept", What: "solved → offer accepted on chain, while the proof is made"},
		{Name: "settle", What: "proof with the scheduler → settled on chain"},
		{Name: "total", What: "oldest message on disk → settled on chain"},
	}
	for i := range out {
		s := stats.Summarize(samples[out[i].Name])
		out[i].N, out[i].P50, out[i].P99, out[i].Max = s.N, s.Median, s.P99, s.Max
	}
	return out
}
