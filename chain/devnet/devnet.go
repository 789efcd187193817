package devnet

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core"
	"github.com/ethereum/go-ethereum/eth"
	"github.com/ethereum/go-ethereum/node"
)

// DefaultChainID is the chain id when Config names none.
const DefaultChainID = 31337

const defaultEmptyAfter = 10 * time.Second

// Config says what chain to run.
type Config struct {
	// DataDir holds everything; made when absent.
	DataDir string
	// HTTPAddr is the loopback address of JSON-RPC; "" means 127.0.0.1:0, and
	// port 0 a free one.
	HTTPAddr string
	// ChainID of a new chain; 0 means DefaultChainID, or that of DataDir.
	ChainID uint64
	// Alloc is who has how many wei at genesis; it is pinned in DataDir. nil
	// with an existing DataDir means what is pinned there.
	Alloc map[common.Address]*big.Int
	// EmptyAfter is how long after a block an empty one is sealed; 0 means 10 s.
	EmptyAfter time.Duration
	// Logger receives what the chain does, go-ethereum's own lines at debug;
	// nil means slog.Default(). go-ethereum has one logger per process: the
	// last chain started gets its lines.
	Logger *slog.Logger
}

func (c Config) withDefaults() (Config, error) {
	if c.DataDir == "" {
		return c, errors.New("devnet: Config.DataDir is empty")
	}
	if c.HTTPAddr == "" {
		c.HTTPAddr = "127.0.0.1:0"
	}
	host, _, err := net.SplitHostPort(c.HTTPAddr)
	if err != nil {
		return c, fmt.Errorf("devnet: Config.HTTPAddr: %w", err)
	}
	if !isLoopback(host) {
		return c, fmt.Errorf("devnet: Config.HTTPAddr %q is not a loopback address", c.HTTPAddr)
	}
	if c.EmptyAfter == 0 {
		c.EmptyAfter = defaultEmptyAfter
	}
	if c.EmptyAfter < time.Second {
		return c, fmt.Errorf("devnet: Config.EmptyAfter %s is below the least block distance of 1s", c.EmptyAfter)
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	for a, wei := range c.Alloc {
		if wei == nil || wei.Sign() < 0 {
			return c, fmt.Errorf("devnet: Config.Alloc of %s is no amount of wei", a)
		}
	}
	return c, nil
}

// Devnet is a running chain.
type Devnet struct {
	cfg   Config
	stack *node.Node
	eth   *eth.Ethereum
	http  *endpoint

	sealing sync.Mutex // held while a block is made; guards log
	log     *blockLog

	stop chan struct{}
	done sync.WaitGroup
	once sync.Once
	err  error
}

// Start opens or makes the chain in cfg.DataDir, imports what go-ethereum's
// database lacks and serves it. ctx bounds the start only.
func Start(ctx context.Context, cfg Config) (*Devnet, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(cfg.DataDir, 0o700); err != nil {
		return nil, fmt.Errorf("devnet: %w", err)
	}
	routeLogs(cfg.Logger)
	// The node's lock on the directory comes before our own files are touched.
	stack, err := newNode(cfg.DataDir)
	if err != nil {
		return nil, err
	}
	d := &Devnet{cfg: cfg, stack: stack, stop: make(chan struct{})}
	if err := d.open(ctx); err != nil {
		return nil, errors.Join(err, d.abandon())
	}
	d.startSealing()
	return d, nil
}

func (d *Devnet) open(ctx context.Context) error {
	p, err := loadPin(d.cfg.DataDir, d.cfg, time.Now())
	if err != nil {
		return err
	}
	genesis, err := p.genesis()
	if err != nil {
		return err
	}
	d.log, err = openLog(filepath.Join(d.cfg.DataDir, "blocks.log"), d.cfg.Logger)
	if err != nil {
		return err
	}
	chain, err := d.log.canonical(genesis.ToBlock().Hash())
	if err != nil {
		return err
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", d.cfg.HTTPAddr)
	if err != nil {
		return fmt.Errorf("devnet: %w", err)
	}
	if err := d.run(ctx, genesis, chain); err != nil {
		return errors.Join(err, listener.Close())
	}
	if d.http, err = serve(listener, d.apis()); err != nil {
		return errors.Join(err, listener.Close())
	}
	return nil
}

// run starts go-ethereum and brings it to the head of the log.
func (d *Devnet) run(ctx context.Context, genesis *core.Genesis, chain []record) error {
	var err error
	if d.eth, err = newEthereum(d.stack, genesis); err != nil {
		return err
	}
	if err := d.stack.Start(); err != nil {
		return fmt.Errorf("devnet: start: %w", err)
	}
	if err := d.restore(ctx, chain); err != nil {
		return err
	}
	d.eth.SetSynced() // otherwise the pool takes no transactions
	return nil
}

// URL is the JSON-RPC endpoint.
func (d *Devnet) URL() string { return d.http.url }

// Close stops sealing and serving; a second Close is harmless.
func (d *Devnet) Close() error {
	d.once.Do(func() {
		close(d.stop)
		d.done.Wait()
		d.err = errors.Join(d.http.close(), d.stack.Close(), d.log.close())
	})
	return d.err
}

// abandon releases what a failed start had taken.
func (d *Devnet) abandon() error {
	var err error
	if d.log != nil {
		err = d.log.close()
	}
	return errors.Join(err, d.stack.Close())
}
