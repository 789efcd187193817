package chain

import (
	"context"
	"errors"
	"fmt"
	"math/big"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"golang.org/x/sync/errgroup"

	"github.com/gristmill-zk/gristmill/chain/bindings"
)

// DeployParams are the constants of a new deployment. They are part of the
// transactions, so a deployment that was interrupted must be resumed with the
// same ones.
type DeployParams struct {
	// GenesisTime is when the chain of blocks begins, unix seconds; 0 means
	// the time of the EVM block that holds the registry.
	GenesisTime uint32
	// GenesisBits is the difficulty of the first block and PowLimit the
	// easiest ever asked for, at most 2^239; PowLimit 0 means GenesisBits.
	GenesisBits, PowLimit uint32
	// TargetSeconds between blocks, and HalfLife, the seconds behind or ahead
	// of schedule that halve or double the difficulty.
	TargetSeconds, HalfLife uint32
	// MaxTasks is the most tasks a block may carry.
	MaxTasks uint16
	// BlockReward is paid per block while the pool lasts, wei.
	BlockReward *big.Int
	// MinStake is what joining as a prover takes and BondPerTask what each
	// task held locks, wei.
	MinStake, BondPerTask *big.Int
	// MinAcceptWindow and MinProveWindow are the least windows, in seconds, that
	// a project may give its provers; 0 means 30 and 60. With shorter ones a
	// project could leave provers idle, or take their bonds, at no risk. On a
	// chain of one's own anything from 1 will do.
	MinAcceptWindow, MinProveWindow uint32
	// Treasury gets ProtocolShareBps 1/10000 of every reward; the zero address
	// is allowed with a share of 0.
	Treasury         common.Address
	ProtocolShareBps uint16
}

func (p DeployParams) validate() error {
	switch {
	case p.GenesisBits == 0:
		return errors.New("chain: DeployParams.GenesisBits is 0")
	case p.TargetSeconds == 0:
		return errors.New("chain: DeployParams.TargetSeconds is 0")
	case p.HalfLife == 0:
		return errors.New("chain: DeployParams.HalfLife is 0")
	case p.MaxTasks == 0:
		return errors.New("chain: DeployParams.MaxTasks is 0")
	case p.BlockReward == nil || p.BlockReward.Sign() < 0:
		return errors.New("chain: DeployParams.BlockReward is no amount of wei")
	case p.BondPerTask == nil || p.BondPerTask.Sign() <= 0:
		return errors.New("chain: DeployParams.BondPerTask is not above 0")
	case p.MinStake == nil || p.MinStake.Cmp(p.BondPerTask) < 0:
		return errors.New("chain: DeployParams.MinStake is below BondPerTask")
	}
	return nil
}

// Least windows of a deployment that does not say, in seconds: an offer must
// outlast a few blocks and the fetching of its data, a proof must be makeable.
const (
	defaultMinAcceptWindow = 30
	defaultMinProveWindow  = 60
)

// HeaderTimer tells the time of the block a transaction landed in; *Client has
// it.
type HeaderTimer interface {
	BlockRef(ctx context.Context, number *big.Int) (BlockRef, error)
}

// Deploy puts a whole deployment on chain and seals it. Every transaction has
// a key "deploy/<part>", so calling it again goes on where it was interrupted
// and, when all is there, only says where. c is needed when p.GenesisTime is
// 0.
func Deploy(ctx context.Context, c HeaderTimer, from Sender, p DeployParams) (common.Address, error) {
	if err := p.validate(); err != nil {
		return common.Address{}, err
	}
	if p.PowLimit == 0 {
		p.PowLimit = p.GenesisBits
	}
	if p.MinAcceptWindow == 0 {
		p.MinAcceptWindow = defaultMinAcceptWindow
	}
	if p.MinProveWindow == 0 {
		p.MinProveWindow = defaultMinProveWindow
	}
	run := &deploying{from: from, params: p}
	if err := run.all(ctx, c); err != nil {
		return common.Address{}, fmt.Errorf("chain: deploy: %w", err)
	}
	return run.registry, nil
}

type deploying struct {
	from     Sender
	params   DeployParams
	registry common.Address
	block    *big.Int // that holds the registry
	parts    Parts
}

// all sends what can share a block together.
func (d *deploying) all(ctx context.Context, c HeaderTimer) error {
	p := d.params
	err := together(ctx,
		func(ctx context.Context) error { return d.root(ctx) },
		d.part("keys", &bindings.VerifyingKeysMetaData.Bin, &d.parts.Keys, nil),
		d.part("sequencers", &bindings.SequencerRegistryMetaData.Bin, &d.parts.Sequencers, nil))
	if err != nil {
		return err
	}
	if p.GenesisTime, err = d.genesisTime(ctx, c); err != nil {
		return err
	}
	err = together(ctx,
		d.part("verifier", &bindings.Groth16VerifierMetaData.Bin, &d.parts.Verifier, bindings.NewGroth16Verifier().PackConstructor(d.parts.Keys)),
		d.part("projects", &bindings.ProjectRegistryMetaData.Bin, &d.parts.Projects,
			bindings.NewProjectRegistry().PackConstructor(d.parts.Keys, p.MinAcceptWindow, p.MinProveWindow)),
		d.part("rewards", &bindings.RewardPoolMetaData.Bin, &d.parts.Rewards, bindings.NewRewardPool().PackConstructor(d.registry, p.BlockReward)))
	if err != nil {
		return err
	}
	err = together(ctx,
		d.part("devices", &bindings.DeviceRegistryMetaData.Bin, &d.parts.Devices, bindings.NewDeviceRegistry().PackConstructor(d.parts.Projects)),
		d.part("provers", &bindings.ProverRegistryMetaData.Bin, &d.parts.Provers,
			bindings.NewProverRegistry().PackConstructor(d.registry, d.parts.Projects, p.MinStake, p.BondPerTask)),
		d.part("escrow", &bindings.EscrowMetaData.Bin, &d.parts.Escrow,
			bindings.NewEscrow().PackConstructor(d.registry, d.parts.Projects, p.Treasury, p.ProtocolShareBps)))
	if err != nil {
		return err
	}
	err = d.part("tasks", &bindings.TaskManagerMetaData.Bin, &d.parts.Tasks, bindings.NewTaskManager().PackConstructor(
		d.registry, d.parts.Projects, d.parts.Provers, d.parts.Escrow, d.parts.Verifier))(ctx)
	if err != nil {
		return err
	}
	err = d.part("minter", &bindings.BlockMinterMetaData.Bin, &d.parts.Minter, bindings.NewBlockMinter().PackConstructor(
		d.registry, d.parts.Tasks, d.parts.Rewards, bindings.MinterParams{
			GenesisTime: p.GenesisTime, GenesisBits: p.GenesisBits, TargetSeconds: p.TargetSeconds,
			HalfLife: p.HalfLife, MaxTasks: p.MaxTasks, PowLimit: p.PowLimit,
		}))(ctx)
	if err != nil {
		return err
	}
	_, err = d.from.Send(ctx, Request{Key: "deploy/seal", To: &d.registry, Data: bindings.NewRegistry().PackSeal(d.parts)})
	return err
}

func (d *deploying) root(ctx context.Context) error {
	data, err := hexutil.Decode(bindings.RegistryMetaData.Bin)
	if err != nil {
		return fmt.Errorf("registry: %w", err)
	}
	r, err := d.from.Send(ctx, Request{Key: "deploy/registry", Data: data})
	if err != nil {
		return err
	}
	d.registry, d.block = r.ContractAddress, r.BlockNumber
	return nil
}

// genesisTime is the time asked for or, for 0, that of the registry's block.
func (d *deploying) genesisTime(ctx context.Context, c HeaderTimer) (uint32, error) {
	if d.params.GenesisTime != 0 {
		return d.params.GenesisTime, nil
	}
	ref, err := c.BlockRef(ctx, d.block)
	return uint32(ref.Time), err
}

// part deploys one contract and notes its address.
func (d *deploying) part(name string, bin *string, at *common.Address, args []byte) func(context.Context) error {
	return func(ctx context.Context) error {
		code, err := hexutil.Decode(*bin)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		r, err := d.from.Send(ctx, Request{Key: "deploy/" + name, Data: append(code, args...)})
		if err != nil {
			return err
		}
		*at = r.ContractAddress
		return nil
	}
}

func together(ctx context.Context, steps ...func(context.Context) error) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, step := range steps {
		g.Go(func() error { return step(ctx) })
	}
	return g.Wait()
}
