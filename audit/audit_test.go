package audit_test

import (
	"math/big"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gristmill-zk/gristmill/audit"
	"github.com/gristmill-zk/gristmill/chain"
	"github.com/gristmill-zk/gristmill/wire"
)

func TestGoodDeploymentPasses(t *testing.T) {
	t.Parallel()
	report, err := whole(t).audit()
	require.NoError(t, err)
	require.EqualValues(t, 4, report.Blocks)
	require.EqualValues(t, 3, report.Tasks)
	require.EqualValues(t, 1, report.Skipped)
	require.EqualValues(t, 2, report.Bodies)
	require.EqualValues(t, 3, report.Messages)
	require.EqualValues(t, 3, report.Signatures)
	require.EqualValues(t, 1, report.Proofs)
	require.EqualValues(t, 1, report.Payments)
}

// find gives the place of the first event of a type.
func find[E chain.Event](t *testing.T, w *world) (int, E) {
	t.Helper()
	for i, e := range w.events {
		if found, is := e.(E); is {
			return i, found
		}
	}
	t.Fatal("no such event")
	panic("unreachable")
}

// change replaces the first event of a type.
func change[E chain.Event](t *testing.T, w *world, edit func(*E)) {
	t.Helper()
	i, e := find[E](t, w)
	edit(&e)
	w.events[i] = e
}

func requireFinding(t *testing.T, err error, stages ...audit.Stage) *audit.Finding {
	t.Helper()
	var found *audit.Finding
	require.ErrorAs(t, err, &found)
	if len(stages) > 0 {
		require.Contains(t, stages, found.Stage, found.Error())
	}
	return found
}

// flips calls try with a copy of data for each byte, one bit of it flipped.
func flips(data []byte, try func(at int, flipped []byte)) {
	for i := range data {
		flipped := slices.Clone(data)
		flipped[i] ^= 1 << (i % 8)
		try(i, flipped)
	}
}

func TestEveryFlippedByteOfAHeaderIsFound(t *testing.T) {
	t.Parallel()
	w := whole(t)
	for i, e := range w.events {
		block, is := e.(chain.BlockMined)
		if !is {
			continue
		}
		flips(block.Header, func(at int, flipped []byte) {
			damaged := block
			damaged.Header = flipped
			w.events[i] = damaged
			_, err := w.audit()
			requireFinding(t, err, audit.StageHeader)
		})
		flips(block.Coinbase, func(at int, flipped []byte) {
			damaged := block
			damaged.Coinbase = flipped
			w.events[i] = damaged
			_, err := w.audit()
			requireFinding(t, err, audit.StageCoinbase, audit.StageRoot)
		})
		w.events[i] = block
	}
	_, err := w.audit()
	require.NoError(t, err)
}

func TestEveryFlippedByteOfABodyIsFound(t *testing.T) {
	t.Parallel()
	w := whole(t)
	for hash, body := range w.bodies {
		if _, e := find[chain.TaskMined](t, w); e.Task.DataHash != hash {
			continue
		}
		flips(body, func(at int, flipped []byte) {
			w.bodies[hash] = flipped
			_, err := w.audit()
			requireFinding(t, err, audit.StageData)
		})
		w.bodies[hash] = body
	}
}

func TestEveryFlippedByteOfAProofIsFound(t *testing.T) {
	t.Parallel()
	w := whole(t)
	i, settled := find[chain.TaskSettled](t, w)
	for word := range settled.Proof {
		flips(settled.Proof[word][:], func(at int, flipped []byte) {
			damaged := settled
			damaged.Proof[word] = wire.Hash(flipped)
			w.events[i] = damaged
			_, err := w.audit()
			requireFinding(t, err, audit.StageProof)
		})
	}
	flips(settled.Outputs[0][:], func(at int, flipped []byte) {
		damaged := settled
		damaged.Outputs = []wire.Hash{wire.Hash(flipped)}
		w.events[i] = damaged
		_, err := w.audit()
		requireFinding(t, err, audit.StageProof)
	})
	w.events[i] = settled
	vk := w.vk
	flips(vk, func(at int, flipped []byte) {
		w.vk = flipped
		_, err := w.audit()
		requireFinding(t, err, audit.StageProof)
	})
}

func TestEveryFlippedByteOfAStoredProofIsFound(t *testing.T) {
	t.Parallel()
	w := whole(t)
	_, settled := find[chain.TaskSettled](t, w)
	good := wire.ProofEnvelope{
		TaskID: settled.TaskID, Prover: settled.Prover, Curve: wire.CurveBN254, Proof: settled.Proof, Outputs: settled.Outputs,
		VKID: wire.Hash(w.version.VkId), BundleDigest: wire.Hash(w.version.BundleDigest),
	}
	w.stored = &good
	report, err := w.audit()
	require.NoError(t, err)
	require.EqualValues(t, 1, report.Stored.Proofs)
	damage := func(data []byte, put func(e *wire.ProofEnvelope, flipped []byte)) {
		flips(data, func(at int, flipped []byte) {
			damaged := good
			put(&damaged, flipped)
			w.stored = &damaged
			_, err := w.audit()
			requireFinding(t, err, audit.StageProof)
		})
	}
	for word := range good.Proof {
		damage(good.Proof[word][:], func(e *wire.ProofEnvelope, flipped []byte) { e.Proof[word] = wire.Hash(flipped) })
	}
	damage(good.Outputs[0][:], func(e *wire.ProofEnvelope, flipped []byte) { e.Outputs = []wire.Hash{wire.Hash(flipped)} })
	damage(good.VKID[:], func(e *wire.ProofEnvelope, flipped []byte) { e.VKID = wire.Hash(flipped) })
	damage(good.BundleDigest[:], func(e *wire.ProofEnvelope, flipped []byte) { e.BundleDigest = wire.Hash(flipped) })
	damage([]byte(good.Curve), func(e *wire.ProofEnvelope, flipped []byte) { e.Curve = string(flipped) })
	damage(good.TaskID[:], func(e *wire.ProofEnvelope, flipped []byte) { e.TaskID = wire.Hash(flipped) })
	damage(good.Prover[:], func(e *wire.ProofEnvelope, flipped []byte) { e.Prover = wire.Address(flipped) })
	w.damaged = true
	_, err = w.audit()
	requireFinding(t, err, audit.StageProof)
}

func TestEveryFlippedByteOfAStoredBlockIsFound(t *testing.T) {
	t.Parallel()
	w := whole(t)
	_, mined := find[chain.BlockMined](t, w)
	good := audit.StoredBlock{
		Where: "a sequencer", Height: mined.Height, Hash: mined.Hash, Operator: mined.Operator, Beneficiary: mined.Beneficiary,
		Tasks: mined.Tasks, Header: mined.Header, Coinbase: mined.Coinbase,
	}
	keep := func(b audit.StoredBlock) { w.blocks = map[uint64]audit.StoredBlock{mined.Height: b} }
	keep(good)
	report, err := w.audit()
	require.NoError(t, err)
	require.EqualValues(t, 1, report.Stored.Blocks)
	damage := func(data []byte, put func(b *audit.StoredBlock, flipped []byte)) {
		flips(data, func(at int, flipped []byte) {
			damaged := good
			put(&damaged, flipped)
			keep(damaged)
			_, err := w.audit()
			requireFinding(t, err, audit.StageHeader, audit.StageCoinbase)
		})
	}
	damage(good.Header, func(b *audit.StoredBlock, flipped []byte) { b.Header = flipped })
	damage(good.Coinbase, func(b *audit.StoredBlock, flipped []byte) { b.Coinbase = flipped })
	damage(good.Hash[:], func(b *audit.StoredBlock, flipped []byte) { b.Hash = wire.Hash(flipped) })
	damage(good.Operator[:], func(b *audit.StoredBlock, flipped []byte) { b.Operator = wire.Address(flipped) })
	damage(good.Beneficiary[:], func(b *audit.StoredBlock, flipped []byte) { b.Beneficiary = wire.Address(flipped) })
	keep(audit.StoredBlock{Where: "a sequencer", Missing: true})
	_, err = w.audit()
	requireFinding(t, err, audit.StageHeader)
}

// TestLiesAreFound changes one thing that nobody may change.
func TestLiesAreFound(t *testing.T) {
	t.Parallel()
	other := wire.Address{0x99}
	for name, c := range map[string]struct {
		stage audit.Stage
		lie   func(t *testing.T, w *world)
	}{
		"other operator":        {audit.StageCoinbase, func(t *testing.T, w *world) { change(t, w, func(e *chain.BlockMined) { e.Operator = other }) }},
		"other beneficiary":     {audit.StageCoinbase, func(t *testing.T, w *world) { change(t, w, func(e *chain.BlockMined) { e.Beneficiary = other }) }},
		"other height":          {audit.StageHeader, func(t *testing.T, w *world) { change(t, w, func(e *chain.BlockMined) { e.Height = 2 }) }},
		"other hash":            {audit.StageHeader, func(t *testing.T, w *world) { change(t, w, func(e *chain.BlockMined) { e.Hash[0] ^= 1 }) }},
		"reward went elsewhere": {audit.StagePayment, func(t *testing.T, w *world) { change(t, w, func(e *chain.RewardCredited) { e.Beneficiary = other }) }},
		"reward not credited":   {audit.StagePayment, func(t *testing.T, w *world) { change(t, w, func(e *chain.RewardCredited) { e.Amount = big.NewInt(1) }) }},
		"other task id":         {audit.StageTask, func(t *testing.T, w *world) { change(t, w, func(e *chain.TaskMined) { e.TaskID[0] ^= 1 }) }},
		"other data":            {audit.StageRoot, func(t *testing.T, w *world) { change(t, w, func(e *chain.TaskMined) { e.Task.DataHash[0] ^= 1 }) }},
		"other count":           {audit.StageRoot, func(t *testing.T, w *world) { change(t, w, func(e *chain.TaskMined) { e.Task.Count = 1 }) }},
		"task dropped":          {audit.StageCoinbase, dropTask},
		"offered, due to skip":  {audit.StageAuthorisation, func(t *testing.T, w *world) { change(t, w, func(e *chain.SequencerListed) { e.Allowed = false }) }},
		"skipped without reason": {audit.StageTask, func(t *testing.T, w *world) {
			change(t, w, func(e *chain.TaskSkipped) { e.Reason = chain.SkipBadSize })
		}},
		"no money, yet offered": {audit.StageTask, func(t *testing.T, w *world) { change(t, w, func(e *chain.Deposited) { e.Amount = big.NewInt(1) }) }},
		"device not listed":     {audit.StageMessage, func(t *testing.T, w *world) { change(t, w, func(e *chain.DeviceSet) { e.Allowed = false }) }},
		"accepted by another":   {audit.StageTask, func(t *testing.T, w *world) { change(t, w, func(e *chain.TaskAccepted) { e.Prover = other }) }},
		"settled by another":    {audit.StageTask, func(t *testing.T, w *world) { change(t, w, func(e *chain.TaskSettled) { e.Prover = other }) }},
		"settled twice":         {audit.StageTask, settleTwice},
		"prover paid more": {audit.StagePayment, func(t *testing.T, w *world) {
			change(t, w, func(e *chain.TaskSettled) { e.ProverAmount = big.NewInt(881) })
		}},
		"prover's part to another":   {audit.StagePayment, func(t *testing.T, w *world) { change(t, w, func(e *chain.Paid) { e.Account = other }) }},
		"protocol's part to another": {audit.StagePayment, func(t *testing.T, w *world) { w.params.Treasury = other }},
		"beneficiary changed":        {audit.StagePayment, func(t *testing.T, w *world) { change(t, w, func(e *chain.ProverJoined) { e.Beneficiary = other }) }},
		"escrow has less free":       {audit.StagePayment, func(t *testing.T, w *world) { w.escrow = func(free, _ *big.Int) { free.Sub(free, big.NewInt(1)) } }},
		"escrow withholds more": {audit.StagePayment, func(t *testing.T, w *world) {
			w.escrow = func(_, withheld *big.Int) { withheld.Add(withheld, big.NewInt(1)) }
		}},
		"last block not in the record": {audit.StageHeader, func(t *testing.T, w *world) { w.height++ }},
		"escrow paid another":          {audit.StagePayment, func(t *testing.T, w *world) { change(t, w, func(e *chain.Paid) { e.Amount = big.NewInt(879) }) }},
		"nothing withheld":             {audit.StagePayment, func(t *testing.T, w *world) { change(t, w, func(e *chain.Withheld) { e.Amount = big.NewInt(1) }) }},
		"body withheld":                {audit.StageData, func(t *testing.T, w *world) { _, e := find[chain.TaskMined](t, w); delete(w.bodies, e.Task.DataHash) }},
		"tip of another chain":         {audit.StageHeader, func(t *testing.T, w *world) { w.hash[0] ^= 1 }},
		"difficulty not ASERT's":       {audit.StageDifficulty, func(t *testing.T, w *world) { w.params.HalfLife = 50 }},
		"too easy a start":             {audit.StageDifficulty, func(t *testing.T, w *world) { w.params.GenesisBits = 0x1e7fffff }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := whole(t)
			c.lie(t, w)
			_, err := w.audit()
			requireFinding(t, err, c.stage)
		})
	}
}

// dropTask leaves the first task and all that is about it out of the record.
func dropTask(t *testing.T, w *world) {
	first, task := find[chain.TaskMined](t, w)
	id := task.TaskID
	var kept []chain.Event
	for i, e := range w.events {
		switch e := e.(type) {
		case chain.TaskOffered:
			if e.TaskID == id {
				continue
			}
		}
		if i != first {
			kept = append(kept, e)
		}
	}
	w.events = kept
}

func settleTwice(t *testing.T, w *world) {
	i, e := find[chain.TaskSettled](t, w)
	w.events = slices.Insert(w.events, i+1, chain.Event(e))
}

// TestLeafTwiceInABlock has a miner put a task's leaf into its block again: the
// contract skips the second, and the task goes its way.
func TestLeafTwiceInABlock(t *testing.T) {
	t.Parallel()
	mine := func(second func(w *world, at chain.Pos, id wire.Hash)) *world {
		w := newWorld(t)
		task, seen := w.task(1), false
		id := w.mine(func(at chain.Pos, id wire.Hash) {
			if seen {
				second(w, at, id)
				return
			}
			seen = true
			w.offered(at, id)
		}, task, task)[0]
		w.accept(id)
		w.settle(id, task)
		return w
	}
	report, err := mine(func(w *world, at chain.Pos, id wire.Hash) { w.skipped(chain.SkipDuplicateData)(at, id) }).audit()
	require.NoError(t, err)
	require.EqualValues(t, 1, report.Skipped)
	require.EqualValues(t, 1, report.Payments)
	_, err = mine((*world).offered).audit()
	requireFinding(t, err, audit.StageTask)
}

// TestMessageSettledInTwoTasksIsFound packs a message a second time.
func TestMessageSettledInTwoTasksIsFound(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first := w.task(2)
	var body wire.Body
	require.NoError(t, body.UnmarshalBinary(w.bodies[first.DataHash]))
	second := w.taskOf(wire.Body{Project: project, Version: 1, Messages: body.Messages[:1]})
	for _, task := range []wire.Task{first, second} {
		id := w.mine(w.offered, task)[0]
		w.accept(id)
		w.settle(id, task)
	}
	_, err := w.audit()
	found := requireFinding(t, err, audit.StageMessage)
	require.Contains(t, found.What, "settled before")
}

// TestUnpaidDataIsNobodysFault: what is wrong with data that no prover
// accepted is not a finding, as it is what provers decline for.
func TestUnpaidDataIsNobodysFault(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	task := w.task(1)
	delete(w.bodies, task.DataHash)
	w.mine(w.offered, task)
	report, err := w.audit()
	require.NoError(t, err)
	require.EqualValues(t, 1, report.Missing)
}
