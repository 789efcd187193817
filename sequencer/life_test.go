package sequencer

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gristmill-zk/gristmill/miner"
	"github.com/gristmill-zk/gristmill/wire"
)

// settleAll settles every task as soon as it is mined.
func (r *rig) settleAll() {
	r.chain.onMinted(func(tasks []wire.Hash) {
		for _, id := range tasks {
			r.chain.end(id, KindTaskSettled, "")
		}
	})
}

// requireOnce checks on chain that the messages are settled, each in one task.
func (r *rig) requireOnce(ids ...wire.Hash) {
	r.t.Helper()
	seen := map[wire.Hash]int{}
	for _, task := range r.chain.tasks(KindTaskSettled) {
		raw, err := loadBody(r.t.Context(), r.seq.db.Read(), task.DataHash)
		require.NoError(r.t, err)
		var body wire.Body
		require.NoError(r.t, body.UnmarshalBinary(raw))
		for i := range body.Messages {
			id, err := body.Messages[i].ID()
			require.NoError(r.t, err)
			seen[id]++
		}
	}
	require.Len(r.t, seen, len(ids))
	for _, id := range ids {
		require.Equal(r.t, 1, seen[id], "message %s", id)
	}
}

// sendMany sends n messages of one device in one request.
func (r *rig) sendMany(d device, from uint64, n int) []wire.Hash {
	r.t.Helper()
	var msgs []*wire.Message
	for i := range n {
		nonce := from + uint64(i)
		msgs = append(msgs, d.message(r.t, 1, nonce, fmt.Sprint("reading ", nonce)))
	}
	return r.send(msgs...)
}

func TestMessagesBecomeSettledTasks(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.settleAll()
	r.mine()
	ids := r.sendMany(newDevice(t, wire.SchemeEdDSABN254, 1), 1, 10)
	ids = append(ids, r.sendMany(newDevice(t, wire.SchemeP256, 2), 1, 3)...)
	r.reaches(stateSettled, ids...)
	r.requireOnce(ids...)
	require.Positive(t, countEvents[MessagesAccepted](r))
	require.Positive(t, countEvents[BatchMade](r))
	require.Positive(t, countEvents[BlockFound](r))
	require.Positive(t, countEvents[BlockLanded](r))
	require.Positive(t, countEvents[TaskChanged](r))
}

// TestPartialBatchWaits lets only a full batch leave before the maximum wait.
func TestPartialBatchWaits(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.chain.change(1, func(p *fakeProject) { p.MaxWait = 3600 })
	r.caughtUp()
	d := newDevice(t, wire.SchemeEd25519, 1)
	full := r.sendMany(d, 1, 5)
	r.reaches(stateBatched, full[:4]...)
	require.Equal(t, statePending, r.state(full[4]).State)
	r.chain.change(1, func(p *fakeProject) { p.MaxWait = 1 })
	r.reaches(stateBatched, full[4])
}

func TestBlockCarriesNoMoreThanItMay(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.settleAll()
	ids := r.sendMany(newDevice(t, wire.SchemeEd25519, 1), 1, 30)
	r.reaches(stateBatched, ids...)
	r.mine()
	r.reaches(stateSettled, ids...)
	r.requireOnce(ids...)
}

func TestEmptyBlocks(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.mine()
	tip := func() Tip { tip, err := r.chain.Tip(t.Context()); require.NoError(t, err); return tip }
	r.looks()
	require.Nil(t, r.seq.desk.get())
	require.Zero(t, tip().Height, "without MineEmpty nothing is mined for nothing")

	r = newRig(t, func(c *Config) { c.MineEmpty = true })
	r.mine()
	r.eventually("blocks", func() bool { return tip().Height >= 5 })

	r = newRig(t, func(c *Config) { c.MineEmpty, c.EmptyInterval = true, 50*time.Second })
	r.mine()
	r.eventually("one block: the genesis is old enough, the next tip is not", func() bool { return tip().Height == 1 })
	r.eventually("no work", func() bool { return r.seq.desk.get() == nil })
}

// TestLostRace lets another miner take the height between the solution and
// the transaction.
func TestLostRace(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.settleAll()
	var races atomic.Int32
	r.chain.onMint(func(context.Context, string) error {
		if races.Add(1) <= 2 {
			r.chain.compete()
		}
		return nil
	})
	r.mine()
	ids := r.sendMany(newDevice(t, wire.SchemeEd25519, 1), 1, 6)
	r.reaches(stateSettled, ids...)
	r.requireOnce(ids...)
	require.GreaterOrEqual(t, countEvents[BlockLost](r), 1)
}

func TestReorgPutsTasksBack(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	stop := r.mine()
	ids := r.sendMany(newDevice(t, wire.SchemeEd25519, 1), 1, 4)
	r.reaches(stateMined, ids...)
	old := *r.state(ids[0]).TaskID
	stop()
	r.chain.reorg(1) // the mint transaction is gone
	r.reaches(stateBatched, ids...)
	require.Nil(t, r.state(ids[0]).TaskID)
	data := *r.state(ids[0]).DataHash
	r.chain.compete() // and comes too late now
	r.settleAll()
	r.mine()
	r.reaches(stateSettled, ids...)
	v := r.state(ids[0])
	require.NotEqual(t, old, *v.TaskID, "a new parent makes a new task")
	require.Equal(t, data, *v.DataHash, "of the same body")
	r.requireOnce(ids...)
}

// TestReorgOfSettlement undoes a settlement that was seen.
func TestReorgOfSettlement(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	stop := r.mine()
	ids := r.sendMany(newDevice(t, wire.SchemeEd25519, 1), 1, 4)
	r.reaches(stateMined, ids...)
	stop()
	task := *r.state(ids[0]).TaskID
	require.True(t, r.chain.end(task, KindTaskSettled, ""))
	r.reaches(stateSettled, ids...)
	r.chain.reorg(1)
	r.reaches(stateMined, ids...)
	require.True(t, r.chain.end(task, KindTaskSettled, ""))
	r.reaches(stateSettled, ids...)
}

func TestEndedTasksAreOfferedAgain(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]struct {
		kind   EventKind
		reason string
	}{
		"dead":     {KindTaskDead, "offers exhausted"},
		"recalled": {KindTaskRecalled, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			var mined atomic.Int32
			r.chain.onMinted(func(tasks []wire.Hash) {
				for _, id := range tasks {
					if mined.Add(1) == 1 {
						r.chain.end(id, end.kind, end.reason)
					} else {
						r.chain.end(id, KindTaskSettled, "")
					}
				}
			})
			r.mine()
			ids := r.sendMany(newDevice(t, wire.SchemeEd25519, 1), 1, 4)
			r.reaches(stateSettled, ids...)
			r.requireOnce(ids...)
			require.Equal(t, int32(2), mined.Load())
		})
	}
}

// TestSkippedWaitsForTheProject skips a task because the project was paused
// between the template and the block, and takes it when it is not any more.
func TestSkippedWaitsForTheProject(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.settleAll()
	var once atomic.Bool
	r.chain.onMint(func(context.Context, string) error {
		if once.CompareAndSwap(false, true) {
			r.chain.change(1, func(p *fakeProject) { p.Paused = true })
		}
		return nil
	})
	r.mine()
	ids := r.sendMany(newDevice(t, wire.SchemeEd25519, 1), 1, 4)
	skipped := func() bool {
		v := r.state(ids[0])
		if v.TaskID == nil {
			return false
		}
		task, err := loadTask(t.Context(), r.seq.db.Read(), *v.TaskID)
		return err == nil && task.State == taskSkipped && task.Reason == "project paused"
	}
	r.eventually("skipped", skipped)
	require.Equal(t, stateBatched, r.state(ids[0]).State)
	r.chain.change(1, func(p *fakeProject) { p.Paused = false })
	r.reaches(stateSettled, ids...)
	r.requireOnce(ids...)
}

// TestPoisonIsIsolated kills every task that holds one message. Its neighbours
// are settled, each once, and it is refused.
func TestPoisonIsIsolated(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *Config) { c.AuthorisationTTL, c.Attempts = time.Second, 3 })
	d := newDevice(t, wire.SchemeEd25519, 1)
	r.chain.change(1, func(p *fakeProject) { p.MaxWait = 1 })
	ids := r.sendMany(d, 1, 4)
	poison, ids := ids[1], append(ids[:1:1], ids[2:]...)
	r.chain.onMinted(func(tasks []wire.Hash) {
		for _, id := range tasks {
			if r.holds(id, poison) {
				r.chain.end(id, KindTaskDead, "offers exhausted")
			} else {
				r.chain.end(id, KindTaskSettled, "")
			}
		}
	})
	r.mine()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(patience)
	for r.state(poison).State != stateRefused {
		select {
		case <-tick.C:
			r.chain.tick() // the chain's clock goes on
		case <-deadline:
			t.Fatal("the poison is not refused")
		}
	}
	require.Equal(t, "task dead: offers exhausted", r.state(poison).Reason)
	r.reaches(stateSettled, ids...)
	r.requireOnce(ids...)
	require.Equal(t, 1, countEvents[MessagesRefused](r))
}

// holds says whether the body of a task on chain has a message.
func (r *rig) holds(task, message wire.Hash) bool {
	r.chain.mu.Lock()
	data := r.chain.head().After.Tasks[task].DataHash
	r.chain.mu.Unlock()
	raw, err := loadBody(context.Background(), r.seq.db.Read(), data)
	if err != nil {
		return false
	}
	var body wire.Body
	if body.UnmarshalBinary(raw) != nil {
		return false
	}
	for i := range body.Messages {
		if id, _ := body.Messages[i].ID(); id == message {
			return true
		}
	}
	return false
}

// TestNoNewBodyWhileTheOldOneMayLand keeps messages of a failed batch in it
// until the authorisation has expired in the chain's time.
func TestNoNewBodyWhileTheOldOneMayLand(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *Config) { c.AuthorisationTTL = time.Hour })
	r.chain.onMinted(func(tasks []wire.Hash) {
		for _, id := range tasks {
			r.chain.end(id, KindTaskDead, "offers exhausted")
		}
	})
	r.mine()
	ids := r.sendMany(newDevice(t, wire.SchemeEd25519, 1), 1, 4)
	batchState := func() (s string) {
		require.NoError(t, r.seq.db.Read().QueryRowContext(t.Context(), `SELECT state FROM batches`).Scan(&s))
		return s
	}
	r.reaches(stateBatched, ids...)
	r.eventually("splitting", func() bool { return batchState() == batchSplitting })
	require.NoError(t, r.seq.assemble.split(t.Context()))
	require.Equal(t, batchSplitting, batchState())
	r.chain.mu.Lock()
	for i := range r.chain.state.Blocks {
		r.chain.state.Blocks[i].Time += 7200
	}
	r.chain.mu.Unlock()
	require.NoError(t, r.seq.assemble.split(t.Context()))
	require.Equal(t, batchSplit, batchState())
}

// TestVersionChange packs what was acknowledged under a version under that
// version: the signature may cover its payload limit.
func TestVersionChange(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.chain.change(1, func(p *fakeProject) { p.MaxWait = 3600 })
	d := newDevice(t, wire.SchemeEdDSABN254, 1)
	ids := r.sendMany(d, 1, 2)
	r.chain.change(1, func(p *fakeProject) {
		p.old, p.Version, p.PayloadLimit = p.Terms, 2, 128
		p.old.MaxWait, p.MaxWait = 0, 0
	})
	r.eventually("cache", func() bool { v, err := r.seq.projects.views.get(t.Context(), 1); return err == nil && v.Version == 2 })
	m := &wire.Message{Project: 1, Nonce: 9, Time: 1, Payload: make([]byte, 100)}
	require.NoError(t, d.signer.Sign(r.chain.Deployment(), 128, m))
	ids = append(ids, r.send(m)...)
	r.settleAll()
	r.mine()
	r.reaches(stateSettled, ids...)
	r.requireOnce(ids...)
	for i, version := range []uint32{1, 1, 2} {
		raw, err := loadBody(t.Context(), r.seq.db.Read(), *r.state(ids[i]).DataHash)
		require.NoError(t, err)
		var body wire.Body
		require.NoError(t, body.UnmarshalBinary(raw))
		require.Equal(t, version, body.Version)
	}
}

func TestDeviceTakenOffTheList(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.chain.change(1, func(p *fakeProject) { p.MaxWait = 3600 })
	d := newDevice(t, wire.SchemeEd25519, 1)
	id := r.sendMany(d, 1, 1)[0]
	r.chain.change(1, func(p *fakeProject) { p.denied[d.id], p.MaxWait = true, 0 })
	r.reaches(stateRefused, id)
	require.Contains(t, r.state(id).Reason, "not listed")
}

// TestUnknownOutcome holds the answer to a mint back over a restart: nothing
// of it may be packed again before the chain has told, and it settles once.
func TestUnknownOutcome(t *testing.T) {
	t.Parallel()
	for _, lands := range []bool{true, false} {
		t.Run(fmt.Sprint("lands ", lands), func(t *testing.T) {
			t.Parallel()
			r := newRig(t, func(c *Config) { c.MineEmpty = true })
			var silent atomic.Bool
			silent.Store(true)
			hold := make(chan struct{}, 100)
			r.chain.onMint(func(ctx context.Context, key string) error {
				if silent.Load() {
					hold <- struct{}{}
					<-ctx.Done()
					return ctx.Err()
				}
				return nil
			})
			ids := r.sendMany(newDevice(t, wire.SchemeEd25519, 1), 1, 4)
			r.eventually("offered", func() bool { w := r.seq.desk.get(); return w != nil && len(w.tasks) == 1 })
			stop := r.mine()
			<-hold
			stop()
			r.restart()
			<-hold // the journalled block is sent again, under the same key
			r.looks()
			require.Nil(t, r.seq.desk.get(), "its parent is not mined on twice")
			if !lands {
				r.chain.compete()
				tip, err := r.chain.Tip(t.Context())
				require.NoError(t, err)
				r.eventually("new tip seen", func() bool { return r.seq.tip.Load().tip == tip })
				r.eventually("work on the new tip", func() bool { w := r.seq.desk.get(); return w != nil && w.parent == tip })
				require.Empty(t, r.seq.desk.get().tasks, "its batch is not offered twice")
			}
			silent.Store(false)
			r.settleAll()
			r.restart()
			r.mine()
			r.reaches(stateSettled, ids...)
			r.requireOnce(ids...)
			if lands {
				require.Len(t, r.chain.tasks(KindTaskSettled), 1)
			}
		})
	}
}

// TestRestartInEachState stops and starts wherever a message can be.
func TestRestartInEachState(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.chain.change(1, func(p *fakeProject) { p.MaxWait = 3600 })
	d := newDevice(t, wire.SchemeEdDSABN254, 1)
	ids := r.sendMany(d, 1, 2)
	r.restart()
	require.Equal(t, statePending, r.state(ids[0]).State)
	ids = append(ids, r.sendMany(d, 3, 2)...)
	r.reaches(stateBatched, ids...)
	r.restart()
	require.Equal(t, stateBatched, r.state(ids[0]).State)
	stop := r.mine()
	r.reaches(stateMined, ids...)
	stop()
	r.restart()
	require.Equal(t, stateMined, r.state(ids[0]).State)
	r.stop()
	require.True(t, r.chain.end(r.chain.taskIDs(KindTaskOffered)[0], KindTaskSettled, ""))
	r.start()
	r.reaches(stateSettled, ids...)
	r.restart()
	require.Equal(t, stateSettled, r.state(ids[0]).State)
	require.Equal(t, 409, r.post(d.message(t, 1, 4, "again")).StatusCode, "settled history counts for nonces")
	r.requireOnce(ids...)
}

// TestChainComesAndGoes keeps everything over an outage.
func TestChainComesAndGoes(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *Config) { c.Refresh = 10 * time.Millisecond })
	r.settleAll()
	r.mine()
	ids := r.sendMany(newDevice(t, wire.SchemeEd25519, 1), 1, 3)
	r.chain.setDown(true)
	r.eventually("no work while the chain is away", func() bool { return r.seq.desk.get() == nil })
	r.chain.setDown(false)
	r.reaches(stateSettled, ids...)
	r.requireOnce(ids...)
}

func TestSubmitChecksTheWork(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *Config) { c.MineEmpty = true })
	job, err := r.seq.Work(t.Context(), "")
	require.NoError(t, err)
	solve := func(h wire.Header) wire.Header {
		for h.CheckWork() != nil {
			h.Nonce++
		}
		return h
	}
	unsolved := job.Header
	for unsolved.CheckWork() == nil {
		unsolved.Nonce++
	}
	edited := func(edit func(*wire.Header)) wire.Header { h := job.Header; edit(&h); return solve(h) }
	for name, bad := range map[string]miner.Solution{
		"no work":      {JobID: job.ID, Header: unsolved},
		"other root":   {JobID: job.ID, Header: edited(func(h *wire.Header) { h.MerkleRoot[0]++ })},
		"other parent": {JobID: job.ID, Header: edited(func(h *wire.Header) { h.Prev[0]++ })},
		"other time":   {JobID: job.ID, Header: edited(func(h *wire.Header) { h.Time++ })},
		"extra nonce":  {JobID: job.ID + "00", Header: solve(job.Header)},
	} {
		require.ErrorIs(t, r.seq.Submit(t.Context(), bad), miner.ErrRefused, name)
	}
	easier := job.Header
	easier.Bits = 0x207ffffe
	require.ErrorIs(t, r.seq.Submit(t.Context(), miner.Solution{JobID: job.ID, Header: easier}), miner.ErrRefused)
	require.ErrorIs(t, r.seq.Submit(t.Context(), miner.Solution{JobID: "gone-0011", Header: job.Header}), miner.ErrStale)

	other, err := r.seq.Work(t.Context(), "")
	require.NoError(t, err)
	require.NotEqual(t, job.Header.MerkleRoot, other.Header.MerkleRoot, "each miner has its own extra nonce")
	rolled := job.Header
	rolled.Version |= 5 << 13
	require.NoError(t, r.seq.Submit(t.Context(), miner.Solution{JobID: job.ID, Header: solve(rolled)}))
	require.ErrorIs(t, r.seq.Submit(t.Context(), miner.Solution{JobID: other.ID, Header: solve(other.Header)}), miner.ErrStale)
}

func TestConfigNamesWhatIsWrong(t *testing.T) {
	t.Parallel()
	good := func() Config { return Config{Chain: newFakeChain(""), Key: [32]byte{1}, DB: "x"} }
	for field, edit := range map[string]func(*Config){
		"Chain": func(c *Config) { c.Chain = nil }, "Key": func(c *Config) { c.Key = [32]byte{} }, "DB": func(c *Config) { c.DB = "" },
		"MaxBody": func(c *Config) { c.MaxBody = -1 }, "AuthorisationTTL": func(c *Config) { c.AuthorisationTTL = 1 },
		"Poll": func(c *Config) { c.Poll = -1 }, "Attempts": func(c *Config) { c.Attempts = -1 },
	} {
		cfg := good()
		edit(&cfg)
		require.ErrorContains(t, cfg.validate(), field)
	}
	cfg := good()
	require.NoError(t, cfg.validate())
	_, err := New(t.Context(), Config{Chain: newFakeChain(""), Key: [32]byte{1}, DB: t.TempDir()})
	require.Error(t, err)
	require.False(t, errors.Is(err, context.Canceled))
}

// otherDeployment is a chain with another registry.
type otherDeployment struct{ *fakeChain }

func (otherDeployment) Deployment() wire.Deployment { return wire.Deployment{ChainID: 1} }

func TestDatabaseOfAnotherDeployment(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.stop()
	cfg := r.cfg
	cfg.Chain = otherDeployment{r.chain}
	_, err := New(t.Context(), cfg)
	require.ErrorContains(t, err, "belongs to deployment")
	r.start()
}
