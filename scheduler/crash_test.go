//go:build failpoints

package scheduler_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/hibiken/asynq"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gristmill-zk/gristmill/internal/redistest"
	"github.com/gristmill-zk/gristmill/scheduler"
	"github.com/gristmill-zk/gristmill/wire"
)

// end is what a task comes to with this prover and on chain.
type end struct {
	State scheduler.State
	Chain scheduler.ChainStatus
}

var settled = end{scheduler.Settled, scheduler.ChainSettled}

// fates are the tasks of a crashWorld. Between them a scheduler meets
// everything that it has a failpoint for.
var fates = map[string]end{
	"plain":    settled,
	"silent":   settled, // the first worker falls silent
	"lapsed":   settled, // another lets the offer pass: it is moved on
	"overdue":  settled, // another is past the deadline: it is taken over
	"waiting":  settled, // nobody's: it is claimed
	"refused":  settled, // the chain refuses the settlement once
	"deaf":     settled, // settled, but the answer to the sending is lost
	"reorged":  settled, // a reorganisation undoes the acceptance for good
	"rotten":   settled, // the stored proof is damaged before it is sent
	"unproven": settled, // the first proof is wrong
	"declined": {scheduler.Declined, scheduler.ChainWaiting},
	"taken":    {scheduler.Lost, scheduler.ChainOffered}, // by another, while it is worked on
	"dead":     {scheduler.Dead, scheduler.ChainDead},
	"foreign":  {}, // always another's, so it is forgotten
}

// crashWorld is what lives on when the scheduler's process dies: the chain,
// Redis, workers and the sequencer's bodies.
type crashWorld struct {
	*env
	ids   map[string]wire.Hash
	names map[wire.Hash]string
	child childConfig

	script sync.Mutex // one change of the chain at a time
	done   map[string]bool
}

func newCrashWorld(t *testing.T, redis string, db int) *crashWorld {
	t.Helper()
	w := &crashWorld{env: newEnv(t), ids: map[string]wire.Hash{}, names: map[wire.Hash]string{}, done: map[string]bool{}}
	for _, name := range []string{"foreign", "lapsed", "overdue"} {
		w.add(name, w.mine(t, other))
	}
	w.chain.Set(func(c *fakeChain) {
		c.change(w.ids["foreign"], scheduler.Record{Status: scheduler.ChainSettled, Prover: other},
			scheduler.ChainEvent{Kind: scheduler.EventSettled, Prover: other})
		r := c.tip().tasks[w.ids["overdue"]]
		r.Status, r.Deadline = scheduler.ChainAccepted, c.now+1
		c.change(w.ids["overdue"], r, scheduler.ChainEvent{Kind: scheduler.EventAccepted, Prover: other, Deadline: r.Deadline})
		c.now += 10 * window
		c.self.Idle = true
		c.refuse = w.refuses
	})
	for name := range fates {
		if _, there := w.ids[name]; !there && name != "waiting" {
			w.add(name, w.mine(t, me))
		}
	}
	w.add("waiting", w.mine(t, zero))
	remote := httptest.NewServer(http.HandlerFunc(w.serveChain))
	t.Cleanup(remote.Close)
	w.child = childConfig{
		Deployment: w.chain.d, Chain: remote.URL, DB: filepath.Join(t.TempDir(), "scheduler.db"), Redis: redis, RedisDB: db,
	}
	w.farmWorkerThat(t, asynq.RedisClientOpt{Addr: redis, DB: db}, func(job wire.Job) []wire.Result { return w.work(t, job) })
	return w
}

func (w *crashWorld) add(name string, id wire.Hash) { w.ids[name], w.names[id] = id, name }

// first says whether something happens for the first time.
func (w *crashWorld) first(what string) bool {
	happened := w.done[what]
	w.done[what] = true
	return !happened
}

// work is what workers do about a job.
func (w *crashWorld) work(t *testing.T, job wire.Job) []wire.Result {
	w.script.Lock()
	defer w.script.Unlock()
	switch name := w.names[job.TaskID]; {
	case name == "silent" && w.first("silence"):
		return nil
	case name == "declined":
		return []wire.Result{failedResult(job, false)}
	case name == "taken":
		if w.first("taking") {
			w.chain.Offer(job.TaskID, other)
		}
		return nil
	case name == "dead":
		if w.first("death") {
			w.chain.Kill(job.TaskID, scheduler.EventDead, scheduler.ChainDead)
		}
		return nil
	case name == "unproven" && w.first("wrong proof"):
		bad := w.provedResult(t, job)
		bad.ProofEnvelope.Outputs[0][31]++
		return []wire.Result{solvedResult(job), bad}
	}
	return []wire.Result{solvedResult(job), w.provedResult(t, job)}
}

// refuses is called by the chain under its lock, while the script is locked.
func (w *crashWorld) refuses(call scheduler.Call) bool {
	for _, id := range call.Tasks {
		switch name := w.names[id]; {
		case name == "refused" && call.Kind == scheduler.CallSettle:
			return w.first("refusal")
		case name == "rotten" && call.Kind == scheduler.CallAccept:
			return !w.done["rot"]
		}
	}
	return false
}

// scriptedChain is the chain as the child calls it.
type scriptedChain struct {
	*fakeChain
	w *crashWorld
}

func (c scriptedChain) Send(ctx context.Context, key string, call scheduler.Call) (scheduler.Receipt, error) {
	w := c.w
	w.script.Lock()
	defer w.script.Unlock()
	receipt, err := c.fakeChain.Send(ctx, key, call)
	if err != nil {
		return receipt, err
	}
	if call.Kind == scheduler.CallResume {
		// The first one is slow: it is mined when it is sent again.
		slow := w.first("resume sent")
		if slow || w.first("resume mined") {
			c.Set(func(c *fakeChain) { c.self.Idle = slow })
		}
		if slow {
			return receipt, errOffline
		}
	}
	for _, id := range call.Tasks {
		switch name := w.names[id]; {
		case name == "reorged" && call.Kind == scheduler.CallAccept && w.first("reorganisation"):
			c.Reorg(1, false)
		case name == "deaf" && call.Kind == scheduler.CallSettle && w.first("deafness"):
			return receipt, errOffline
		case name == "waiting" && call.Kind == scheduler.CallClaim && w.first("idleness"):
			c.Set(func(c *fakeChain) { c.self.Idle = true })
		}
	}
	return receipt, nil
}

// Goals are the ends that the child works towards.
func (c scriptedChain) Goals(context.Context) (map[wire.Hash]end, error) {
	goals := map[wire.Hash]end{}
	for name, id := range c.w.ids {
		goals[id] = fates[name]
	}
	return goals, nil
}

// ToRot names the task whose proof the child damages; Rotted says it did.
func (c scriptedChain) ToRot(context.Context) (wire.Hash, error) { return c.w.ids["rotten"], nil }

func (c scriptedChain) Rotted(context.Context) (bool, error) {
	c.w.script.Lock()
	defer c.w.script.Unlock()
	return !c.w.first("rot"), nil
}

// run starts the child and waits for its end.
func (w *crashWorld) run(t *testing.T, point string) error {
	t.Helper()
	config, err := json.Marshal(w.child)
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), childEnv+"="+string(config), "GRISTMILL_FAILPOINT="+point)
	out, err := cmd.CombinedOutput()
	if len(out) > 0 {
		t.Logf("child with failpoint %q: %s", point, out)
	}
	return err
}

// requireEnds reads the store and the chain: every task came to its end, and
// nothing that must happen once happened twice.
func (w *crashWorld) requireEnds(t *testing.T) {
	t.Helper()
	store, err := scheduler.OpenStore(t.Context(), w.child.DB)
	require.NoError(t, err)
	defer func() { assert.NoError(t, store.Close()) }()
	proofs := 0
	for name, want := range fates {
		id := w.ids[name]
		settlements := w.chain.Settlements(id)
		if want == settled {
			proofs++
			require.Equal(t, 1, settlements, "settlements of %s", name)
		} else {
			require.Zero(t, settlements, "settlements of %s", name)
		}
		task, err := store.Task(t.Context(), id)
		if want == (end{}) {
			require.ErrorIs(t, err, scheduler.ErrNotFound, name)
			continue
		}
		require.NoError(t, err, name)
		require.Equal(t, want, end{task.State, task.Status}, name)
	}
	w.chain.Set(func(c *fakeChain) {
		require.Equal(t, proofs+1, c.attempts[scheduler.CallSettle], "settlements sent: one was refused")
		require.Equal(t, 2, c.attempts[scheduler.CallResume], "it was found idle twice")
		for _, kind := range []scheduler.CallKind{scheduler.CallAdvance, scheduler.CallReassign, scheduler.CallClaim, scheduler.CallDecline} {
			require.Equal(t, 1, c.attempts[kind], kind)
		}
	})
}

// failpointsInSource lists the names in this package's source.
func failpointsInSource(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("*.go")
	require.NoError(t, err)
	var names []string
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		source, err := os.ReadFile(file)
		require.NoError(t, err)
		for _, m := range regexp.MustCompile(`failpoint\.Hit\("([^"]+)"\)`).FindAllStringSubmatch(string(source), -1) {
			names = append(names, m[1])
		}
	}
	return names
}

// TestKilledAtEveryFailpoint kills the process where it comes to each place
// for the first time, where it comes there again later, and lets it finish.
func TestKilledAtEveryFailpoint(t *testing.T) {
	names := failpointsInSource(t)
	require.GreaterOrEqual(t, len(names), 42)
	server := redistest.Start(t, "--databases", fmt.Sprint(len(names)), "--appendfsync", "no")
	slots := make(chan struct{}, 4)
	var mu sync.Mutex
	var missed []string
	t.Run("at", func(t *testing.T) {
		for db, name := range names {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				slots <- struct{}{}
				defer func() { <-slots }()
				w := newCrashWorld(t, server.Addr, db)
				if err := w.run(t, name); !killed(err) {
					mu.Lock()
					missed = append(missed, name)
					mu.Unlock()
					t.Errorf("never came there: %v", err)
				}
				if err := w.run(t, name+":3"); err != nil { // it may finish before it comes there again
					require.True(t, killed(err), err)
				}
				require.NoError(t, w.run(t, ""))
				w.requireEnds(t)
			})
		}
	})
	require.Empty(t, missed, "failpoints that nothing reaches")
}

func killed(err error) bool {
	exit, ok := err.(*exec.ExitError)
	return ok && exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL
}
