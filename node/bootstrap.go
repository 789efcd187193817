package node

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"strconv"
	"sync"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"golang.org/x/sync/errgroup"

	"github.com/gristmill-zk/gristmill/chain"
	"github.com/gristmill-zk/gristmill/chain/bindings"
	"github.com/gristmill-zk/gristmill/internal/failpoint"
	"github.com/gristmill-zk/gristmill/plugins/bundle"
	"github.com/gristmill-zk/gristmill/wire"
)

// Mining is how hard blocks are; zero values mean the defaults.
type Mining struct {
	Bits      string        // compact bits of the first block in hexadecimal
	BlockTime time.Duration // aimed at
	HalfLife  time.Duration // of the difficulty's answer
}

// Defaults of Mining. The bits are a mean of 2^17 hashes a block, the easiest
// that the contracts allow.
const (
	defaultBits      = 0x1e7fffff
	defaultBlockTime = 10 * time.Second
	halfLifeBlocks   = 10
	maxTasks         = 32  // of a block
	protocolShareBps = 200 // of a reward, to the deployer
)

func (m Mining) params(treasury common.Address) (chain.DeployParams, error) {
	p := chain.DeployParams{
		GenesisBits: defaultBits, PowLimit: defaultBits, TargetSeconds: seconds(defaultBlockTime),
		MaxTasks: maxTasks, BlockReward: whole(1), MinStake: whole(10), BondPerTask: whole(1),
		Treasury: treasury, ProtocolShareBps: protocolShareBps,
	}
	if m.Bits != "" {
		bits, err := strconv.ParseUint(m.Bits, 16, 32)
		if err != nil {
			return p, fmt.Errorf("--genesis-bits %q: want eight hexadecimal digits like 1e7fffff", m.Bits)
		}
		p.GenesisBits = uint32(bits)
		target, err := wire.CompactToTarget(p.GenesisBits)
		limit, _ := wire.CompactToTarget(p.PowLimit)
		switch {
		case err != nil:
			return p, fmt.Errorf("--genesis-bits %s: %w", m.Bits, err)
		case wire.TargetToCompact(target) != p.GenesisBits:
			return p, fmt.Errorf("--genesis-bits %s: the usual form of this difficulty is %08x", m.Bits, wire.TargetToCompact(target))
		case target.Cmp(limit) > 0:
			return p, fmt.Errorf("--genesis-bits %s is easier than %08x, the least there is", m.Bits, p.PowLimit)
		}
	}
	if m.BlockTime != 0 {
		if m.BlockTime < time.Second {
			return p, fmt.Errorf("--block-time %s is below one second", m.BlockTime)
		}
		p.TargetSeconds = seconds(m.BlockTime)
	}
	p.HalfLife = halfLifeBlocks * p.TargetSeconds
	if m.HalfLife != 0 {
		if m.HalfLife < time.Second {
			return p, fmt.Errorf("--half-life %s is below one second", m.HalfLife)
		}
		p.HalfLife = seconds(m.HalfLife)
	}
	return p, nil
}

// Windows are the least that projects of a new deployment may give provers to
// answer and to prove; zero values mean the contracts' deployer's defaults, 30
// seconds and one minute.
type Windows struct {
	MinAccept, MinProve time.Duration
}

// localWindows suit a chain of one's own, where project and prover are one.
var localWindows = Windows{MinAccept: time.Second, MinProve: time.Second}

func (w Windows) set(p *chain.DeployParams) error {
	for flag, d := range map[string]time.Duration{"min-accept-window": w.MinAccept, "min-prove-window": w.MinProve} {
		if d != 0 && d < time.Second {
			return fmt.Errorf("--%s %s is below one second", flag, d)
		}
	}
	p.MinAcceptWindow, p.MinProveWindow = seconds(w.MinAccept), seconds(w.MinProve)
	return nil
}

// Terms are what the local meter project is created with.
type Terms struct {
	MaxWait      time.Duration
	AcceptWindow time.Duration
	ProveWindow  time.Duration
}

// DefaultTerms suit a machine that somebody watches.
func DefaultTerms() Terms {
	return Terms{MaxWait: 2 * time.Second, AcceptWindow: 2 * time.Minute, ProveWindow: 10 * time.Minute}
}

// What the local deployment starts with, in whole tokens or coins.
const (
	localReward   = 10      // token, per task
	localDeposit  = 100_000 // token, into escrow
	localSupply   = 1_000_000
	localStake    = 1_000 // coin, of the prover
	localPool     = 10_000
	localCapacity = 16
	localShareBps = 1_000 // the sequencer's
	localDappGas  = 200_000
	localGrace    = time.Hour
	// A reading sent by hand is of the second that begins: periods that overlap do
	// not both count, and the next may be sent at once.
	meterTemplate  = "u8:1,u64:{wh},u64:{start=now-ms},u32:{period=1000}"
	bootstrapScope = "bootstrap"
)

// bootstrap makes a fresh embedded deployment whole, or completes what an
// earlier start left undone. Each step looks before it acts and acts under a
// fixed key, so a second time does nothing. What does not depend on each other
// runs together: the chain takes a second for each step.
type bootstrap struct {
	g      *group
	client *chain.Client
	from   map[string]chain.Sender // by key name
	mining Mining
	terms  Terms
	plugin string

	mu         sync.Mutex // guards local
	local      Local
	deployment *chain.Deployment
	bundle     *bundle.Bundle
}

// step is one part of the set-up.
type step struct {
	name string
	do   func(context.Context) error
}

// run does all steps.
func (b *bootstrap) run(ctx context.Context) error {
	var err error
	if b.local, err = loadLocal(b.g.opts.Dir); err != nil {
		return err
	}
	for _, steps := range [][]step{
		{{"contracts", b.deploy}, {"circuit", b.circuit}},
		{{"token", b.token}, {"sample dApp", b.dapp}, {"block rewards", b.pool}, {"prover", b.join}, {"verifying key", b.key}, {"project", b.project}},
		{{"project version", b.shape}, {"escrow", b.escrow}, {"opt-in", b.optIn}},
	} {
		if err := together(ctx, steps); err != nil {
			return err
		}
	}
	return nil
}

// together runs steps at once and gives the first error.
func together(ctx context.Context, steps []step) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, s := range steps {
		g.Go(func() error {
			if err := s.do(ctx); err != nil {
				return fmt.Errorf("set up %s: %w", s.name, err)
			}
			failpoint.Hit("node.bootstrap.after")
			return nil
		})
	}
	return g.Wait()
}

// note keeps what a step made.
func (b *bootstrap) note(change func(*Local)) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	change(&b.local)
	return b.local.save(b.g.opts.Dir)
}

func (b *bootstrap) deploy(ctx context.Context) error {
	d, err := LoadDeployment(b.g.opts.Dir)
	if errors.Is(err, ErrNoDeployment) {
		b.g.say("contracts: deploying")
		d, err = deploy(ctx, b.g.opts.Dir, b.client, b.from[keyDeployer], b.mining, localWindows)
	}
	if err != nil {
		return err
	}
	if d.ChainID != b.client.ID() {
		return fmt.Errorf("deployment.json is of chain %d, this chain is %d", d.ChainID, b.client.ID())
	}
	b.deployment, err = chain.Open(ctx, b.client, d.Registry)
	return err
}

func deploy(ctx context.Context, dir DataDir, client *chain.Client, from chain.Sender, mining Mining, windows Windows) (Deployment, error) {
	params, err := mining.params(from.Address())
	if err != nil {
		return Deployment{}, err
	}
	if err := windows.set(&params); err != nil {
		return Deployment{}, err
	}
	registry, err := chain.Deploy(ctx, client, from, params)
	if err != nil {
		return Deployment{}, err
	}
	d := Deployment{ChainID: client.ID(), Registry: registry}
	return d, writeJSON(dir.Path("deployment.json"), d)
}

// token is the ERC-20 that local projects pay in.
func (b *bootstrap) token(ctx context.Context) error {
	return localToken(ctx, b.from[keyDeployer], b.from[keyOwner].Address(), b.local.Token, func(at common.Address) error {
		return b.note(func(l *Local) { l.Token = at })
	})
}

// dapp is the sample contract that totals verified readings.
func (b *bootstrap) dapp(ctx context.Context) error {
	if b.local.Dapp != (common.Address{}) {
		return nil
	}
	dapp := bindings.NewMeterTotals()
	code := append(common.FromHex(bindings.MeterTotalsMetaData.Bin), dapp.PackConstructor(b.deployment.Parts().Tasks)...)
	at, err := create(ctx, b.from[keyDeployer], "dapp", code)
	if err != nil {
		return err
	}
	return b.note(func(l *Local) { l.Dapp = at })
}

// pool pays for block rewards.
func (b *bootstrap) pool(ctx context.Context) error {
	return fillPool(ctx, b.from[keyDeployer], b.deployment)
}

// join registers the prover with its stake.
func (b *bootstrap) join(ctx context.Context) error {
	registry, operator := bindings.NewProverRegistry(), b.from[keyProver]
	p, err := b.deployment.Prover(ctx, wire.Address(operator.Address()))
	if err != nil || p.Joined != 0 {
		return err
	}
	data := registry.PackJoin(operator.Address(), localCapacity)
	_, err = callWith(ctx, operator, bootstrapScope+"/join", b.deployment.Parts().Provers, data, whole(localStake))
	return err
}

// circuit builds the meter circuit's bundle.
func (b *bootstrap) circuit(ctx context.Context) (err error) {
	if b.bundle, err = meterBundle(ctx, b.g, b.local, b.plugin); err != nil || b.local.Bundle == b.bundle.Digest {
		return err
	}
	return b.note(func(l *Local) { l.Bundle = b.bundle.Digest })
}

func (b *bootstrap) key(ctx context.Context) error {
	return registerKey(ctx, b.deployment, b.from[keyOwner], b.bundle, bootstrapScope)
}

func (b *bootstrap) project(ctx context.Context) error {
	if b.local.Project != 0 {
		return nil
	}
	project, err := createProject(ctx, b.deployment, b.from[keyOwner], bootstrapScope)
	if err != nil {
		return err
	}
	if err := writeFile(templatePath(b.g.opts.Dir, project), []byte(meterTemplate+"\n")); err != nil {
		return err
	}
	return b.note(func(l *Local) { l.Project = project })
}

// shape adds the project's version and lists its sequencer.
func (b *bootstrap) shape(ctx context.Context) error {
	spec := ProjectSpec{
		Token: b.local.Token, Reward: whole(localReward), SequencerShareBps: localShareBps,
		MaxWait: b.terms.MaxWait, AcceptWindow: b.terms.AcceptWindow, ProveWindow: b.terms.ProveWindow, RecallGrace: localGrace,
		Sequencers: []common.Address{b.from[keySequencer].Address()}, Dapp: b.local.Dapp, DappGas: localDappGas,
	}
	return shapeProject(ctx, b.deployment, b.from[keyOwner], b.local.Project, b.bundle, spec, bootstrapScope)
}

func (b *bootstrap) escrow(ctx context.Context) error {
	return deposit(ctx, b.deployment, b.from[keyOwner], b.local.Project, b.local.Token, whole(localDeposit), bootstrapScope)
}

// optIn makes the prover take the project's tasks. The operator may have opted
// out since by hand: the fixed key makes only the first start opt in.
func (b *bootstrap) optIn(ctx context.Context) error {
	data := bindings.NewProverRegistry().PackOptIn(b.local.Project)
	_, err := call(ctx, b.from[keyProver], bootstrapScope+"/optin", b.deployment.Parts().Provers, data)
	return err
}

// announce registers a sequencer's URL when it is another than before.
func announce(ctx context.Context, d *chain.Deployment, from chain.Sender, url string) error {
	urls, err := d.SequencerURLs(ctx, wire.Address(from.Address()))
	if err != nil || (len(urls) == 1 && urls[0] == url) {
		return err
	}
	key := fmt.Sprintf("announce/%s/%d", url, time.Now().UnixNano())
	_, err = call(ctx, from, key, d.Parts().Sequencers, bindings.NewSequencerRegistry().PackRegister([]string{url}))
	return err
}

func whole(n int64) *big.Int { return new(big.Int).Mul(big.NewInt(n), big.NewInt(1e18)) }
