package node

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"os"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"

	"github.com/gristmill-zk/gristmill/chain"
	"github.com/gristmill-zk/gristmill/chain/devnet"
	"github.com/gristmill-zk/gristmill/internal/service"
	"github.com/gristmill-zk/gristmill/miner"
)

// Names of the keys that an embedded deployment has.
const (
	keyDeployer  = "deployer"
	keyOwner     = "owner"
	keySequencer = "sequencer"
	keyProver    = "prover"
)

// Names of roles, as their locks and commands have them.
const (
	roleDevnet    = "devnet"
	roleSequencer = "sequencer"
	roleScheduler = "scheduler"
)

var ownKeys = []string{keyDeployer, keyOwner, keySequencer, keyProver}

// genesisCoins is what each own key has on an embedded chain, in whole coins.
const genesisCoins = 1_000_000

// group is a process: its parts and what is to be undone when they ended.
type group struct {
	service.Group
	opts   RoleOptions
	closes []func() error
	info   Info // what was recorded
}

func (g *group) onClose(fn func() error) { g.closes = append(g.closes, fn) }

func (g *group) lock(role string) error {
	lock, err := g.opts.Dir.Lock(role)
	if err != nil {
		return err
	}
	g.onClose(lock.Release)
	return nil
}

// start starts a part of the process. Parts outlive ctx until end stops them,
// the last first: on Ctrl-C a worker still has its queue while it drains. While
// the part is not ready yet, the end of ctx stops it.
func (g *group) start(ctx context.Context, name string, run service.RunFunc) error {
	unit := service.New(name, run)
	defer context.AfterFunc(ctx, unit.Stop)()
	if err := g.Start(context.WithoutCancel(ctx), unit); err != nil {
		return errors.Join(ctx.Err(), err)
	}
	g.opts.Logger.InfoContext(ctx, "started", "part", name)
	return ctx.Err()
}

// end stops all parts, the last first, and closes what they used.
func (g *group) end() error {
	err := g.Stop()
	for i := len(g.closes) - 1; i >= 0; i-- {
		err = errors.Join(err, g.closes[i]())
	}
	return err
}

// serve runs a process: set it up, say so, wait for Ctrl-C or a failure, drain.
func serve(ctx context.Context, opts RoleOptions, role string, setUp func(context.Context, *group) (string, error)) error {
	opts.defaults()
	g := &group{opts: opts}
	running, err := setUp(ctx, g)
	if err == nil {
		if opts.Ready != nil {
			g.info.PID = os.Getpid()
			g.info.Redis = "" // may hold a password
			opts.Ready(g.info)
		} else {
			fmt.Fprintln(opts.Out, running)
		}
		err = g.Wait(ctx)
	} else if ctx.Err() != nil {
		err = nil // stopped by the user while it started: nothing is wrong
	}
	if end := g.end(); end != nil {
		err = errors.Join(err, end)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", role, err)
	}
	return nil
}

// DevnetOptions is the embedded chain as a process of its own.
type DevnetOptions struct {
	RoleOptions
	Listen  string
	ChainID uint64
	Fund    []string // more addresses with money at genesis
}

// RunDevnet runs the embedded chain until ctx ends.
func RunDevnet(ctx context.Context, opts DevnetOptions) error {
	return serve(ctx, opts.RoleOptions, "devnet", func(ctx context.Context, g *group) (string, error) {
		ring, err := newOwnKeyring(g.opts.Dir, g.opts.Password)
		if err != nil {
			return "", err
		}
		d, err := startDevnet(ctx, g, ring, opts.Listen, opts.ChainID, opts.Fund)
		if err != nil {
			return "", err
		}
		return "chain: " + d.URL(), g.record(roleDevnet, Info{RPC: d.URL()})
	})
}

// startDevnet starts the embedded chain, with money for the own keys.
func startDevnet(ctx context.Context, g *group, ring *Keyring, listen string, chainID uint64, fund []string) (*devnet.Devnet, error) {
	if err := g.lock(roleDevnet); err != nil {
		return nil, err
	}
	alloc, err := allocation(ring, fund)
	if err != nil {
		return nil, err
	}
	d, err := devnet.Start(ctx, devnet.Config{
		DataDir: g.opts.Dir.Path("chain"), HTTPAddr: listen, ChainID: chainID, Alloc: alloc, Logger: g.opts.Logger,
	})
	if err != nil {
		return nil, err
	}
	g.onClose(d.Close)
	return d, nil
}

// allocation gives money to the own keys, made when missing, and to others.
func allocation(ring *Keyring, fund []string) (map[common.Address]*big.Int, error) {
	each := new(big.Int).Mul(big.NewInt(genesisCoins), big.NewInt(1e18))
	alloc := map[common.Address]*big.Int{}
	for _, name := range ownKeys {
		key, err := ring.ensure(name)
		if err != nil {
			return nil, err
		}
		alloc[crypto.PubkeyToAddress(key.PublicKey)] = each
	}
	for _, text := range fund {
		if !common.IsHexAddress(text) {
			return nil, fmt.Errorf("--fund %q is not an address", text)
		}
		alloc[common.HexToAddress(text)] = each
	}
	return alloc, nil
}

// DefaultMining is where a sequencer gives out work when nothing else was said.
const DefaultMining = "127.0.0.1:7420"

// MinerOptions is a miner as a process of its own.
type MinerOptions struct {
	RoleOptions
	Sequencer string // URL of the mining API; empty: that of the data directory's sequencer, else the default
	Threads   int    // 0: one per core
}

// RunMiner mines for a sequencer until ctx ends.
func RunMiner(ctx context.Context, opts MinerOptions) error {
	return serve(ctx, opts.RoleOptions, "miner", func(ctx context.Context, g *group) (string, error) {
		var source miner.Source = &foundSource{dir: g.opts.Dir}
		from := "the sequencer of " + g.opts.Dir.String()
		if opts.Sequencer != "" {
			remote, err := miner.NewHTTPSource(opts.Sequencer, nil)
			if err != nil {
				return "", err
			}
			source, from = remote, opts.Sequencer
		}
		m, err := miner.New(miner.Config{Source: source, Workers: opts.Threads, Logger: g.opts.Logger, OnRate: func(rate float64) {
			fmt.Fprintf(g.opts.Out, "%s  %.2f MH/s\n", time.Now().Format(time.TimeOnly), rate/1e6)
		}})
		if err != nil {
			return "", err
		}
		return "mining for " + from, g.start(ctx, "miner", m.Run)
	})
}

// dialChain connects to the chain and waits for it to answer, so that roles
// may be started in any order.
func dialChain(ctx context.Context, g *group, url string) (*chain.Client, error) {
	var client *chain.Client
	err := retry(ctx, func() (err error) {
		client, err = chain.Dial(ctx, url)
		return err
	}, func(err error) { g.opts.Logger.WarnContext(ctx, "the chain does not answer yet", "error", err) })
	if err != nil {
		return nil, err
	}
	g.onClose(func() error { client.Close(); return nil })
	return client, nil
}

const (
	retryFor   = time.Minute
	retryPause = time.Second
)

// retry calls do until it succeeds, for a minute.
func retry(ctx context.Context, do func() error, told func(error)) error {
	give := time.Now().Add(retryFor)
	for {
		err := do()
		if err == nil || time.Now().After(give) {
			return err
		}
		told(err)
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-time.After(retryPause):
		}
	}
}

// say prints a line for a person.
func (g *group) say(line string) { fmt.Fprintln(g.opts.Out, line) }
