package devnet

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/ethereum/go-ethereum/core"
	"github.com/ethereum/go-ethereum/core/rawdb"
	"github.com/ethereum/go-ethereum/eth"
	"github.com/ethereum/go-ethereum/eth/ethconfig"
	"github.com/ethereum/go-ethereum/eth/filters"
	gethlog "github.com/ethereum/go-ethereum/log"
	"github.com/ethereum/go-ethereum/node"
	"github.com/ethereum/go-ethereum/p2p"
	"github.com/ethereum/go-ethereum/rpc"
)

// newNode makes the shell: no peers, no IPC, no server.
func newNode(dir string) (*node.Node, error) {
	stack, err := node.New(&node.Config{Name: "evm", DataDir: dir, P2P: p2p.Config{NoDiscovery: true, NoDial: true}})
	if err != nil {
		return nil, fmt.Errorf("devnet: %s: %w", dir, err)
	}
	return stack, nil
}

func newEthereum(stack *node.Node, genesis *core.Genesis) (*eth.Ethereum, error) {
	conf := ethconfig.Defaults
	conf.Genesis = genesis
	conf.NetworkId = genesis.Config.ChainID.Uint64()
	conf.SyncMode = ethconfig.FullSync
	// Only this pair writes every block's state to the database at once.
	conf.StateScheme = rawdb.HashScheme
	conf.NoPruning = true
	conf.SnapshotCache = 0
	conf.LogNoHistory = true    // searches logs by bloom filter, exact from the first moment
	conf.TransactionHistory = 0 // every receipt stays findable
	conf.DatabaseHandles, conf.DatabaseCache = 256, 64
	conf.TrieCleanCache, conf.TrieDirtyCache = 32, 32
	conf.RPCTxFeeCap = 0
	conf.TxPool.NoLocals = true
	conf.TxPool.Journal = "" // senders re-broadcast what a restart dropped
	conf.TxPool.AccountQueue = 1024
	backend, err := eth.New(stack, &conf)
	if err != nil {
		return nil, fmt.Errorf("devnet: open database: %w", err)
	}
	return backend, nil
}

// apis is go-ethereum's API with the log filters, which it leaves to the node.
func (d *Devnet) apis() []rpc.API {
	system := filters.NewFilterSystem(d.eth.APIBackend, filters.Config{})
	return append(d.eth.APIs(), rpc.API{Namespace: "eth", Service: filters.NewFilterAPI(system)})
}

// routeLogs sends go-ethereum's lines to logger at debug level.
func routeLogs(logger *slog.Logger) {
	// SetDefault would also replace slog's default if it saw its own type.
	gethlog.SetDefault(struct{ gethlog.Logger }{gethlog.NewLogger(debugHandler{logger.Handler()})})
}

// debugHandler lowers every record to debug: what matters to an operator is
// said by this package.
type debugHandler struct{ slog.Handler }

func (h debugHandler) Enabled(ctx context.Context, _ slog.Level) bool {
	return h.Handler.Enabled(ctx, slog.LevelDebug)
}

func (h debugHandler) Handle(ctx context.Context, r slog.Record) error {
	low := slog.NewRecord(r.Time, slog.LevelDebug, r.Message, r.PC)
	low.AddAttrs(slog.String("from", "go-ethereum"), slog.String("level_there", gethlog.LevelString(r.Level)))
	r.Attrs(func(a slog.Attr) bool {
		low.AddAttrs(a)
		return true
	})
	return h.Handler.Handle(ctx, low)
}

func (h debugHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return debugHandler{h.Handler.WithAttrs(attrs)}
}

func (h debugHandler) WithGroup(name string) slog.Handler {
	return debugHandler{h.Handler.WithGroup(name)}
}
