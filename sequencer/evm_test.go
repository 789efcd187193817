package sequencer

import (
	"context"
	"crypto/ecdsa"
	"fmt"
	"math/big"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/consensys/gnark-crypto/ecc"
	"github.com/consensys/gnark/backend/groth16"
	"github.com/consensys/gnark/frontend"
	"github.com/consensys/gnark/frontend/cs/r1cs"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/stretchr/testify/require"

	"github.com/gristmill-zk/gristmill/chain"
	"github.com/gristmill-zk/gristmill/chain/bindings"
	"github.com/gristmill-zk/gristmill/chain/devnet"
	"github.com/gristmill-zk/gristmill/chain/txmgr"
	"github.com/gristmill-zk/gristmill/internal/groth16vk"
	"github.com/gristmill-zk/gristmill/wire"
)

// threeInputs is the least circuit a project version takes.
type threeInputs struct {
	Binding, DataCommitment, Output frontend.Variable `gnark:",public"`
	A                               frontend.Variable
}

func (c *threeInputs) Define(api frontend.API) error {
	api.AssertIsEqual(api.Mul(api.Add(c.Binding, c.A), c.DataCommitment), c.Output)
	return nil
}

// evmWorld is the contracts on a devnet with one project.
type evmWorld struct {
	t      *testing.T
	net    *devnet.Devnet
	sender *txmgr.Manager
	secret *ecdsa.PrivateKey
	d      *chain.Deployment
	sent   int
}

func newEVMWorld(t *testing.T) *evmWorld {
	t.Helper()
	w := &evmWorld{t: t}
	var err error
	w.secret, err = crypto.GenerateKey()
	require.NoError(t, err)
	wei, _ := new(big.Int).SetString("1000000000000000000000", 10)
	cfg := rigLogger()
	w.net, err = devnet.Start(t.Context(), devnet.Config{DataDir: t.TempDir(), Logger: cfg,
		Alloc: map[common.Address]*big.Int{crypto.PubkeyToAddress(w.secret.PublicKey): wei}})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, w.net.Close()) })
	client, err := chain.Dial(t.Context(), w.net.URL())
	require.NoError(t, err)
	t.Cleanup(client.Close)
	w.sender, err = txmgr.New(t.Context(), txmgr.Config{Client: client, DB: filepath.Join(t.TempDir(), "tx.db"), Key: w.secret,
		Poll: 50 * time.Millisecond, Logger: cfg})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); _ = w.sender.Run(ctx, func() {}) }()
	t.Cleanup(sync.OnceFunc(func() { cancel(); <-ended; require.NoError(t, w.sender.Close()) }))
	registry, err := chain.Deploy(t.Context(), client, w.sender, chain.DeployParams{
		GenesisBits: 0x1e7fffff, TargetSeconds: 10, HalfLife: 300, MaxTasks: 16,
		BlockReward: big.NewInt(1e18), MinStake: big.NewInt(1e16), BondPerTask: big.NewInt(1e15),
	})
	require.NoError(t, err)
	w.d, err = chain.Open(t.Context(), client, registry)
	require.NoError(t, err)
	return w
}

func (w *evmWorld) send(to *common.Address, data []byte) common.Address {
	w.t.Helper()
	w.sent++
	r, err := w.sender.Send(w.t.Context(), chain.Request{Key: fmt.Sprint("test/", w.sent), To: to, Data: data})
	require.NoError(w.t, err)
	return r.ContractAddress
}

// project makes project 1, funded for ten tasks, with one device.
func (w *evmWorld) project(device wire.Hash) {
	w.t.Helper()
	ccs, err := frontend.Compile(ecc.BN254.ScalarField(), r1cs.NewBuilder, &threeInputs{})
	require.NoError(w.t, err)
	_, vk, err := groth16.Setup(ccs)
	require.NoError(w.t, err)
	key, err := groth16vk.EncodeVK(vk)
	require.NoError(w.t, err)
	parts, self := w.d.Parts(), w.sender.Address()
	token := w.send(nil, append(common.FromHex(bindings.GristTokenMetaData.Bin), bindings.NewGristToken().PackConstructor(self)...))
	projects := bindings.NewProjectRegistry()
	w.send(&parts.Keys, bindings.NewVerifyingKeys().PackRegister(key))
	w.send(&parts.Projects, projects.PackCreate())
	w.send(&parts.Projects, projects.PackAddVersion(1, bindings.Version{
		VkId: groth16vk.ID(key), BundleURI: "file:x", RewardToken: token, Reward: big.NewInt(100), BatchSize: 4, PayloadLimit: 64,
		AcceptWindow: 600, ProveWindow: 600, RecallGrace: 600, SequencerShareBps: 1000, Outputs: 1,
	}))
	w.send(&parts.Projects, projects.PackSetSequencer(1, self, true))
	w.send(&parts.Devices, bindings.NewDeviceRegistry().PackSetDevices(1, [][32]byte{device}, true))
	w.send(&token, bindings.NewGristToken().PackMint(self, big.NewInt(1000)))
	w.send(&token, bindings.NewGristToken().PackApprove(parts.Escrow, big.NewInt(1000)))
	w.send(&parts.Escrow, bindings.NewEscrow().PackDeposit(1, token, big.NewInt(1000)))
}

// TestStartOfTheDeployment finds the block that the registry came with.
func TestStartOfTheDeployment(t *testing.T) {
	t.Parallel()
	w := newEVMWorld(t)
	start, err := w.d.Start(t.Context())
	require.NoError(t, err)
	for block, want := range map[uint64]bool{start - 1: false, start: true} {
		code, err := w.d.Client().CodeAt(t.Context(), w.d.Registry(), new(big.Int).SetUint64(block))
		require.NoError(t, err)
		require.Equal(t, want, len(code) > 0, block)
	}
	again, err := w.d.Start(t.Context())
	require.NoError(t, err)
	require.Equal(t, start, again)
}

// TestOnTheRealContracts mines messages into blocks that the contracts take,
// has a task recalled and a block reorganised away, and finds the messages in a
// live task of the same body each time.
func TestOnTheRealContracts(t *testing.T) {
	t.Parallel()
	w := newEVMWorld(t)
	d := newDevice(t, wire.SchemeEdDSABN254, 1)
	real, err := OpenChain(EVMConfig{Deployment: w.d, Sender: w.sender, Poll: 50 * time.Millisecond, Logger: rigLogger()})
	require.NoError(t, err)
	r := newRig(t, func(c *Config) {
		c.Chain, c.Poll, c.MineEmpty = real, 50*time.Millisecond, true
		c.Key = [32]byte(crypto.FromECDSA(w.secret))
	})
	message := func(nonce uint64) *wire.Message {
		m := &wire.Message{Project: 1, Nonce: nonce, Time: 1, Payload: []byte("reading")}
		require.NoError(t, d.signer.Sign(real.Deployment(), 64, m))
		return m
	}
	require.Equal(t, wire.RejectUnknownProject, wire.CodeOf(r.seq.Accept(t.Context(), message(1))[0].Err))
	w.project(wire.Hash{9})
	r.eventually("the project is seen", func() bool {
		return wire.CodeOf(r.seq.Accept(t.Context(), message(1))[0].Err) == wire.RejectDeviceNotAllowed
	})
	devices := w.d.Parts().Devices
	w.send(&devices, bindings.NewDeviceRegistry().PackSetDevices(1, [][32]byte{d.id}, true))
	var taken Accepted
	r.eventually("the device is seen", func() bool { taken = r.seq.Accept(t.Context(), message(1))[0]; return taken.Err == nil })

	stop := r.mine()
	r.reachesWithin(stateMined, taken.ID)
	first := *r.state(taken.ID).TaskID
	record, err := w.d.Task(t.Context(), first)
	require.NoError(t, err)
	require.Equal(t, chain.StatusWaiting, record.Status)
	require.Equal(t, r.seq.Address(), record.Sequencer)

	tasks := w.d.Parts().Tasks
	recall, err := chain.PackRecall(first)
	require.NoError(t, err)
	w.send(&tasks, recall)
	r.eventuallyLong("a new task of the same body", func() bool {
		v := r.state(taken.ID)
		return v.State == stateMined && *v.TaskID != first
	})
	second := r.state(taken.ID)
	require.Equal(t, record.DataHash, *second.DataHash)
	stop()
	task, err := loadTask(t.Context(), r.seq.db.Read(), *second.TaskID)
	require.NoError(t, err)
	require.Equal(t, "waiting", task.State)

	require.NoError(t, w.net.Reorg(4))
	r.mine()
	r.eventuallyLong("live again", func() bool {
		v := r.state(taken.ID)
		if v.State != stateMined {
			return false
		}
		record, err := w.d.Task(t.Context(), *v.TaskID)
		return err == nil && record.Status == chain.StatusWaiting && record.DataHash == *v.DataHash
	})
	require.Positive(t, countEvents[BlockLanded](r))
	blocks, err := loadBlocks(t.Context(), r.seq.db.Read(), 1<<62, 1000)
	require.NoError(t, err)
	for i := 1; i < len(blocks); i++ {
		require.Equal(t, blocks[i].Height+1, blocks[i-1].Height)
	}
}
