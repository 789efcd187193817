package audit

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"slices"

	"github.com/gristmill-zk/gristmill/chain"
	"github.com/gristmill-zk/gristmill/internal/groth16vk"
	"github.com/gristmill-zk/gristmill/wire"
)

// Bounds on a body's size that the task manager applies, in bytes: what comes
// before the messages, and of each message the least and the most on top of
// its payload, length prefix included.
const (
	bodyHead        = 17
	minMessage      = 121
	messageOverhead = 160
)

func (t *task) found(stage Stage, format string, args ...any) error {
	return &Finding{Stage: stage, Height: t.height, Task: &t.id, What: fmt.Sprintf(format, args...)}
}

// enter takes a leaf as the task manager saw it at evmTime.
func (a *auditor) enter(ctx context.Context, id wire.Hash, leaf wire.Task, parent wire.Hash, height, evmTime uint64) (*task, error) {
	t := &task{id: id, leaf: leaf, height: height, status: fresh, paid: map[wire.Address]*big.Int{}}
	if want := leaf.ID(a.params.Deployment, parent); id != want {
		return nil, t.found(StageTask, "its block and data make the id %s", want)
	}
	if err := a.judge(ctx, t, evmTime); err != nil {
		return nil, err
	}
	a.report.Tasks++
	return t, nil
}

// judge computes whether the task had to be skipped, in the contract's order.
func (a *auditor) judge(ctx context.Context, t *task, evmTime uint64) (err error) {
	p := a.ledger.project(t.leaf.Project)
	if t.leaf.Version == 0 || t.leaf.Version > p.versions {
		t.due = chain.SkipUnknownVersion
		return nil
	}
	if t.version, err = a.version(ctx, t.leaf.Project, t.leaf.Version); err != nil {
		return err
	}
	signer, signed := t.leaf.Authoriser(a.params.Deployment)
	t.sequencer = signer
	_, badCommitment := t.leaf.DataCommitment.Element()
	count, size := uint64(t.leaf.Count), uint64(t.leaf.Size)
	switch {
	case p.paused:
		t.due = chain.SkipProjectPaused
	case count == 0 || count > uint64(t.version.BatchSize):
		t.due = chain.SkipBadCount
	case size < bodyHead+minMessage*count || size > bodyHead+(messageOverhead+uint64(t.version.PayloadLimit))*count:
		t.due = chain.SkipBadSize
	case badCommitment != nil:
		t.due = chain.SkipBadCommitment
	case evmTime > t.leaf.Authorisation.Expiry:
		t.due = chain.SkipExpired
	case signed != nil || !p.sequencers[signer]:
		t.due = chain.SkipBadAuthorisation
	case a.ledger.taken(t.leaf.Project, t.leaf.DataHash):
		t.due = chain.SkipDuplicateData
	case a.ledger.pot(t.leaf.Project, token(t.version.RewardToken)).free.Cmp(t.version.Reward) < 0:
		t.due = chain.SkipInsufficientFunds
	}
	return nil
}

// skip and open are the two answers a leaf may get.
func (t *task) skip(why chain.SkipReason) error {
	if t.status != fresh {
		return t.found(StageTask, "skipped after it was %s", t.status)
	}
	if why != t.due {
		stage := StageTask
		if t.due == chain.SkipBadAuthorisation || why == chain.SkipBadAuthorisation {
			stage = StageAuthorisation
		}
		return t.found(stage, "skipped for %q, but what is due is %q", why, t.due)
	}
	t.status = skipped
	return nil
}

// open notes that a task stands: mined just now, or moved on from a prover.
func (a *auditor) open(ctx context.Context, t *task, to status, prover wire.Address) error {
	if t.status == fresh {
		if t.due != chain.SkipNone {
			stage := StageTask
			if t.due == chain.SkipBadAuthorisation {
				stage = StageAuthorisation
			}
			return t.found(stage, "let in, but it had to be skipped for %q", t.due)
		}
		a.ledger.ofData[dataKey{t.leaf.Project, t.leaf.DataHash}] = t
		if err := a.checkBody(ctx, t); err != nil {
			return err
		}
	} else if !t.alive() {
		return t.found(StageTask, "%s after it was %s", to, t.status)
	}
	t.status, t.prover = to, prover
	return nil
}

// checkBody looks at the data of a task when it is mined. What is wrong with
// it is kept until somebody accepts the task.
func (a *auditor) checkBody(ctx context.Context, t *task) error {
	raw, err := a.source.Body(ctx, t.leaf.DataHash)
	if errors.Is(err, ErrNoBody) {
		a.report.Missing++
		t.bad = t.found(StageData, "nobody serves the body %s", t.leaf.DataHash)
		return nil
	}
	if err != nil {
		return fmt.Errorf("audit: body %s: %w", t.leaf.DataHash, err)
	}
	body, err := t.leaf.CheckBody(a.params.Deployment, raw, t.version.BatchSize, t.version.PayloadLimit)
	if err != nil {
		// Whoever stored other bytes than were mined is found out at once: the
		// hash is what the body was asked for by.
		if wire.DataHash(raw) != t.leaf.DataHash {
			return t.found(StageData, "%v", err)
		}
		t.bad = t.found(StageData, "%v", err)
		return nil
	}
	a.report.Bodies++
	a.checkMessages(t, body)
	return nil
}

func (a *auditor) checkMessages(t *task, body *wire.Body) {
	p := a.ledger.project(t.leaf.Project)
	for i := range body.Messages {
		m := &body.Messages[i]
		if err := m.Verify(a.params.Deployment, t.version.PayloadLimit); err != nil {
			t.bad = t.found(StageMessage, "message %d: %v", i, err)
			return
		}
		a.report.Signatures++
		id, err := m.ID()
		if err != nil {
			t.bad = t.found(StageMessage, "message %d: %v", i, err)
			return
		}
		device, err := m.Key.ID()
		if err != nil {
			t.bad = t.found(StageMessage, "message %d: %v", i, err)
			return
		}
		if !p.allows(device) {
			t.strangers = append(t.strangers, device)
		}
		if slices.Contains(t.messages, id) {
			t.bad = t.found(StageMessage, "message %d: %s stands in it twice", i, id)
			return
		}
		t.messages = append(t.messages, id)
		a.report.Messages++
	}
}

// accept takes a prover's word that it will prove the task.
func (a *auditor) accept(t *task, prover wire.Address) error {
	switch {
	case t.status == offered && t.prover != prover:
		return t.found(StageTask, "offered to %s, accepted by %s", t.prover, prover)
	case t.status != offered && t.status != waiting:
		return t.found(StageTask, "accepted after it was %s", t.status)
	case t.bad != nil:
		return t.bad
	}
	p := a.ledger.project(t.leaf.Project)
	for _, device := range t.strangers {
		if !p.allows(device) {
			return t.found(StageMessage, "device %s is not listed by project %d", device, t.leaf.Project)
		}
	}
	t.status, t.prover = accepted, prover
	return nil
}

// settlement is what the task manager announced of a settled task.
type settlement struct {
	prover                        wire.Address
	proof                         wire.Proof
	outputs                       []wire.Hash
	toProver, toSequencer, toPool *big.Int
}

func (a *auditor) settle(ctx context.Context, t *task, s settlement) error {
	if t.status != accepted {
		return t.found(StageTask, "settled after it was %s", t.status)
	}
	if t.prover != s.prover {
		return t.found(StageTask, "accepted by %s, settled by %s", t.prover, s.prover)
	}
	if err := a.checkProof(ctx, t, s); err != nil {
		return err
	}
	for _, id := range t.messages {
		if other, again := a.ledger.messages[id]; again {
			return t.found(StageMessage, "message %s was settled before, in task %s", id, other)
		}
		a.ledger.messages[id] = t.id
	}
	t.status = settled
	return a.checkPayment(t, s)
}

func (a *auditor) checkProof(ctx context.Context, t *task, s settlement) error {
	if len(s.outputs) != int(t.version.Outputs) {
		return t.found(StageProof, "%d outputs, its version has %d", len(s.outputs), t.version.Outputs)
	}
	inputs, err := wire.PublicInputs(a.params.Deployment, t.id, s.prover, t.leaf.DataCommitment, s.outputs)
	if err != nil {
		return t.found(StageProof, "%v", err)
	}
	key, err := a.key(ctx, t)
	if err != nil {
		return err
	}
	if err := groth16vk.Verify(key, s.proof, inputs); err != nil {
		return t.found(StageProof, "%v", err)
	}
	a.report.Proofs++
	return a.checkStored(ctx, t, s)
}

// checkStored compares the prover's own record of the proof with the chain's.
func (a *auditor) checkStored(ctx context.Context, t *task, s settlement) error {
	stored, err := a.source.StoredProof(ctx, t.id)
	switch {
	case errors.Is(err, ErrNoProof):
		return nil
	case errors.Is(err, ErrDamaged):
		return t.found(StageProof, "the prover's record: %v", err)
	case err != nil:
		return fmt.Errorf("audit: the prover's record of task %s: %w", t.id, err)
	}
	switch {
	case stored.TaskID != t.id || stored.Prover != s.prover:
		return t.found(StageProof, "the prover's record is of task %s by %s", stored.TaskID, stored.Prover)
	case stored.Proof != s.proof:
		return t.found(StageProof, "the prover's record has another proof than the chain")
	case !slices.Equal(stored.Outputs, s.outputs):
		return t.found(StageProof, "the prover's record has other outputs than the chain")
	case stored.Curve != wire.CurveBN254:
		return t.found(StageProof, "the prover's record is of curve %q, not %q", stored.Curve, wire.CurveBN254)
	case stored.VKID != wire.Hash(t.version.VkId):
		return t.found(StageProof, "the prover's record names verifying key %s, the version pins %s", stored.VKID, wire.Hash(t.version.VkId))
	case stored.BundleDigest != wire.Hash(t.version.BundleDigest):
		return t.found(StageProof, "the prover's record names bundle %s, the version pins %s", stored.BundleDigest, wire.Hash(t.version.BundleDigest))
	}
	a.report.Stored.Proofs++
	return nil
}

// checkPayment compares what was announced with the version's price, and what
// the escrow says it paid with whom which part is due: the prover's beneficiary,
// the sequencer that authorised the task, and the protocol's treasury.
func (a *auditor) checkPayment(t *task, s settlement) error {
	reward := t.version.Reward
	protocol := bps(reward, a.params.ProtocolShareBps)
	sequencer := bps(reward, t.version.SequencerShareBps)
	prover := new(big.Int).Sub(new(big.Int).Sub(reward, protocol), sequencer)
	for _, part := range []struct {
		name      string
		got, want *big.Int
	}{{"prover", s.toProver, prover}, {"sequencer", s.toSequencer, sequencer}, {"protocol", s.toPool, protocol}} {
		if part.got.Cmp(part.want) != 0 {
			return t.found(StagePayment, "the %s got %s, due is %s", part.name, part.got, part.want)
		}
	}
	beneficiary, joined := a.ledger.beneficiaries[s.prover]
	if !joined {
		return t.found(StagePayment, "settled by %s, which never joined as a prover", s.prover)
	}
	due := map[wire.Address]*big.Int{}
	credit(due, beneficiary, prover)
	credit(due, t.sequencer, sequencer)
	credit(due, a.params.Treasury, protocol)
	for account, amount := range due {
		if got := t.paid[account]; got == nil || got.Cmp(amount) != 0 {
			return t.found(StagePayment, "the escrow paid %s to %s, due is %s", orZero(got), account, amount)
		}
	}
	for account, amount := range t.paid {
		if due[account] == nil {
			return t.found(StagePayment, "the escrow paid %s to %s, whom nothing is due", amount, account)
		}
	}
	pot := a.ledger.pot(t.leaf.Project, token(t.version.RewardToken))
	if pot.withheld.Sub(pot.withheld, reward).Sign() < 0 {
		return t.found(StagePayment, "paid from money that was not withheld")
	}
	a.report.Payments++
	return nil
}

// credit adds to an account; nothing is no entry.
func credit(accounts map[wire.Address]*big.Int, to wire.Address, amount *big.Int) {
	if amount.Sign() == 0 {
		return
	}
	if accounts[to] == nil {
		accounts[to] = new(big.Int)
	}
	accounts[to].Add(accounts[to], amount)
}

func orZero(v *big.Int) *big.Int {
	if v == nil {
		return new(big.Int)
	}
	return v
}

func bps(amount *big.Int, share uint16) *big.Int {
	out := new(big.Int).Mul(amount, big.NewInt(int64(share)))
	return out.Quo(out, big.NewInt(10_000))
}
