package chain_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"fmt"
	"log/slog"
	"math/big"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/consensys/gnark-crypto/ecc"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/consensys/gnark/backend/groth16"
	"github.com/consensys/gnark/constraint"
	"github.com/consensys/gnark/frontend"
	"github.com/consensys/gnark/frontend/cs/r1cs"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"golang.org/x/sync/errgroup"

	"github.com/gristmill-zk/gristmill/chain"
	"github.com/gristmill-zk/gristmill/chain/bindings"
	"github.com/gristmill-zk/gristmill/chain/cursor"
	"github.com/gristmill-zk/gristmill/chain/devnet"
	"github.com/gristmill-zk/gristmill/chain/txmgr"
	"github.com/gristmill-zk/gristmill/internal/groth16vk"
	"github.com/gristmill-zk/gristmill/wire"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction("github.com/ethereum/go-ethereum/core.(*txSenderCacher).cache"),
		goleak.IgnoreAnyFunction("github.com/syndtr/goleveldb/leveldb.(*DB).mpoolDrain"),
	)
}

var quiet = slog.New(slog.DiscardHandler)

const bits = 0x1e7fffff // 2^17 hashes a block

// squares is the least circuit with our public inputs: the output is a square
// and every public input stands in a constraint.
type squares struct {
	Binding        frontend.Variable `gnark:",public"`
	DataCommitment frontend.Variable `gnark:",public"`
	Output         frontend.Variable `gnark:",public"`
	Root, Product  frontend.Variable
}

func (c *squares) Define(api frontend.API) error {
	api.AssertIsEqual(api.Mul(c.Root, c.Root), c.Output)
	api.AssertIsEqual(api.Mul(api.Add(c.Binding, c.Root), c.DataCommitment), c.Product)
	return nil
}

type circuit struct {
	ccs constraint.ConstraintSystem
	pk  groth16.ProvingKey
	vk  groth16.VerifyingKey
}

func newCircuit(t *testing.T) circuit {
	t.Helper()
	ccs, err := frontend.Compile(ecc.BN254.ScalarField(), r1cs.NewBuilder, &squares{})
	require.NoError(t, err)
	pk, vk, err := groth16.Setup(ccs)
	require.NoError(t, err)
	return circuit{ccs, pk, vk}
}

func (c circuit) prove(t *testing.T, binding, commitment fr.Element, root uint64) (wire.Proof, []wire.Hash) {
	t.Helper()
	var r, out, product fr.Element
	r.SetUint64(root)
	out.Square(&r)
	product.Add(&binding, &r)
	product.Mul(&product, &commitment)
	w, err := frontend.NewWitness(&squares{Binding: binding, DataCommitment: commitment, Output: out, Root: r, Product: product},
		ecc.BN254.ScalarField())
	require.NoError(t, err)
	proof, err := groth16.Prove(c.ccs, c.pk, w)
	require.NoError(t, err)
	p, err := groth16vk.EncodeProof(proof)
	require.NoError(t, err)
	return p, []wire.Hash{wire.ElementHash(out)}
}

type world struct {
	net    *devnet.Devnet
	client *chain.Client
	sender *txmgr.Manager
	secret *ecdsa.PrivateKey
	d      *chain.Deployment
	token  common.Address
	n      int
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{}
	var err error
	w.secret, err = crypto.GenerateKey()
	require.NoError(t, err)
	wei, _ := new(big.Int).SetString("1000000000000000000000", 10)
	w.net, err = devnet.Start(t.Context(), devnet.Config{DataDir: t.TempDir(), Logger: quiet,
		Alloc: map[common.Address]*big.Int{crypto.PubkeyToAddress(w.secret.PublicKey): wei}})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, w.net.Close()) })
	w.client, err = chain.Dial(t.Context(), w.net.URL())
	require.NoError(t, err)
	t.Cleanup(w.client.Close)
	w.sender, err = txmgr.New(t.Context(), txmgr.Config{Client: w.client, DB: filepath.Join(t.TempDir(), "tx.db"), Key: w.secret, Logger: quiet,
		Poll: 50 * time.Millisecond})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.sender.Run(ctx, func() {}) }()
	t.Cleanup(func() {
		cancel()
		require.ErrorIs(t, <-ended, context.Canceled)
		require.NoError(t, w.sender.Close())
	})
	return w
}

func params() chain.DeployParams {
	return chain.DeployParams{
		GenesisBits: bits, TargetSeconds: 10, HalfLife: 300, MaxTasks: 16,
		BlockReward: big.NewInt(1e18), MinStake: big.NewInt(1e16), BondPerTask: big.NewInt(1e15),
	}
}

func (w *world) self() wire.Address { return chain.WireAddress(w.sender.Address()) }

func (w *world) send(t *testing.T, to common.Address, data []byte, value *big.Int) *types.Receipt {
	t.Helper()
	r, err := w.trySend(t.Context(), to, data, value)
	require.NoError(t, err)
	return r
}

func (w *world) trySend(ctx context.Context, to common.Address, data []byte, value *big.Int) (*types.Receipt, error) {
	w.n++
	return w.sender.Send(ctx, chain.Request{Key: fmt.Sprint("test/", w.n), To: &to, Data: data, Value: value})
}

// mint finds a block over the tip with these tasks and sends it.
func (w *world) mint(t *testing.T, tasks ...wire.Task) (*types.Receipt, error) {
	t.Helper()
	tip, err := w.d.Tip(t.Context())
	require.NoError(t, err)
	coinbase := wire.Coinbase{
		Minter: chain.WireAddress(w.d.Parts().Minter), Operator: w.self(), Beneficiary: w.self(),
		Height: tip.Height + 1, TaskCount: uint32(len(tasks)), ExtraNonce: make([]byte, 8),
	}
	raw, err := coinbase.Encode(w.d.Wire())
	require.NoError(t, err)
	leaves := [][]byte{raw}
	for _, task := range tasks {
		leaves = append(leaves, task.Leaf(w.d.Wire(), tip.Hash))
	}
	root, err := wire.MerkleRoot(leaves)
	require.NoError(t, err)
	h := wire.Header{Version: wire.HeaderVersion, Prev: tip.Hash, MerkleRoot: root,
		Time: max(uint32(time.Now().Unix()), tip.Time+1), Bits: tip.NextBits}
	for h.CheckWork() != nil {
		h.Nonce++
	}
	data, err := chain.PackMint(h, raw, tasks)
	require.NoError(t, err)
	return w.trySend(t.Context(), w.d.Parts().Minter, data, nil)
}

// project sets up a funded project with one device, this account as its
// sequencer and its prover.
func (w *world) project(t *testing.T, c circuit, device wire.Hash) {
	t.Helper()
	parts, self := w.d.Parts(), w.sender.Address()
	key, err := groth16vk.EncodeVK(c.vk)
	require.NoError(t, err)
	r, err := w.sender.Send(t.Context(), chain.Request{Key: "token",
		Data: append(common.FromHex(bindings.GristTokenMetaData.Bin), bindings.NewGristToken().PackConstructor(self)...)})
	require.NoError(t, err)
	w.token = r.ContractAddress
	projects := bindings.NewProjectRegistry()
	amount := big.NewInt(1000)
	w.send(t, parts.Keys, bindings.NewVerifyingKeys().PackRegister(key), nil)
	w.send(t, parts.Projects, projects.PackCreate(), nil)
	w.send(t, parts.Projects, projects.PackAddVersion(1, bindings.Version{
		VkId: groth16vk.ID(key), BundleURI: "file:meter", RewardToken: w.token, Reward: big.NewInt(100),
		BatchSize: 4, PayloadLimit: 31, MaxWait: 1, AcceptWindow: 600, ProveWindow: 600, RecallGrace: 600,
		SequencerShareBps: 1000, Outputs: 1,
	}), nil)
	var g errgroup.Group
	for i, call := range []struct {
		to    common.Address
		data  []byte
		value *big.Int
	}{
		{parts.Projects, projects.PackSetSequencer(1, self, true), nil},
		{parts.Devices, bindings.NewDeviceRegistry().PackSetDevices(1, [][32]byte{device}, true), nil},
		{w.token, bindings.NewGristToken().PackMint(self, amount), nil},
		{w.token, bindings.NewGristToken().PackApprove(parts.Escrow, amount), nil},
		{parts.Provers, bindings.NewProverRegistry().PackJoin(self, 4), big.NewInt(1e17)},
	} {
		g.Go(func() error {
			_, err := w.sender.Send(t.Context(), chain.Request{Key: fmt.Sprint("setup/", i), To: &call.to, Data: call.data, Value: call.value})
			return err
		})
	}
	require.NoError(t, g.Wait())
	w.send(t, parts.Escrow, bindings.NewEscrow().PackDeposit(1, w.token, amount), nil)
	w.send(t, parts.Provers, bindings.NewProverRegistry().PackOptIn(1), nil)
}

func (w *world) task(t *testing.T, device wire.Signer) wire.Task {
	t.Helper()
	m := wire.Message{Project: 1, Nonce: 1, Time: uint64(time.Now().UnixMilli()), Payload: []byte("reading")}
	require.NoError(t, device.Sign(w.d.Wire(), 31, &m))
	body := wire.Body{Project: 1, Version: 1, Messages: []wire.Message{m}}
	raw, err := body.MarshalBinary()
	require.NoError(t, err)
	commitment, err := body.Commitment(w.d.Wire(), 4, 31)
	require.NoError(t, err)
	task := wire.Task{Project: 1, Version: 1, Count: 1, DataCommitment: wire.ElementHash(commitment),
		DataHash: wire.DataHash(raw), Size: uint32(len(raw)), Authorisation: wire.Authorisation{Expiry: uint64(time.Now().Add(time.Hour).Unix())}}
	require.NoError(t, task.Authorise(w.d.Wire(), [32]byte(crypto.FromECDSA(w.secret))))
	return task
}

func newDevice(t *testing.T) (wire.Signer, wire.Hash) {
	t.Helper()
	secret, err := wire.GenerateSecret(wire.SchemeEd25519, rand.Reader)
	require.NoError(t, err)
	s, err := wire.NewSigner(wire.SchemeEd25519, secret)
	require.NoError(t, err)
	id, err := s.Key().ID()
	require.NoError(t, err)
	return s, id
}

// TestWholePath deploys, mines a block with a task by real work, accepts it
// and settles it with a real proof, and reads all of it back as events.
func TestWholePath(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := newCircuit(t)
	began := time.Now()
	registry, err := chain.Deploy(t.Context(), w.client, w.sender, params())
	require.NoError(t, err)
	t.Logf("deployed in %s", time.Since(began))
	again, err := chain.Deploy(t.Context(), w.client, w.sender, params())
	require.NoError(t, err)
	require.Equal(t, registry, again, "a second deployment is the first")
	w.d, err = chain.Open(t.Context(), w.client, registry)
	require.NoError(t, err)

	tip, err := w.d.Tip(t.Context())
	require.NoError(t, err)
	require.Equal(t, wire.GenesisHash(w.d.Wire()), tip.Hash)
	require.EqualValues(t, bits, tip.NextBits)

	device, deviceID := newDevice(t)
	w.project(t, c, deviceID)
	w.send(t, w.d.Parts().Rewards, nil, big.NewInt(5e18))
	task := w.task(t, device)
	id := task.ID(w.d.Wire(), tip.Hash)
	minted, err := w.mint(t, task)
	require.NoError(t, err)
	record, err := w.d.Task(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, chain.StatusOffered, record.Status)
	require.Equal(t, w.self(), record.Prover)

	accept, err := chain.PackAccept([]wire.Hash{id})
	require.NoError(t, err)
	accepted := w.send(t, w.d.Parts().Tasks, accept, nil)
	var commitment fr.Element
	commitment.SetBytes(task.DataCommitment[:])
	proof, outputs := c.prove(t, wire.Binding(w.d.Wire(), id, w.self()), commitment, 12)

	wrong, err := chain.PackSettle(id, proof, []wire.Hash{{31: 143}})
	require.NoError(t, err)
	_, err = w.trySend(t.Context(), w.d.Parts().Tasks, wrong, nil)
	var revert *chain.RevertError
	require.ErrorAs(t, err, &revert)
	require.Equal(t, "InvalidProof", revert.Name)
	require.Equal(t, []any{[32]byte(id)}, revert.Args)

	settle, err := chain.PackSettle(id, proof, outputs)
	require.NoError(t, err)
	settled := w.send(t, w.d.Parts().Tasks, settle, nil)
	t.Logf("gas: mint of one task %d, accept %d, settle %d", minted.GasUsed, accepted.GasUsed, settled.GasUsed)
	w.checkReads(t, id, task, deviceID)
	w.checkEvents(t, id, task, proof, outputs)
}

func (w *world) checkReads(t *testing.T, id wire.Hash, task wire.Task, device wire.Hash) {
	t.Helper()
	ctx := t.Context()
	record, err := w.d.Task(ctx, id)
	require.NoError(t, err)
	require.Equal(t, chain.StatusSettled, record.Status)
	require.Equal(t, task.DataCommitment, record.DataCommitment)
	require.Equal(t, task.DataHash, record.DataHash)
	project, err := w.d.Project(ctx, 1)
	require.NoError(t, err)
	require.Equal(t, chain.ProjectInfo{ID: 1, Owner: w.self(), Version: 1}, project)
	for _, device := range []wire.Hash{device, {1}} {
		allowed, err := w.d.IsDeviceAllowed(ctx, 1, device)
		require.NoError(t, err)
		require.Equal(t, device != wire.Hash{1}, allowed)
	}
	listed, err := w.d.IsSequencer(ctx, 1, w.self())
	require.NoError(t, err)
	require.True(t, listed)
	free, err := w.d.FreeEscrow(ctx, 1, chain.WireAddress(w.token))
	require.NoError(t, err)
	require.EqualValues(t, 900, free.Int64())
	owed, err := w.d.OwedTokens(ctx, chain.WireAddress(w.token), w.self())
	require.NoError(t, err)
	require.EqualValues(t, 100, owed.Int64(), "one account is sequencer and prover")
	reward, err := w.d.OwedRewards(ctx, w.self())
	require.NoError(t, err)
	require.Equal(t, big.NewInt(1e18), reward)
	prover, err := w.d.Prover(ctx, w.self())
	require.NoError(t, err)
	require.EqualValues(t, 4, prover.Capacity)
	require.Zero(t, prover.Used)
	_, err = w.d.Version(ctx, 1, 2)
	require.ErrorIs(t, err, chain.ErrReverted)
	require.ErrorContains(t, err, "UnknownVersion")
	nobody, err := w.d.Task(ctx, wire.Hash{1})
	require.NoError(t, err)
	require.Equal(t, chain.StatusNone, nobody.Status)
}

func (w *world) checkEvents(t *testing.T, id wire.Hash, task wire.Task, proof wire.Proof, outputs []wire.Hash) {
	t.Helper()
	cur, err := cursor.New(cursor.Config{Client: w.client, Addresses: w.d.Addresses(), Logger: quiet})
	require.NoError(t, err)
	var events []chain.Event
	for pos, more := (cursor.Position{}), true; more; {
		b, err := cur.Next(t.Context(), pos)
		require.NoError(t, err)
		list, err := w.d.DecodeEvents(b.Logs)
		require.NoError(t, err)
		events, pos, more = append(events, list...), b.Next, b.More
	}
	seen := map[string]int{}
	for _, e := range events {
		seen[fmt.Sprintf("%T", e)]++
		switch e := e.(type) {
		case chain.TaskMined:
			require.Equal(t, task, e.Task)
			require.Equal(t, id, e.TaskID)
		case chain.TaskSettled:
			require.Equal(t, id, e.TaskID)
			require.Equal(t, proof, e.Proof)
			require.Equal(t, outputs, e.Outputs)
			require.EqualValues(t, 90, e.ProverAmount.Int64())
			require.EqualValues(t, 10, e.SequencerAmount.Int64())
		case chain.BlockMined:
			h, err := wire.ParseHeader(e.Header)
			require.NoError(t, err)
			require.Equal(t, e.Hash, h.Hash())
			coinbase, err := wire.ParseCoinbase(w.d.Wire(), e.Coinbase)
			require.NoError(t, err)
			require.EqualValues(t, 1, coinbase.TaskCount)
			require.NotZero(t, e.At().Block)
		}
	}
	for _, name := range []string{
		"KeyRegistered", "ProjectCreated", "VersionAdded", "SequencerListed", "DeviceSet", "Deposited", "ProverJoined", "Staked", "OptedIn",
		"Funded", "RewardCredited", "BlockMined", "TaskMined", "TaskOffered", "TaskAccepted", "Withheld", "TaskSettled", "Paid",
	} {
		require.NotZero(t, seen["chain."+name], "%s in %v", name, seen)
	}
}

// flaky is a sender whose process dies at the n-th transaction.
type flaky struct {
	chain.Sender
	left atomic.Int64
}

func (f *flaky) Send(ctx context.Context, r chain.Request) (*types.Receipt, error) {
	if f.left.Add(-1) < 0 {
		return nil, fmt.Errorf("killed before %s", r.Key)
	}
	return f.Sender.Send(ctx, r)
}

func TestDeployResumes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, err := chain.Deploy(t.Context(), w.client, w.sender, chain.DeployParams{})
	require.ErrorContains(t, err, "GenesisBits")
	var registry common.Address
	for left := 1; registry == (common.Address{}); left += 4 {
		f := &flaky{Sender: w.sender}
		f.left.Store(int64(left))
		registry, err = chain.Deploy(t.Context(), w.client, f, params())
		if err != nil {
			require.ErrorContains(t, err, "killed")
		}
	}
	_, err = chain.Open(t.Context(), w.client, registry)
	require.NoError(t, err)
	_, err = chain.Open(t.Context(), w.client, common.Address{1})
	require.ErrorIs(t, err, chain.ErrNoContract)
	nonce, err := w.client.NonceAt(t.Context(), w.sender.Address(), nil)
	require.NoError(t, err)
	require.EqualValues(t, 12, nonce, "eleven contracts and the seal, once each")
}
