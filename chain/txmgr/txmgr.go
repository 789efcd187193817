// Package txmgr puts transactions of one account on chain, each exactly once
// as named by the caller's key.
//
// A request gets its nonce and its signature in one durable write of the
// journal before anything is broadcast, so a process that dies at any point
// sends the same transaction again and never a second one. From then on the
// chain is the authority: as long as its nonce for the account is not past a
// journalled one, that transaction is broadcast again, also when it had been
// mined and confirmed before and the chain has lost it. A transaction that
// waits while blocks pass, and that others may wait for, is replaced by one with
// the same nonce and higher fees, up to a limit; whichever of them is mined
// counts. A receipt whose block is reorganised away is looked for again.
//
// Several processes may share a journal. If the key is also used elsewhere, a
// request whose nonce was taken gets another one, and a nonce that only the
// other user could have filled is filled with an empty transfer.
//
// Failures: a call that would revert is a [*chain.RevertError] before a nonce
// is spent and leaves no trace; one that reverts when mined is kept under its
// key until [Manager.Forget]. An endpoint that cannot be reached fails a Send
// that is not journalled yet and is waited for otherwise.
package txmgr

import (
	"context"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"sync"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"

	"github.com/gristmill-zk/gristmill/chain"
)

const (
	defaultPoll       = 250 * time.Millisecond
	defaultStuckAfter = 30 * time.Second
)

// ErrStopped ends a Send whose Manager stopped; the request is journalled and
// goes on when the journal is opened again.
var ErrStopped = errors.New("txmgr: stopped with the transaction in flight")

// Config says which account sends over which client.
type Config struct {
	Client *chain.Client
	// DB is the path of the journal, one file per account and chain.
	DB string
	// Key signs. It is never logged.
	Key *ecdsa.PrivateKey
	// Confirmations is how deep a transaction must be, the block holding it
	// counting as 1; 0 means 1.
	Confirmations uint64
	// Poll is how often the chain is asked while something is in flight; 0
	// means 250 ms.
	Poll time.Duration
	// StuckAfter is how long a transaction may wait, while blocks pass, before
	// it is sent again with higher fees; 0 means 30 s.
	StuckAfter time.Duration
	// MaxFeePerGas bounds what is bid, in wei. Nil means ten times a request's
	// own first bid, which bids what the endpoint suggests and room for the
	// base fee to double. A request at its limit waits for fees to fall.
	MaxFeePerGas *big.Int
	// Logger receives sends, bumps and reorgs; nil means slog.Default().
	Logger *slog.Logger
}

func (c Config) withDefaults() (Config, error) {
	switch {
	case c.Client == nil:
		return c, errors.New("txmgr: Config.Client is nil")
	case c.DB == "":
		return c, errors.New("txmgr: Config.DB is empty")
	case c.Key == nil:
		return c, errors.New("txmgr: Config.Key is nil")
	case c.MaxFeePerGas != nil && c.MaxFeePerGas.Sign() <= 0:
		return c, fmt.Errorf("txmgr: Config.MaxFeePerGas %s is not above 0", c.MaxFeePerGas)
	}
	c.Confirmations = max(c.Confirmations, 1)
	if c.Poll <= 0 {
		c.Poll = defaultPoll
	}
	if c.StuckAfter <= 0 {
		c.StuckAfter = defaultStuckAfter
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c, nil
}

// Manager sends transactions of one account.
type Manager struct {
	cfg    Config
	addr   common.Address
	signer types.Signer
	log    *slog.Logger
	j      *journal

	kick    chan struct{} // something was journalled
	stopped chan struct{} // Run has returned
	once    sync.Once

	mu      sync.Mutex
	changed chan struct{} // closed when entries may have ended
	sent    map[string]broadcast

	// Only the goroutine of Run uses these.
	lastHead common.Hash
	standing string // what was last said about a request whose fees stay
	taken    strikes
	gap      strikes
}

// broadcast remembers when a request was last sent and what came back.
type broadcast struct {
	at  time.Time
	err string
}

// strikes counts on how many heads in a row something was seen.
type strikes struct {
	head      common.Hash
	last, now map[string]int
}

var _ chain.Sender = (*Manager)(nil)

// New opens the journal. Nothing in it is sent before Run.
func New(ctx context.Context, cfg Config) (*Manager, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	genesis, err := cfg.Client.BlockRef(ctx, new(big.Int))
	if err != nil {
		return nil, fmt.Errorf("txmgr: genesis block: %w", err)
	}
	j, err := openJournal(ctx, cfg.DB)
	if err != nil {
		return nil, err
	}
	m := &Manager{
		cfg:     cfg,
		addr:    crypto.PubkeyToAddress(cfg.Key.PublicKey),
		signer:  types.LatestSignerForChainID(new(big.Int).SetUint64(cfg.Client.ID())),
		j:       j,
		kick:    make(chan struct{}, 1),
		stopped: make(chan struct{}),
		changed: make(chan struct{}),
		sent:    map[string]broadcast{},
		taken:   strikes{now: map[string]int{}},
		gap:     strikes{now: map[string]int{}},
	}
	m.log = cfg.Logger.With("account", m.addr)
	if err := j.claim(ctx, cfg.Client.ID(), genesis.Hash, m.addr); err != nil {
		return nil, errors.Join(fmt.Errorf("txmgr: %s: %w", cfg.DB, err), j.close())
	}
	return m, nil
}

// Address is the sending account.
func (m *Manager) Address() common.Address { return m.addr }

// Forget drops a transaction that failed when mined, so that its key may be
// sent again. An unknown key is no error; one in flight or succeeded is.
func (m *Manager) Forget(ctx context.Context, key string) error { return m.j.forget(ctx, key) }

// Close closes the journal, after Run has returned.
func (m *Manager) Close() error {
	m.stop()
	return m.j.close()
}

func (m *Manager) stop() { m.once.Do(func() { close(m.stopped) }) }

// wake lets every waiting Send look at its entry again.
func (m *Manager) wake() {
	m.mu.Lock()
	defer m.mu.Unlock()
	close(m.changed)
	m.changed = make(chan struct{})
}

func (m *Manager) changes() <-chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.changed
}
