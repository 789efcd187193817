package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/big"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"github.com/gristmill-zk/gristmill/chain"
	"github.com/gristmill-zk/gristmill/wire"
)

// remote is a deployment that a role of its own process connects to.
type remote struct {
	ring       *Keyring
	deployment *chain.Deployment
	sender     chain.Sender
}

// connect finds chain, contracts and key of a role.
func connect(ctx context.Context, g *group, key string) (remote, error) {
	r := remote{ring: NewKeyring(g.opts.Dir, g.opts.Password)}
	url, err := awaitChain(ctx, g)
	if err != nil {
		return r, err
	}
	registry, err := findRegistry(g.opts.Dir, g.opts.Endpoints.Registry)
	if err != nil {
		return r, err
	}
	client, err := dialChain(ctx, g, url)
	if err != nil {
		return r, err
	}
	if r.deployment, err = chain.Open(ctx, client, registry); err != nil {
		return r, err
	}
	r.sender, err = startSender(ctx, g, client, r.ring, key)
	return r, err
}

// SequencerOptions is a sequencer as a process of its own.
type SequencerOptions struct {
	RoleOptions
	Key          string
	Listen       string
	MiningListen string
	PublicURL    string
	Beneficiary  string
}

// RunSequencer runs a sequencer until ctx ends.
func RunSequencer(ctx context.Context, opts SequencerOptions) error {
	return serve(ctx, opts.RoleOptions, "sequencer", func(ctx context.Context, g *group) (string, error) {
		var beneficiary common.Address
		if opts.Beneficiary != "" {
			if !common.IsHexAddress(opts.Beneficiary) {
				return "", fmt.Errorf("--beneficiary %q is not an address", opts.Beneficiary)
			}
			beneficiary = common.HexToAddress(opts.Beneficiary)
		}
		r, err := connect(ctx, g, opts.Key)
		if err != nil {
			return "", err
		}
		s, err := startSequencer(ctx, g, sequencerParts{
			deployment: r.deployment, sender: r.sender, ring: r.ring, key: opts.Key, listen: opts.Listen,
			miningListen: opts.MiningListen, publicURL: opts.PublicURL, beneficiary: beneficiary, mineEmpty: true,
		})
		if err != nil {
			return "", err
		}
		own := Info{Sequencer: reachable(s.Addr()), Mining: reachable(s.MiningAddr())}
		if err := g.record(roleSequencer, own); err != nil {
			return "", err
		}
		return fmt.Sprintf("messages: %s (API: %s/openapi.json)\nmining:   %s", own.Sequencer, own.Sequencer, own.Mining), nil
	})
}

// SchedulerOptions is a prover's scheduler as a process of its own.
type SchedulerOptions struct {
	RoleOptions
	Key       string
	Redis     string
	Listen    string
	PublicURL string // where workers of other machines fetch data
	// MinProveWindow and MinReward are the least terms that tasks are taken on;
	// zero values mean the scheduler's defaults.
	MinProveWindow time.Duration
	MinReward      *big.Int
	// SkipReassign leaves tasks with other provers that are past the deadline.
	SkipReassign bool
}

// RunScheduler runs a prover's scheduler until ctx ends.
func RunScheduler(ctx context.Context, opts SchedulerOptions) error {
	return serve(ctx, opts.RoleOptions, "scheduler", func(ctx context.Context, g *group) (string, error) {
		redis, err := findQueue(g, opts.Redis)
		if err != nil {
			return "", err
		}
		r, err := connect(ctx, g, opts.Key)
		if err != nil {
			return "", err
		}
		terms := proverTerms{proveWindow: opts.MinProveWindow, reward: opts.MinReward, skipReassign: opts.SkipReassign}
		s, err := startScheduler(ctx, g, r.deployment, r.sender, redis, false, opts.Listen, opts.PublicURL, terms, nil)
		if err != nil {
			return "", err
		}
		if err := g.record(roleScheduler, Info{Scheduler: s.URL()}); err != nil {
			return "", err
		}
		return fmt.Sprintf("prover %s: tasks and data at %s, queue at %s", r.sender.Address(), s.URL(), redis.Addr), nil
	})
}

// WorkerOptions is a worker as a process of its own.
type WorkerOptions struct {
	RoleOptions
	Engines
	Redis string
	Name  string
	Drain time.Duration
	// Plugins says how circuits are run.
	Plugins Plugins
	// AllowInsecure takes circuits whose keys one machine made by itself. The
	// data directory of a local deployment made its own, and always takes them.
	AllowInsecure bool
	// Trust is a file that lists the bundles that are taken, by signer or digest;
	// empty takes all that the chain names.
	Trust string
	// Bundles is where bundles are fetched from that are missing.
	Bundles BundleSources
}

// RunWorker runs a worker until ctx ends and its tasks are drained.
func RunWorker(ctx context.Context, opts WorkerOptions) error {
	if err := errors.Join(opts.Engines.validate(), opts.Plugins.validate(), opts.Bundles.validate(opts.Trust)); err != nil {
		return err
	}
	return serve(ctx, opts.RoleOptions, "worker", func(ctx context.Context, g *group) (string, error) {
		redis, err := findQueue(g, opts.Redis)
		if err != nil {
			return "", err
		}
		own, err := loadLocal(g.opts.Dir)
		if err != nil {
			return "", err
		}
		parts := workerParts{
			redis: redis, engines: opts.Engines, plugins: opts.Plugins, name: opts.Name, drain: opts.Drain,
			insecure: opts.AllowInsecure || own.Bundle != wire.Hash{}, trust: opts.Trust, own: own.Bundle, bundles: opts.Bundles,
		}
		if err := startWorker(ctx, g, parts); err != nil {
			return "", err
		}
		return fmt.Sprintf("working, queue at %s", redis.Addr), nil
	})
}

// DeployOptions puts the contracts on a chain.
type DeployOptions struct {
	RoleOptions
	Key    string
	Mining Mining
	// Windows are the least that projects may give provers. With Local one
	// second is the default.
	Windows Windows
	// Local also makes what a chain of one's own needs: a token, minted to the
	// key Owner, and coins in the reward pool.
	Local bool
	Owner string
}

// Deployed is what Deploy made.
type Deployed struct {
	Deployment
	// Token is the local deployment's token; zero when there is none.
	Token common.Address `json:"token"`
}

// Deploy deploys the contracts, or completes an interrupted deployment.
func Deploy(ctx context.Context, opts DeployOptions) (d Deployed, err error) {
	err = serveOnce(ctx, opts.RoleOptions, func(ctx context.Context, g *group) error {
		d.Deployment, err = LoadDeployment(g.opts.Dir)
		there := err == nil
		if there && !opts.Local || err != nil && !errors.Is(err, ErrNoDeployment) {
			return err
		}
		url, err := awaitChain(ctx, g)
		if err != nil {
			return err
		}
		client, err := dialChain(ctx, g, url)
		if err != nil {
			return err
		}
		ring := NewKeyring(g.opts.Dir, g.opts.Password)
		sender, err := startSender(ctx, g, client, ring, opts.Key)
		if err != nil {
			return err
		}
		if !there {
			windows := opts.Windows
			if opts.Local {
				windows.MinAccept = cmp.Or(windows.MinAccept, localWindows.MinAccept)
				windows.MinProve = cmp.Or(windows.MinProve, localWindows.MinProve)
			}
			if d.Deployment, err = deploy(ctx, g.opts.Dir, client, sender, opts.Mining, windows); err != nil {
				return err
			}
		}
		if !opts.Local {
			return nil
		}
		d.Token, err = furnish(ctx, g.opts.Dir, client, sender, ring, d.Registry, opts.Owner)
		return err
	})
	return d, err
}

// furnish makes what a local deployment needs besides the contracts.
func furnish(ctx context.Context, dir DataDir, client *chain.Client, deployer chain.Sender, ring *Keyring, registry common.Address, owner string) (common.Address, error) {
	local, err := loadLocal(dir)
	if err != nil {
		return common.Address{}, err
	}
	account, err := ring.Find(owner)
	if err != nil {
		return common.Address{}, err
	}
	d, err := chain.Open(ctx, client, registry)
	if err != nil {
		return common.Address{}, err
	}
	err = localToken(ctx, deployer, account.Address, local.Token, func(at common.Address) error {
		local.Token = at
		return local.save(dir)
	})
	if err != nil {
		return common.Address{}, err
	}
	return local.Token, fillPool(ctx, deployer, d)
}

// serveOnce runs a job that needs parts of a process, and ends those.
func serveOnce(ctx context.Context, opts RoleOptions, do func(context.Context, *group) error) error {
	opts.defaults()
	g := &group{opts: opts}
	return errors.Join(do(ctx, g), g.end())
}
