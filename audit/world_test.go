package audit_test

import (
	"context"
	"fmt"
	"math/big"
	"sync"
	"testing"

	"github.com/consensys/gnark-crypto/ecc"
	"github.com/consensys/gnark/backend/groth16"
	"github.com/consensys/gnark/constraint"
	"github.com/consensys/gnark/frontend"
	"github.com/consensys/gnark/frontend/cs/r1cs"
	"github.com/ethereum/go-ethereum/common"
	"github.com/stretchr/testify/require"

	"github.com/gristmill-zk/gristmill/audit"
	"github.com/gristmill-zk/gristmill/chain"
	"github.com/gristmill-zk/gristmill/internal/groth16vk"
	"github.com/gristmill-zk/gristmill/wire"
)

// world is a deployment written by hand: blocks really mined (at an easy
// difficulty), messages really signed, proofs really made.
type world struct {
	t       *testing.T
	params  audit.Params
	events  []chain.Event
	version chain.Version
	vk      []byte
	bodies  map[wire.Hash][]byte
	hash    wire.Hash
	height  uint64
	time    uint32
	bits    uint32
	tx      uint64
	stored  *wire.ProofEnvelope // the prover's record of the one settled task
	damaged bool                // it cannot be read any more
	blocks  map[uint64]audit.StoredBlock
	escrow  func(free, withheld *big.Int)
	secret  [32]byte
	device  wire.Signer
	nonce   uint64
	aserts  wire.ASERT
}

const (
	easy       = 0x207fffff
	project    = 1
	limit      = 31
	batch      = 2
	genesis    = 1_700_000_000
	reward     = 1000
	blockPrize = 7
)

var (
	operator = wire.Address{0xaa}
	prover   = wire.Address{0xbb}
	payTo    = wire.Address{0xcc}
	token    = common.Address{0xdd}
	treasury = wire.Address{0xee}
	payee    = wire.Address{0xbc} // of the prover
)

// square proves that its output is the square of the commitment's low part: a
// circuit of the right shape that costs nothing.
type square struct {
	Binding    frontend.Variable `gnark:",public"`
	Commitment frontend.Variable `gnark:",public"`
	Out        frontend.Variable `gnark:",public"`
}

func (c *square) Define(api frontend.API) error {
	api.AssertIsEqual(c.Out, api.Mul(c.Commitment, c.Commitment))
	api.AssertIsDifferent(c.Binding, 0)
	return nil
}

type keys struct {
	cs constraint.ConstraintSystem
	pk groth16.ProvingKey
	vk []byte
}

var circuit = sync.OnceValue(func() keys {
	compiled, err := frontend.Compile(ecc.BN254.ScalarField(), r1cs.NewBuilder, &square{})
	if err != nil {
		panic(err)
	}
	pk, vk, err := groth16.Setup(compiled)
	if err != nil {
		panic(err)
	}
	raw, err := groth16vk.EncodeVK(vk)
	if err != nil {
		panic(err)
	}
	return keys{compiled, pk, raw}
})

func newWorld(t *testing.T) *world {
	t.Helper()
	d := wire.Deployment{ChainID: 31337, Registry: wire.Address{1}}
	w := &world{
		t: t, bodies: map[wire.Hash][]byte{}, hash: wire.GenesisHash(d), time: genesis, bits: easy, vk: circuit().vk,
		params: audit.Params{
			Deployment: d, Minter: wire.Address{2}, GenesisTime: genesis, GenesisBits: easy, TargetSeconds: 10, HalfLife: 100,
			PowLimit: easy, MaxTasks: 8, ProtocolShareBps: 200, Treasury: treasury,
		},
		secret: [32]byte{31: 9},
		aserts: wire.ASERT{ParentTime: genesis - 10, Bits: easy, TargetSeconds: 10, HalfLife: 100, PowLimit: easy},
	}
	w.version = chain.Version{
		VkId: groth16vk.ID(w.vk), RewardToken: token, Reward: big.NewInt(reward), BatchSize: batch, PayloadLimit: limit,
		AcceptWindow: 60, ProveWindow: 60, SequencerShareBps: 1000, Outputs: 1,
	}
	var err error
	w.device, err = wire.NewSigner(wire.SchemeEdDSABN254, make([]byte, 32))
	require.NoError(t, err)
	id, err := w.device.Key().ID()
	require.NoError(t, err)
	signer, err := wire.SecretAddress(w.secret[:])
	require.NoError(t, err)
	w.inTx(func(at chain.Pos) {
		w.add(chain.VersionAdded{Pos: at, Project: project, Version: 1, VKID: w.version.VkId})
		w.add(chain.SequencerListed{Pos: at, Project: project, Key: signer, Allowed: true})
		w.add(chain.ProverJoined{Pos: at, Operator: prover, Beneficiary: payee, Capacity: 4})
		w.add(chain.DeviceSet{Pos: at, Project: project, Device: id, Allowed: true})
		w.add(chain.Deposited{Pos: at, Project: project, Token: wire.Address(token), Amount: big.NewInt(100 * reward)})
	})
	return w
}

// inTx gives a new transaction's place; each is a block of its own, one second
// after the one before.
func (w *world) inTx(do func(at chain.Pos)) {
	w.tx++
	do(chain.Pos{Block: w.tx, Tx: common.BigToHash(new(big.Int).SetUint64(w.tx))})
}

func (w *world) add(e chain.Event) { w.events = append(w.events, e) }

// task makes a body of n fresh messages and an authorised task of it.
func (w *world) task(n int) wire.Task {
	w.t.Helper()
	body := wire.Body{Project: project, Version: 1}
	for range n {
		w.nonce++
		m := wire.Message{Project: project, Nonce: w.nonce, Time: genesis * 1000, Payload: fmt.Appendf(nil, "reading %d", w.nonce)}
		require.NoError(w.t, w.device.Sign(w.params.Deployment, limit, &m))
		body.Messages = append(body.Messages, m)
	}
	return w.taskOf(body)
}

func (w *world) taskOf(body wire.Body) wire.Task {
	w.t.Helper()
	raw, err := body.MarshalBinary()
	require.NoError(w.t, err)
	commitment, err := body.Commitment(w.params.Deployment, batch, limit)
	require.NoError(w.t, err)
	task := wire.Task{
		Project: project, Version: 1, Count: uint32(len(body.Messages)), DataCommitment: wire.ElementHash(commitment),
		DataHash: wire.DataHash(raw), Size: uint32(len(raw)), Authorisation: wire.Authorisation{Expiry: genesis + 1_000_000},
	}
	require.NoError(w.t, task.Authorise(w.params.Deployment, w.secret))
	w.bodies[task.DataHash] = raw
	return task
}

// mine appends a block with tasks; answer says what the task manager does with
// each, in the same transaction. It returns the tasks' ids.
func (w *world) mine(answer func(at chain.Pos, id wire.Hash), tasks ...wire.Task) []wire.Hash {
	w.t.Helper()
	d := w.params.Deployment
	coinbase := wire.Coinbase{Minter: w.params.Minter, Operator: operator, Beneficiary: payTo, Height: w.height + 1,
		TaskCount: uint32(len(tasks)), ExtraNonce: make([]byte, 8)}
	encoded, err := coinbase.Encode(d)
	require.NoError(w.t, err)
	leaves := [][]byte{encoded}
	ids := make([]wire.Hash, len(tasks))
	for i := range tasks {
		leaves = append(leaves, tasks[i].Leaf(d, w.hash))
		ids[i] = tasks[i].ID(d, w.hash)
	}
	root, err := wire.MerkleRoot(leaves)
	require.NoError(w.t, err)
	header := wire.Header{Version: wire.HeaderVersion, Prev: w.hash, MerkleRoot: root, Time: w.time + 5, Bits: w.aserts.NextBits(w.height, int64(w.time))}
	for header.CheckWork() != nil {
		header.Nonce++
	}
	w.hash, w.height, w.time = header.Hash(), w.height+1, header.Time
	raw := header.Encode()
	w.inTx(func(at chain.Pos) {
		w.add(chain.RewardCredited{Pos: at, Beneficiary: payTo, Amount: big.NewInt(blockPrize)})
		w.add(chain.BlockMined{Pos: at, Height: w.height, Hash: w.hash, Operator: operator, Beneficiary: payTo,
			Tasks: uint32(len(tasks)), Reward: big.NewInt(blockPrize), Header: raw[:], Coinbase: encoded})
		for i, id := range ids {
			w.add(chain.TaskMined{Pos: at, TaskID: id, Height: w.height, Operator: operator, Task: tasks[i]})
			answer(at, id)
		}
	})
	return ids
}

// offered is the usual answer to a task.
func (w *world) offered(at chain.Pos, id wire.Hash) {
	w.add(chain.TaskOffered{Pos: at, TaskID: id, Prover: prover, Attempt: 1, AcceptBy: genesis + 60})
}

func (w *world) skipped(why chain.SkipReason) func(chain.Pos, wire.Hash) {
	return func(at chain.Pos, id wire.Hash) { w.add(chain.TaskSkipped{Pos: at, TaskID: id, Reason: why}) }
}

func (w *world) accept(id wire.Hash) {
	w.inTx(func(at chain.Pos) {
		w.add(chain.Withheld{Pos: at, TaskID: id, Project: project, Token: wire.Address(token), Amount: big.NewInt(reward)})
		w.add(chain.TaskAccepted{Pos: at, TaskID: id, Prover: prover, Deadline: genesis + 120})
	})
}

// settle proves a task and has it paid.
func (w *world) settle(id wire.Hash, task wire.Task) {
	w.t.Helper()
	commitment, err := task.DataCommitment.Element()
	require.NoError(w.t, err)
	binding := wire.Binding(w.params.Deployment, id, prover)
	out := commitment
	out.Square(&out)
	witness, err := frontend.NewWitness(&square{Binding: binding, Commitment: commitment, Out: out}, ecc.BN254.ScalarField())
	require.NoError(w.t, err)
	made, err := groth16.Prove(circuit().cs, circuit().pk, witness)
	require.NoError(w.t, err)
	proof, err := groth16vk.EncodeProof(made)
	require.NoError(w.t, err)
	signer, err := wire.SecretAddress(w.secret[:])
	require.NoError(w.t, err)
	w.inTx(func(at chain.Pos) {
		for _, p := range []struct {
			to     wire.Address
			amount int64
		}{{payee, 880}, {signer, 100}, {treasury, 20}} {
			w.add(chain.Paid{Pos: at, TaskID: id, Account: p.to, Token: wire.Address(token), Amount: big.NewInt(p.amount)})
		}
		w.add(chain.TaskSettled{Pos: at, TaskID: id, Project: project, Prover: prover, Proof: proof, Outputs: []wire.Hash{wire.ElementHash(out)},
			ProverAmount: big.NewInt(880), SequencerAmount: big.NewInt(100), ProtocolAmount: big.NewInt(20)})
	})
}

// whole is a deployment with an empty block, a settled task, a skipped one and
// one that waits.
func whole(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	w.mine(nil)
	first := w.task(2)
	id := w.mine(w.offered, first)[0]
	w.accept(id)
	w.settle(id, first)
	late := w.task(1)
	late.Authorisation.Expiry = genesis - 1
	require.NoError(t, late.Authorise(w.params.Deployment, w.secret))
	w.mine(w.skipped(chain.SkipExpired), late)
	w.mine(func(at chain.Pos, id wire.Hash) { w.add(chain.TaskWaiting{Pos: at, TaskID: id}) }, w.task(1))
	return w
}

func (w *world) audit() (audit.Report, error) {
	return audit.Run(context.Background(), audit.Config{Source: w})
}

// The world is the source of its own audit.

func (w *world) Params(context.Context) (audit.Params, error) { return w.params, nil }

func (w *world) Events(_ context.Context, yield func(chain.Event) error) (audit.End, error) {
	for _, e := range w.events {
		if err := yield(e); err != nil {
			return audit.End{}, err
		}
	}
	return audit.End{Number: w.tx}, nil
}

func (w *world) Version(context.Context, uint64, uint32) (chain.Version, error) {
	return w.version, nil
}

func (w *world) VerifyingKey(context.Context, wire.Hash) ([]byte, error) { return w.vk, nil }

func (w *world) Body(_ context.Context, hash wire.Hash) ([]byte, error) {
	body, ok := w.bodies[hash]
	if !ok {
		return nil, audit.ErrNoBody
	}
	return body, nil
}

func (w *world) StoredProof(context.Context, wire.Hash) (*wire.ProofEnvelope, error) {
	switch {
	case w.damaged:
		return nil, fmt.Errorf("its checksum is another: %w", audit.ErrDamaged)
	case w.stored == nil:
		return nil, audit.ErrNoProof
	}
	return w.stored, nil
}

func (w *world) StoredBlocks(_ context.Context, height uint64) ([]audit.StoredBlock, error) {
	if b, is := w.blocks[height]; is {
		return []audit.StoredBlock{b}, nil
	}
	return nil, nil
}

func (w *world) BlockTime(_ context.Context, number uint64) (uint64, error) {
	return genesis + 10*number, nil
}

func (w *world) Tip(context.Context, audit.End) (wire.Hash, uint64, error) {
	return w.hash, w.height, nil
}

// Escrow adds up what the worlds of these tests move.
func (w *world) Escrow(context.Context, audit.End, uint64, wire.Address) (free, withheld *big.Int, err error) {
	free, withheld = new(big.Int), new(big.Int)
	for _, e := range w.events {
		switch e := e.(type) {
		case chain.Deposited:
			free.Add(free, e.Amount)
		case chain.Withheld:
			free.Sub(free, e.Amount)
			withheld.Add(withheld, e.Amount)
		case chain.TaskSettled:
			withheld.Sub(withheld, big.NewInt(reward))
		}
	}
	if w.escrow != nil {
		w.escrow(free, withheld)
	}
	return free, withheld, nil
}

var _ audit.Source = (*world)(nil)
