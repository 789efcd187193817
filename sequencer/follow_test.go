package sequencer

import (
	"fmt"
	"math/big"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gristmill-zk/gristmill/chain"
	"github.com/gristmill-zk/gristmill/wire"
)

// TestLeafTwiceInABlock: a miner may put a task's leaf into its block twice.
// The contract skips the second under the same id; the first stands.
func TestLeafTwiceInABlock(t *testing.T) {
	t.Parallel()
	id := wire.Hash{1}
	mined := fact{kind: KindTaskMined, task: id, height: 7, own: true}
	skipped := fact{kind: KindTaskSkipped, task: id, reason: chain.SkipDuplicateData.String()}
	foreign := fact{kind: KindTaskMined, task: id, height: 7}
	offered, settled := fact{kind: KindTaskOffered, task: id}, fact{kind: KindTaskSettled, task: id}
	for name, c := range map[string]struct {
		facts []fact
		state string
	}{
		"good, then again": {[]fact{mined, offered, mined, skipped}, stateMined},
		"settled later":    {[]fact{mined, offered, mined, skipped, settled}, stateSettled},
		"bad, then good":   {[]fact{mined, skipped, mined, offered}, stateMined},
		"only skipped":     {[]fact{mined, skipped}, batchOpen},
		"skipped twice":    {[]fact{mined, skipped, mined, skipped}, batchOpen},
		"a stranger's too": {[]fact{foreign, skipped, mined, skipped, foreign, skipped}, batchOpen},
		"before ours":      {[]fact{foreign, skipped, mined, offered}, stateMined},
		"after ours":       {[]fact{mined, offered, foreign, skipped}, stateMined},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tasks := fold(c.facts)
			require.Len(t, tasks, 1)
			require.EqualValues(t, 7, tasks[0].height)
			require.Equal(t, c.state, judge(&Config{Attempts: 8}, tasks, 1).state)
		})
	}
}

// TestForeignLeaf has a stranger mine leaves that name our body, in every way
// the contract skips one, and many times: that is no failure of the body, and
// it is not made to wait.
func TestForeignLeaf(t *testing.T) {
	t.Parallel()
	paused := func(p *fakeProject) { p.Paused = true }
	broke := func(p *fakeProject) { p.free = new(big.Int) }
	for reason, c := range map[chain.SkipReason]struct {
		leaf   func(*wire.Task)
		meanly func(*fakeProject) // how the project stands meanwhile
	}{
		chain.SkipUnknownVersion:    {leaf: func(l *wire.Task) { l.Version = 9 }},
		chain.SkipProjectPaused:     {leaf: func(l *wire.Task) { l.Size++ }, meanly: paused},
		chain.SkipBadCount:          {leaf: func(l *wire.Task) { l.Count = 0 }},
		chain.SkipBadSize:           {leaf: func(l *wire.Task) { l.Size = 1 << 30 }},
		chain.SkipBadCommitment:     {leaf: func(l *wire.Task) { l.DataCommitment = wire.Hash{0xff} }},
		chain.SkipExpired:           {leaf: func(l *wire.Task) { l.Authorisation.Expiry = 1 }},
		chain.SkipBadAuthorisation:  {leaf: func(l *wire.Task) { l.Authorisation.Signature = nil }},
		chain.SkipInsufficientFunds: {leaf: otherKey, meanly: broke},
		chain.SkipDuplicateData:     {leaf: otherKey},
	} {
		t.Run(reason.String(), func(t *testing.T) {
			t.Parallel()
			r := newRig(t, func(c *Config) { c.AuthorisationTTL, c.RetryFirst = time.Hour, time.Hour; c.RetryMost = time.Hour })
			ids := r.sendMany(newDevice(t, wire.SchemeEd25519, 1), 1, 4)
			r.eventually("offered", func() bool { w := r.seq.desk.get(); return w != nil && len(w.tasks) == 1 })
			leaf := r.seq.desk.get().tasks[0].task
			c.leaf(&leaf)
			if c.meanly != nil {
				r.chain.change(1, c.meanly)
			}
			leaves := []wire.Task{leaf}
			if reason == chain.SkipDuplicateData {
				leaves = append(leaves, leaf) // the first goes live
			}
			for range 3 {
				live := r.chain.compete(leaves...)
				require.Equal(t, reason.String(), r.chain.lastSkip())
				if len(live) > 1 {
					require.True(t, r.chain.end(live[0], KindTaskDead, chain.DeadOffersExhausted.String()))
				}
			}
			r.caughtUp()
			state, notBefore := r.batch()
			require.Equal(t, batchOpen, state)
			require.Zero(t, notBefore)
			r.chain.change(1, func(p *fakeProject) { p.Paused, p.free = false, big.NewInt(1000) })
			r.settleAll()
			r.mine()
			r.reaches(stateSettled, ids...)
			r.requireOnce(ids...)
		})
	}
}

// TestForeignLeafThatLives: what another key of the project authorised is the
// body's task like any other.
func TestForeignLeafThatLives(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	ids := r.sendMany(newDevice(t, wire.SchemeEd25519, 1), 1, 4)
	r.eventually("offered", func() bool { w := r.seq.desk.get(); return w != nil && len(w.tasks) == 1 })
	leaf := r.seq.desk.get().tasks[0].task
	otherKey(&leaf)
	live := r.chain.compete(leaf)
	r.reaches(stateMined, ids...)
	require.True(t, r.chain.end(live[0], KindTaskSettled, ""))
	r.reaches(stateSettled, ids...)
	require.Zero(t, r.seq.backlog.size())
}

// otherKey has another sequencer authorise the leaf.
func otherKey(l *wire.Task) {
	if err := l.Authorise((&fakeChain{}).Deployment(), [32]byte{31: 8}); err != nil {
		panic(err)
	}
}

// lastSkip is why the newest skipped task was skipped.
func (f *fakeChain) lastSkip() (reason string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, b := range f.state.Blocks {
		for _, e := range b.Events {
			if e.Kind == KindTaskSkipped {
				reason = e.Reason
			}
		}
	}
	return reason
}

// batch reads the state of the only batch.
func (r *rig) batch() (state string, notBefore int64) {
	r.t.Helper()
	require.NoError(r.t, r.seq.db.Read().QueryRowContext(r.t.Context(), `SELECT state, not_before FROM batches`).Scan(&state, &notBefore))
	return state, notBefore
}

// caughtUp waits until the sequencer has applied every block there is.
func (r *rig) caughtUp() {
	r.t.Helper()
	r.chain.mu.Lock()
	head := uint64(len(r.chain.state.Blocks) - 1)
	r.chain.mu.Unlock()
	r.eventually(fmt.Sprint("applied block ", head), func() bool {
		_, number, err := loadPosition(r.t.Context(), r.seq.db.Read())
		require.NoError(r.t, err)
		return number >= head
	})
}
