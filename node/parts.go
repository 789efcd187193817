package node

import (
	"context"
	"fmt"
	"math/big"
	"os"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/hibiken/asynq"

	"github.com/gristmill-zk/gristmill/chain"
	"github.com/gristmill-zk/gristmill/chain/txmgr"
	"github.com/gristmill-zk/gristmill/internal/embedredis"
	"github.com/gristmill-zk/gristmill/miner"
	"github.com/gristmill-zk/gristmill/scheduler"
	"github.com/gristmill-zk/gristmill/scheduler/queue"
	"github.com/gristmill-zk/gristmill/sequencer"
	"github.com/gristmill-zk/gristmill/wire"
	"github.com/gristmill-zk/gristmill/worker"
)

// The functions here start one part of a process each and are all that knows
// how the parts are made.

// startSender starts the transaction manager of a key.
func startSender(ctx context.Context, g *group, client *chain.Client, ring *Keyring, name string) (chain.Sender, error) {
	key, err := ring.Open(name)
	if err != nil {
		return nil, err
	}
	manager, err := txmgr.New(ctx, txmgr.Config{
		Client: client, DB: txJournal(g.opts.Dir, crypto.PubkeyToAddress(key.PublicKey)), Key: key, Logger: g.opts.Logger,
		Confirmations: uint64(g.opts.Confirmations) + 1, // counts the transaction's own block
		MaxFeePerGas:  g.opts.MaxFeePerGas,
	})
	if err != nil {
		return nil, err
	}
	g.onClose(manager.Close)
	return manager, g.start(ctx, "transactions of "+name, manager.Run)
}

// sequencerParts is what a sequencer is made of.
type sequencerParts struct {
	deployment   *chain.Deployment
	sender       chain.Sender
	ring         *Keyring
	key          string // name of the sender's key, which also authorises tasks
	listen       string
	miningListen string
	publicURL    string // empty: the listen address
	beneficiary  common.Address
	mineEmpty    bool
	observe      func(sequencer.Event)
}

// startSequencer starts a sequencer and registers its URL on chain.
func startSequencer(ctx context.Context, g *group, p sequencerParts) (*sequencer.Sequencer, error) {
	if err := g.lock(roleSequencer); err != nil {
		return nil, err
	}
	secret, err := p.ring.Open(p.key)
	if err != nil {
		return nil, err
	}
	cfg := sequencer.Config{
		DB: g.opts.Dir.Path("sequencer", "sequencer.db"), Listen: p.listen, MiningListen: p.miningListen,
		Beneficiary: wire.Address(p.beneficiary), MineEmpty: p.mineEmpty, Observe: p.observe, Logger: g.opts.Logger,
	}
	copy(cfg.Key[:], crypto.FromECDSA(secret))
	if cfg.Chain, err = sequencer.OpenChain(sequencer.EVMConfig{
		Deployment: p.deployment, Sender: p.sender, Confirmations: uint64(g.opts.Confirmations), Logger: g.opts.Logger,
	}); err != nil {
		return nil, err
	}
	s, err := sequencer.New(ctx, cfg)
	if err != nil {
		return nil, err
	}
	if err := g.start(ctx, "sequencer", s.Run); err != nil {
		return nil, err
	}
	if p.publicURL == "" {
		p.publicURL = reachable(s.Addr())
	}
	return s, announce(ctx, p.deployment, p.sender, p.publicURL)
}

// startMiner starts searching for a source.
func startMiner(ctx context.Context, g *group, source miner.Source, threads int, onRate func(float64)) error {
	m, err := miner.New(miner.Config{Source: source, Workers: threads, OnRate: onRate, Logger: g.opts.Logger})
	if err != nil {
		return err
	}
	return g.start(ctx, "miner", m.Run)
}

// startQueue starts the embedded queue.
func startQueue(ctx context.Context, g *group) (string, error) {
	server, err := embedredis.Start(embedredis.Config{Logger: g.opts.Logger})
	if err != nil {
		return "", err
	}
	return server.Addr(), g.start(ctx, "queue", server.Run)
}

// proverTerms are the least that a prover takes a task for, and what it does
// about tasks of others; zero values mean the scheduler's defaults.
type proverTerms struct {
	proveWindow time.Duration
	reward      *big.Int
	// skipReassign leaves late tasks with provers that may never return.
	skipReassign bool
}

// startScheduler starts a prover's scheduler.
func startScheduler(ctx context.Context, g *group, d *chain.Deployment, sender chain.Sender, redis asynq.RedisClientOpt, embedded bool, listen, publicURL string, terms proverTerms, observe func(scheduler.Event)) (*scheduler.Scheduler, error) {
	if err := g.lock(roleScheduler); err != nil {
		return nil, err
	}
	prover := wire.Address(sender.Address())
	dispatcher, err := queue.New(queue.Config{Redis: redis, Embedded: embedded, Deployment: d.Wire(), Prover: prover, Logger: g.opts.Logger})
	if err != nil {
		return nil, err
	}
	g.onClose(dispatcher.Close)
	start, err := d.Start(ctx)
	if err != nil {
		return nil, err
	}
	reader, err := scheduler.NewChain(scheduler.ChainConfig{
		Deployment: d, Sender: sender, Start: start, Confirmations: uint64(g.opts.Confirmations), Logger: g.opts.Logger,
	})
	if err != nil {
		return nil, err
	}
	var lostAfter time.Duration // the scheduler's default
	if embedded {
		lostAfter = embeddedLostAfter
	}
	s, err := scheduler.New(ctx, scheduler.Config{
		LostAfter: lostAfter,
		Chain:     reader, Dispatcher: dispatcher, Prover: prover, DB: g.opts.Dir.Path("scheduler", "scheduler.db"),
		Listen: listen, PublicURL: publicURL, MinProveWindow: terms.proveWindow, MinReward: terms.reward,
		SkipReassign: terms.skipReassign,
		Observe:      observe, Logger: g.opts.Logger,
	})
	if err != nil {
		return nil, err
	}
	g.onClose(s.Close)
	return s, g.start(ctx, "scheduler", s.Run)
}

// embeddedLostAfter is how long an attempt may be unknown to a queue inside the
// process. Queue and worker end with the process, so after a start what the
// queue does not know is lost for certain.
const embeddedLostAfter = 4 * time.Second

// workerParts is what a worker is made of.
type workerParts struct {
	redis   asynq.RedisClientOpt
	engines Engines
	plugins Plugins
	name    string
	drain   time.Duration // 0: the worker's default
	// insecure takes bundles with keys that one machine made by itself.
	insecure bool
	trust    string    // file of the operator's allow-list of bundles; empty: none
	own      wire.Hash // bundle that the deployment made itself, which the list need not have; zero: none
	bundles  BundleSources
	observe  func(worker.Event)
}

// startWorker starts a worker.
func startWorker(ctx context.Context, g *group, p workerParts) error {
	if p.name == "" {
		name, err := os.Hostname()
		if err != nil {
			return fmt.Errorf("worker name: %w", err)
		}
		p.name = name
	}
	trust, err := LoadPolicy(p.trust)
	if err != nil {
		return err
	}
	allowOwn(trust, p.own)
	if err := g.lock("worker-" + lockName(p.name)); err != nil {
		return err
	}
	cfg := worker.Config{
		Redis: p.redis, BundleDir: g.opts.Dir.Path("bundles"), AllowInsecure: p.insecure, Trust: trust, Name: p.name, DrainTimeout: p.drain,
		Observe: p.observe, Logger: g.opts.Logger,
	}
	if cfg.Fetcher, err = p.bundles.fetcher(cfg.BundleDir, trust, p.insecure, g.opts.Logger); err != nil {
		return err
	}
	if cfg.Fetcher != nil {
		g.onClose(cfg.Fetcher.Close)
	}
	if err := p.engines.open(g, &cfg); err != nil {
		return err
	}
	plugins, err := p.plugins.open(g, cfg.Slots, g.opts.Logger)
	if err != nil {
		return err
	}
	cfg.Plugins = worker.HostPlugins(plugins)
	w, err := worker.New(cfg)
	if err != nil {
		return err
	}
	g.onClose(w.Close)
	return g.start(ctx, "worker", w.Run)
}

// lockName makes a worker's name one that a file can have.
func lockName(name string) string {
	out := []byte(name)
	for i, c := range out {
		if c != '-' && c != '.' && (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') {
			out[i] = '_'
		}
	}
	return string(out)
}
