package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/hibiken/asynq"

	"github.com/gristmill-zk/gristmill/chain"
	"github.com/gristmill-zk/gristmill/miner"
	"github.com/gristmill-zk/gristmill/scheduler"
	"github.com/gristmill-zk/gristmill/sequencer"
	"github.com/gristmill-zk/gristmill/wire"
	"github.com/gristmill-zk/gristmill/worker"
)

// LocalOptions is an embedded deployment on this machine.
type LocalOptions struct {
	RPCListen       string
	SequencerListen string
	MiningListen    string
	SchedulerListen string
	Redis           string // host:port or URL; empty: a queue in the process
	Engines         Engines
	Plugins         Plugins
	Threads         int    // of the miner; 0: one per core
	Plugin          string // the meter circuit's binary; empty: found or built
	Mining          Mining // first start only
	Terms           Terms  // of the meter project, first start only
	Trust           string // file of the allow-list of bundles; empty: what the chain names
	Bundles         BundleSources
}

// UpOptions is `gristmill up`.
type UpOptions struct {
	RoleOptions
	LocalOptions
}

// local is an embedded deployment that runs.
type local struct {
	opts       LocalOptions
	ring       *Keyring
	client     *chain.Client
	deployment *chain.Deployment
	state      Local
	from       map[string]chain.Sender
	sequencer  *sequencer.Sequencer
	scheduler  *scheduler.Scheduler
	info       Info
	redis      asynq.RedisClientOpt // zero until a queue in the process runs

	// Where the chain stood before the roles began to work.
	sinceBlock  uint64 // of the EVM chain
	sinceHeight uint64 // of gristmill's
}

// observers are told what the parts of an embedded deployment do.
type observers struct {
	sequencer func(sequencer.Event)
	scheduler func(scheduler.Event)
	worker    func(worker.Event)
	rate      func(hashesPerSecond float64)
}

// Up runs everything in this process until ctx ends.
func Up(ctx context.Context, opts UpOptions) error {
	return serve(ctx, opts.RoleOptions, "up", func(ctx context.Context, g *group) (string, error) {
		l, err := startLocal(ctx, g, opts.LocalOptions, observers{})
		if err != nil {
			return "", err
		}
		return l.greeting(), nil
	})
}

func (l *local) greeting() string {
	return fmt.Sprintf(`gristmill runs on %s
  chain       %s (id %d), registry %s
  messages    %s (API: %s/openapi.json)
  mining      %s
  prover      %s
Send a reading from another terminal:
  gristmill send --set wh=1500 --wait
Ctrl-C stops it; the next start goes on from here.`,
		l.ring.dir, l.info.RPC, l.info.ChainID, l.info.Registry, l.info.Sequencer, l.info.Sequencer, l.info.Mining, l.info.Scheduler)
}

// startLocal starts chain, queue and all roles, setting up what is missing.
func startLocal(ctx context.Context, g *group, opts LocalOptions, watch observers) (*local, error) {
	if err := g.lock(upRole); err != nil {
		return nil, err
	}
	if err := removeInfo(g.opts.Dir, upRole); err != nil { // of a process that was killed
		return nil, err
	}
	l := &local{opts: opts, from: map[string]chain.Sender{}}
	if err := errors.Join(opts.Engines.validate(), opts.Plugins.validate(), opts.Bundles.validate(opts.Trust)); err != nil {
		return nil, err
	}
	if opts.Redis != "" {
		var err error
		if l.redis, err = redisFlag(opts.Redis); err != nil {
			return nil, err
		}
	}
	for _, step := range []func(context.Context, *group) error{l.startChain, l.bootstrap, l.mark, l.startRoles(watch), l.publish} {
		if err := step(ctx, g); err != nil {
			return nil, err
		}
	}
	return l, nil
}

func (l *local) startChain(ctx context.Context, g *group) (err error) {
	if l.ring, err = newOwnKeyring(g.opts.Dir, g.opts.Password); err != nil {
		return err
	}
	d, err := startDevnet(ctx, g, l.ring, l.opts.RPCListen, 0, nil)
	if err != nil {
		return err
	}
	if l.client, err = dialChain(ctx, g, d.URL()); err != nil {
		return err
	}
	for _, name := range ownKeys {
		if l.from[name], err = startSender(ctx, g, l.client, l.ring, name); err != nil {
			return err
		}
	}
	g.say("chain " + d.URL())
	return nil
}

func (l *local) bootstrap(ctx context.Context, g *group) error {
	b := &bootstrap{
		g: g, client: l.client, from: l.from, mining: l.opts.Mining, terms: l.opts.Terms, plugin: l.opts.Plugin,
	}
	if err := b.run(ctx); err != nil {
		return err
	}
	l.deployment, l.state = b.deployment, b.local
	return nil
}

// mark notes where the chain stands.
func (l *local) mark(ctx context.Context, _ *group) (err error) {
	if l.sinceBlock, err = l.client.BlockNumber(ctx); err != nil {
		return err
	}
	tip, err := l.deployment.Tip(ctx)
	l.sinceHeight = tip.Height
	return err
}

func (l *local) startRoles(watch observers) func(context.Context, *group) error {
	return func(ctx context.Context, g *group) (err error) {
		l.info.Redis = l.opts.Redis
		embedded := l.opts.Redis == ""
		if embedded {
			if l.info.Redis, err = startQueue(ctx, g); err != nil {
				return err
			}
			l.redis.Addr = l.info.Redis
		}
		if l.sequencer, err = startSequencer(ctx, g, sequencerParts{
			deployment: l.deployment, sender: l.from[keySequencer], ring: l.ring, key: keySequencer,
			listen: l.opts.SequencerListen, miningListen: l.opts.MiningListen, beneficiary: common.Address{},
			mineEmpty: true, observe: watch.sequencer,
		}); err != nil {
			return err
		}
		if l.scheduler, err = startScheduler(ctx, g, l.deployment, l.from[keyProver], l.redis, embedded, l.opts.SchedulerListen, "", proverTerms{proveWindow: time.Second}, watch.scheduler); err != nil {
			return err
		}
		if embedded {
			if err := startLastResults(ctx, g, l.redis, wire.ResultQueue(l.deployment.Wire(), wire.Address(l.from[keyProver].Address()))); err != nil {
				return err
			}
		}
		if err := startWorker(ctx, g, workerParts{redis: l.redis, engines: l.opts.Engines, plugins: l.opts.Plugins, name: "local", insecure: true, trust: l.opts.Trust, own: l.state.Bundle, bundles: l.opts.Bundles, observe: watch.worker}); err != nil {
			return err
		}
		return startMiner(ctx, g, miner.Source(l.sequencer), l.opts.Threads, watch.rate)
	}
}

// publish writes node.json, by which other commands find this process.
func (l *local) publish(_ context.Context, g *group) error {
	l.info.ChainID, l.info.Registry = l.client.ID(), l.deployment.Registry()
	l.info.RPC, l.info.Project = l.client.URL(), l.state.Project
	l.info.Sequencer, l.info.Mining = reachable(l.sequencer.Addr()), reachable(l.sequencer.MiningAddr())
	l.info.Scheduler = l.scheduler.URL()
	return g.record(upRole, l.info)
}
