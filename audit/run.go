package audit

import (
	"bytes"
	"context"
	"fmt"
	"math/big"

	groth16bn254 "github.com/consensys/gnark/backend/groth16/bn254"
	"github.com/ethereum/go-ethereum/common"

	"github.com/gristmill-zk/gristmill/chain"
	"github.com/gristmill-zk/gristmill/internal/groth16vk"
	"github.com/gristmill-zk/gristmill/wire"
)

type versionKey struct {
	project uint64
	number  uint32
}

// auditor holds what is known so far.
type auditor struct {
	source   Source
	params   Params
	progress func(Report)
	chain    *links
	ledger   *ledger
	versions map[versionKey]chain.Version
	keys     map[wire.Hash]*groth16bn254.VerifyingKey
	report   Report
}

func newAuditor(p Params, cfg Config) *auditor {
	return &auditor{
		source: cfg.Source, params: p, progress: cfg.Progress,
		chain: newLinks(p), ledger: newLedger(),
		versions: map[versionKey]chain.Version{},
		keys:     map[wire.Hash]*groth16bn254.VerifyingKey{},
	}
}

// run takes the events one transaction at a time, since a block and its tasks
// are only whole together.
func (a *auditor) run(ctx context.Context) error {
	var tx []chain.Event
	at, err := a.source.Events(ctx, func(e chain.Event) error {
		if len(tx) > 0 && tx[0].At().Tx != e.At().Tx {
			if err := a.transaction(ctx, tx); err != nil {
				return err
			}
			tx = tx[:0]
		}
		tx = append(tx, e)
		return ctx.Err()
	})
	if err != nil {
		return err
	}
	if err := a.transaction(ctx, tx); err != nil {
		return err
	}
	return a.end(ctx, at)
}

// end compares where the events led with what the contracts say at the block
// that the events were read up to: a record that lacks events ends elsewhere.
func (a *auditor) end(ctx context.Context, at End) error {
	hash, height, err := a.source.Tip(ctx, at)
	if err != nil {
		return fmt.Errorf("audit: tip: %w", err)
	}
	if height != a.chain.height || hash != a.chain.hash {
		return &Finding{Stage: StageHeader, Height: a.chain.height, What: fmt.Sprintf(
			"the minter's tip is %s at height %d, its blocks lead to %s at height %d", hash.BlockString(), height, a.chain.hash.BlockString(), a.chain.height)}
	}
	for key, p := range a.ledger.pots {
		free, withheld, err := a.source.Escrow(ctx, at, key.project, key.token)
		if err != nil {
			return fmt.Errorf("audit: escrow of project %d: %w", key.project, err)
		}
		if free.Cmp(p.free) != 0 || withheld.Cmp(p.withheld) != 0 {
			return &Finding{Stage: StagePayment, What: fmt.Sprintf(
				"the escrow of project %d has %s free and %s withheld of token %s, its events add up to %s and %s", key.project, free, withheld, key.token, p.free, p.withheld)}
		}
	}
	return nil
}

func (a *auditor) transaction(ctx context.Context, events []chain.Event) error {
	if len(events) == 0 {
		return nil
	}
	parent := a.chain.hash
	evmTime, err := a.mined(ctx, events)
	if err != nil {
		return err
	}
	for _, e := range events {
		if err := a.apply(ctx, e, parent, evmTime); err != nil {
			return err
		}
	}
	if a.progress != nil {
		a.progress(a.report)
	}
	return nil
}

// mined checks the block that a transaction appended, if it did, and gives the
// time of the EVM block it stands in.
func (a *auditor) mined(ctx context.Context, events []chain.Event) (uint64, error) {
	var block *header
	parent := a.chain.hash
	for _, e := range events {
		switch e := e.(type) {
		case chain.BlockMined:
			if block != nil {
				return 0, &Finding{Stage: StageHeader, Height: e.Height, What: "mined in the same transaction as the block before"}
			}
			block = &header{height: e.Height, hash: e.Hash, raw: e.Header, coinbase: e.Coinbase, operator: e.Operator,
				benefits: e.Beneficiary, tasks: e.Tasks}
		case chain.TaskMined:
			if block == nil || e.Height != block.height || e.Operator != block.operator {
				return 0, &Finding{Stage: StageTask, Height: e.Height, Task: &e.TaskID, What: "mined outside of its block"}
			}
			block.leaves = append(block.leaves, e.Task.Leaf(a.params.Deployment, parent))
		}
	}
	if block == nil {
		return 0, nil
	}
	evmTime, err := a.source.BlockTime(ctx, events[0].At().Block)
	if err != nil {
		return 0, fmt.Errorf("audit: time of block %d: %w", events[0].At().Block, err)
	}
	block.evmTime = evmTime
	if err := a.chain.add(*block); err != nil {
		return 0, err
	}
	a.report.Blocks++
	if err := a.checkStoredBlocks(ctx, block); err != nil {
		return 0, err
	}
	return evmTime, a.checkBlockReward(events, block)
}

// checkStoredBlocks compares the sequencers' own records of a block with the
// chain's.
func (a *auditor) checkStoredBlocks(ctx context.Context, b *header) error {
	records, err := a.source.StoredBlocks(ctx, b.height)
	if err != nil {
		return fmt.Errorf("audit: a sequencer's record of block %d: %w", b.height, err)
	}
	for _, r := range records {
		found := func(stage Stage, what string) error {
			return &Finding{Stage: stage, Height: b.height, What: fmt.Sprintf("the record of %s %s", r.Where, what)}
		}
		switch {
		case r.Missing:
			return found(StageHeader, "lacks it, but has later ones")
		case r.Height != b.height || r.Hash != b.hash:
			return found(StageHeader, fmt.Sprintf("says block %s at height %d", r.Hash.BlockString(), r.Height))
		case !bytes.Equal(r.Header, b.raw):
			return found(StageHeader, "has another header than the chain")
		case r.Coinbase != nil && !bytes.Equal(r.Coinbase, b.coinbase):
			return found(StageCoinbase, "has another coinbase than the chain")
		case r.Operator != b.operator || r.Beneficiary != b.benefits || r.Tasks != b.tasks:
			return found(StageCoinbase, "has another operator, beneficiary or number of tasks than the chain")
		}
		a.report.Stored.Blocks++
	}
	return nil
}

// checkBlockReward compares what the minter announced with what the reward
// pool credited in the same transaction.
func (a *auditor) checkBlockReward(events []chain.Event, block *header) error {
	announced, credited := new(big.Int), new(big.Int)
	for _, e := range events {
		switch e := e.(type) {
		case chain.BlockMined:
			announced.Add(announced, e.Reward)
		case chain.RewardCredited:
			if e.Beneficiary != block.benefits {
				return &Finding{Stage: StagePayment, Height: block.height, What: fmt.Sprintf("its reward went to %s, not to its beneficiary %s", e.Beneficiary, block.benefits)}
			}
			credited.Add(credited, e.Amount)
		}
	}
	if announced.Cmp(credited) != 0 {
		return &Finding{Stage: StagePayment, Height: block.height, What: fmt.Sprintf("a reward of %s announced, %s credited", announced, credited)}
	}
	return nil
}

// apply lets one event change the ledger.
func (a *auditor) apply(ctx context.Context, e chain.Event, parent wire.Hash, evmTime uint64) error {
	switch e := e.(type) {
	case chain.TaskMined:
		t, err := a.enter(ctx, e.TaskID, e.Task, parent, e.Height, evmTime)
		if err != nil {
			return err
		}
		if old := a.ledger.tasks[e.TaskID]; old != nil && old.status != skipped {
			old.again = t
			return nil
		}
		a.ledger.tasks[e.TaskID] = t
		return nil
	case chain.VersionAdded:
		a.ledger.project(e.Project).versions = e.Version
	case chain.SequencerListed:
		a.ledger.project(e.Project).sequencers[e.Key] = e.Allowed
	case chain.ProjectPaused:
		a.ledger.project(e.Project).paused = e.Paused
	case chain.DeviceSet:
		a.ledger.project(e.Project).devices[e.Device] = e.Allowed
	case chain.OpenSet:
		a.ledger.project(e.Project).open = e.Open
	case chain.ProverJoined:
		a.ledger.beneficiaries[e.Operator] = e.Beneficiary
	case chain.BeneficiarySet:
		a.ledger.beneficiaries[e.Operator] = e.Beneficiary
	case chain.Deposited, chain.Withdrawn, chain.Withheld, chain.Refunded:
		return a.move(e)
	default:
		return a.applyTask(ctx, e)
	}
	return nil
}

// move follows the money of projects.
func (a *auditor) move(e chain.Event) error {
	var p *pot
	switch e := e.(type) {
	case chain.Deposited:
		p = a.ledger.pot(e.Project, e.Token)
		p.free.Add(p.free, e.Amount)
	case chain.Withdrawn:
		p = a.ledger.pot(e.Project, e.Token)
		p.free.Sub(p.free, e.Amount)
	case chain.Withheld:
		p = a.ledger.pot(e.Project, e.Token)
		p.free.Sub(p.free, e.Amount)
		p.withheld.Add(p.withheld, e.Amount)
	case chain.Refunded:
		p = a.ledger.pot(e.Project, e.Token)
		p.withheld.Sub(p.withheld, e.Amount)
		p.free.Add(p.free, e.Amount)
	}
	if p.free.Sign() < 0 || p.withheld.Sign() < 0 {
		return &Finding{Stage: StagePayment, What: fmt.Sprintf("the escrow gave out more than it had (block %d of the chain)", e.At().Block)}
	}
	return nil
}

// applyTask lets an event of a task change it.
func (a *auditor) applyTask(ctx context.Context, e chain.Event) error {
	id, is := taskOf(e)
	if !is {
		return nil
	}
	t := a.ledger.tasks[id]
	if t == nil {
		return &Finding{Stage: StageTask, Task: &id, What: "an event of a task that no block brought"}
	}
	if again := t.again; again != nil {
		t.again = nil
		if _, is := e.(chain.TaskSkipped); !is {
			return t.found(StageTask, "its leaf stands in the block again, and was not skipped")
		}
		t = again
	}
	switch e := e.(type) {
	case chain.TaskSkipped:
		a.report.Skipped++
		return t.skip(e.Reason)
	case chain.TaskOffered:
		return a.open(ctx, t, offered, e.Prover)
	case chain.TaskWaiting:
		return a.open(ctx, t, waiting, wire.Address{})
	case chain.TaskAccepted:
		return a.accept(t, e.Prover)
	case chain.Paid:
		credit(t.paid, e.Account, e.Amount)
	case chain.TaskSettled:
		return a.settle(ctx, t, settlement{
			prover: e.Prover, proof: e.Proof, outputs: e.Outputs,
			toProver: e.ProverAmount, toSequencer: e.SequencerAmount, toPool: e.ProtocolAmount,
		})
	case chain.TaskRecalled:
		return t.finish(recalled)
	case chain.TaskDead:
		return t.finish(dead)
	}
	return nil
}

func (t *task) finish(to status) error {
	if !t.alive() {
		return t.found(StageTask, "%s after it was %s", to, t.status)
	}
	t.status, t.prover = to, wire.Address{}
	return nil
}

// taskOf says which task an event is about.
func taskOf(e chain.Event) (wire.Hash, bool) {
	switch e := e.(type) {
	case chain.TaskSkipped:
		return e.TaskID, true
	case chain.TaskOffered:
		return e.TaskID, true
	case chain.TaskWaiting:
		return e.TaskID, true
	case chain.TaskAccepted:
		return e.TaskID, true
	case chain.Paid:
		return e.TaskID, true
	case chain.TaskSettled:
		return e.TaskID, true
	case chain.TaskRecalled:
		return e.TaskID, true
	case chain.TaskDead:
		return e.TaskID, true
	}
	return wire.Hash{}, false
}

// version reads a project version once; versions never change.
func (a *auditor) version(ctx context.Context, project uint64, number uint32) (chain.Version, error) {
	key := versionKey{project, number}
	if v, ok := a.versions[key]; ok {
		return v, nil
	}
	v, err := a.source.Version(ctx, project, number)
	if err != nil {
		return v, fmt.Errorf("audit: project %d version %d: %w", project, number, err)
	}
	a.versions[key] = v
	return v, nil
}

// key reads a verifying key once and checks that it is the one its name says.
func (a *auditor) key(ctx context.Context, t *task) (*groth16bn254.VerifyingKey, error) {
	id := wire.Hash(t.version.VkId)
	if key := a.keys[id]; key != nil {
		return key, nil
	}
	raw, err := a.source.VerifyingKey(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("audit: verifying key %s: %w", id, err)
	}
	if got := groth16vk.ID(raw); got != id {
		return nil, t.found(StageProof, "the verifying key %s is registered as %s", got, id)
	}
	key, err := groth16vk.ParseVK(raw)
	if err != nil {
		return nil, t.found(StageProof, "verifying key %s: %v", id, err)
	}
	a.keys[id] = key
	return key, nil
}

// token is the contract's address as the ledger names it.
func token(a common.Address) wire.Address { return wire.Address(a) }
