package sequencer

import (
	"context"
	"database/sql"
	"math/big"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gristmill-zk/gristmill/miner"
	"github.com/gristmill-zk/gristmill/wire"
)

// TestOutOfFundsIsHeldBack mines only as many tasks as the escrow pays for.
func TestOutOfFundsIsHeldBack(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.settleAll()
	r.chain.change(1, func(p *fakeProject) { p.free = big.NewInt(10) })
	ids := r.sendMany(newDevice(t, wire.SchemeEd25519, 1), 1, 8)
	r.reaches(stateBatched, ids...)
	r.chain.change(1, func(p *fakeProject) { p.free = big.NewInt(0) })
	r.caughtUp()
	r.looks()
	require.Nil(t, r.seq.desk.get(), "there is nothing to mine")
	r.mine()
	r.looks()
	require.Zero(t, countEvents[BlockFound](r))
	r.chain.change(1, func(p *fakeProject) { p.free = big.NewInt(100) })
	r.reaches(stateSettled, ids...)
}

// TestDevicesAreAskedForWhenABatchLeaves, not each time the assembler looks.
func TestDevicesAreAskedForWhenABatchLeaves(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.chain.change(1, func(p *fakeProject) { p.MaxWait = 3600 })
	r.caughtUp()
	d := newDevice(t, wire.SchemeEd25519, 1)
	ids := r.sendMany(d, 1, 3)
	asked := func() int { r.chain.mu.Lock(); defer r.chain.mu.Unlock(); return r.chain.deviceAsk }
	before := asked()
	key := termsKey{1, 1}
	for range 3 {
		r.seq.projects.changed(1) // forget who is listed
		wait, err := r.seq.assemble.packOne(t.Context(), key)
		require.NoError(t, err)
		require.Greater(t, wait, time.Minute)
	}
	require.Equal(t, before, asked())
	ids = append(ids, r.sendMany(d, 4, 1)...)
	r.reaches(stateBatched, ids...)
	require.Greater(t, asked(), before)
}

// TestABrokeProjectHoldsUpNobody has more batches of a project that cannot pay
// than any template looks at, all older than the one of a project that can.
func TestABrokeProjectHoldsUpNobody(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.chain.change(1, func(p *fakeProject) {
		p.BatchSize = 1
		other := *p
		r.chain.projects[2] = &other
	})
	d := newDevice(t, wire.SchemeEd25519, 1)
	broke := r.sendMany(d, 1, 4*r.chain.MaxTasks()+1)
	r.reaches(stateBatched, broke...)
	r.chain.change(1, func(p *fakeProject) { p.free = big.NewInt(0) })
	r.caughtUp()
	id := r.send(d.message(t, 2, 1, "of the other project"))[0]
	r.settleAll()
	r.looks()
	r.mine()
	r.reaches(stateSettled, id)
	require.Equal(t, stateBatched, r.state(broke[0]).State)
	require.Empty(t, r.chain.lastSkip(), "nothing is mined only to be skipped")
	r.chain.change(1, func(p *fakeProject) { p.free = big.NewInt(1_000_000) })
	r.reaches(stateSettled, broke...)
}

func TestProjectsTakeTurns(t *testing.T) {
	t.Parallel()
	rows := func(ids ...int64) (q []batchRow) {
		for _, id := range ids {
			q = append(q, batchRow{id: id})
		}
		return q
	}
	queues := [][]batchRow{rows(1, 2, 3, 4), rows(9), rows(5, 8)}
	require.Equal(t, rows(1, 5, 9, 2), takeTurns(queues, 4))
	require.Equal(t, rows(1, 5), takeTurns(queues, 2))
	require.Equal(t, rows(1, 5, 9, 2, 8, 3, 4), takeTurns(queues, 10))
	require.Empty(t, takeTurns(nil, 3))
}

// TestBacklogIsBounded: messages in batches that wait count as well, and a
// project may have no more of them than its escrow warrants.
func TestBacklogIsBounded(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.chain.change(1, func(p *fakeProject) {
		p.BatchSize, p.free = 1, big.NewInt(20) // two tasks
		rich := *p
		rich.free = big.NewInt(1_000_000)
		r.chain.projects[2] = &rich
	})
	r.caughtUp()
	d := newDevice(t, wire.SchemeEd25519, 1)
	ids := r.sendMany(d, 1, 1)
	for nonce := uint64(2); nonce <= 2*escrowTimes; nonce++ {
		ids = append(ids, r.sendMany(d, nonce, 1)...)
	}
	r.reaches(stateBatched, ids...)
	more := d.message(t, 1, 100, "one more")
	p := r.post(more).problem(t)
	require.Equal(t, wire.RejectOverloaded, p.Code)
	require.Equal(t, "project", p.Field)
	r.restart() // it is counted anew
	require.Equal(t, 429, r.post(more).StatusCode)
	require.Equal(t, 202, r.post(d.message(t, 2, 1, "of another")).StatusCode)
	r.chain.change(1, func(p *fakeProject) { p.free = big.NewInt(1_000_000) })
	r.settleAll()
	r.mine()
	r.reaches(stateSettled, ids...)
	r.eventually("none waits", func() bool { return r.seq.backlog.size() == 0 })
	require.Equal(t, 202, r.post(more).StatusCode)
}

// TestAuthorisesWhatIsNext signs the front of a long queue only.
func TestAuthorisesWhatIsNext(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.chain.change(1, func(p *fakeProject) { p.BatchSize = 1 })
	r.caughtUp()
	ids := r.sendMany(newDevice(t, wire.SchemeEd25519, 1), 1, 40)
	r.reaches(stateBatched, ids...)
	require.NoError(t, r.seq.assemble.authorise(t.Context()))
	var signed int
	require.NoError(t, r.seq.db.Read().QueryRowContext(t.Context(), `SELECT count(*) FROM batches WHERE signature IS NOT NULL`).Scan(&signed))
	require.Equal(t, authoriseAhead*r.chain.MaxTasks(), signed)
	r.settleAll()
	r.mine()
	r.reaches(stateSettled, ids...)
}

// TestNoSecondBlockOnAClaimedParent looks at the chain between a solution and
// its journal: the parent is not offered again.
func TestNoSecondBlockOnAClaimedParent(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *Config) { c.MineEmpty = true })
	job, err := r.seq.Work(t.Context(), "")
	require.NoError(t, err)
	for job.Header.CheckWork() != nil {
		job.Header.Nonce++
	}
	held, release := make(chan struct{}), make(chan struct{})
	written := make(chan error, 2)
	go func() {
		written <- r.seq.db.Update(context.Background(), func(*sql.Tx) error { close(held); <-release; return nil })
	}()
	<-held
	go func() {
		written <- r.seq.Submit(context.Background(), miner.Solution{JobID: job.ID, Header: job.Header})
	}()
	r.eventually("claimed", func() bool { return r.seq.desk.get() == nil })
	r.looks()
	require.Nil(t, r.seq.desk.get(), "the journal is not written yet")
	close(release)
	require.NoError(t, <-written)
	require.NoError(t, <-written)
	r.eventually("work on the next", func() bool { w := r.seq.desk.get(); return w != nil && w.base.Height == 2 })
}

// TestDeskRemembersItsClaim walks through what may follow a claim.
func TestDeskRemembersItsClaim(t *testing.T) {
	t.Parallel()
	parent, other := wire.Hash{1}, wire.Hash{2}
	on := func(parent wire.Hash) *template { return &template{parent: Tip{Hash: parent}} }
	claimed := func() *desk {
		d := newDesk()
		d.claimed = &parent
		d.set(on(parent))
		require.Nil(t, d.get())
		return d
	}
	d := claimed()
	d.set(on(other))
	require.NotNil(t, d.get(), "another parent is free")
	d = claimed()
	d.at(parent)
	d.release(other)
	d.set(on(parent))
	require.Nil(t, d.get())
	d.release(parent)
	d.set(on(parent))
	require.NotNil(t, d.get(), "its block was refused")
	d = claimed()
	d.at(other)
	d.set(on(parent))
	require.NotNil(t, d.get(), "the tip moved and came back")
	d = claimed()
	d.reset()
	d.set(on(parent))
	require.NotNil(t, d.get(), "the chain reorganised")
	d = claimed()
	d.restore(on(parent))
	require.NotNil(t, d.get(), "it could not be journalled")
}
