package node

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"math/big"

	"github.com/ethereum/go-ethereum"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"

	"github.com/gristmill-zk/gristmill/chain"
	"github.com/gristmill-zk/gristmill/chain/txmgr"
	"github.com/gristmill-zk/gristmill/internal/service"
	"github.com/gristmill-zk/gristmill/wire"
)

// Endpoints are what the command line says about where things are; what is
// empty is taken from node.json and deployment.json of the data directory.
type Endpoints struct {
	RPC       string
	Registry  string
	Sequencer string
	Scheduler string
}

// RoleOptions is what every role and command needs.
type RoleOptions struct {
	Dir       DataDir
	Endpoints Endpoints
	Password  Password
	Logger    *slog.Logger // nil: slog.Default()
	Out       io.Writer    // where a person reads what happens; nil: nowhere
	// Ready is told once where a role listens, instead of a line on Out. Nil: a
	// person reads.
	Ready func(Info)
	// Confirmations is how many EVM blocks must follow one before a role
	// believes its events and takes its own transactions for done; 0 believes
	// the head and undoes what a reorganisation takes back. Commands that only
	// send one transaction do not look at it.
	Confirmations uint32
	// MaxFeePerGas bounds what transactions bid for gas, in wei; nil leaves it
	// to the transaction manager (ten times a transaction's first bid).
	MaxFeePerGas *big.Int
}

func (o *RoleOptions) defaults() {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Out == nil {
		o.Out = io.Discard
	}
}

// Session is a connection to a deployment for the length of a command.
type Session struct {
	opts       RoleOptions
	ring       *Keyring
	devices    *DeviceStore
	info       Info // zero when no node runs here
	local      Local
	client     *chain.Client
	deployment *chain.Deployment
	senders    service.Group
	closers    []func()
}

// Connect finds and opens the deployment. Close it.
func Connect(ctx context.Context, opts RoleOptions) (*Session, error) {
	opts.defaults()
	s := &Session{opts: opts, ring: NewKeyring(opts.Dir, opts.Password)}
	s.devices = NewDeviceStore(opts.Dir, s.ring)
	var err error
	var rpc string
	if rpc, s.info, err = findChain(opts.Dir, opts.Endpoints.RPC); err != nil {
		return nil, err
	}
	if s.local, err = loadLocal(opts.Dir); err != nil {
		return nil, err
	}
	registry, err := findRegistry(opts.Dir, opts.Endpoints.Registry)
	if err != nil {
		return nil, err
	}
	if s.client, err = chain.Dial(ctx, rpc); err != nil {
		return nil, err
	}
	if s.deployment, err = chain.Open(ctx, s.client, registry); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// findRegistry takes the flag, else deployment.json.
func findRegistry(dir DataDir, flag string) (common.Address, error) {
	if flag != "" {
		if !common.IsHexAddress(flag) {
			return common.Address{}, fmt.Errorf("--registry %q is not an address", flag)
		}
		return common.HexToAddress(flag), nil
	}
	d, err := LoadDeployment(dir)
	return d.Registry, err
}

func firstOf(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}

// Close ends the session.
func (s *Session) Close() {
	if err := s.senders.Stop(); err != nil {
		s.opts.Logger.Warn("transaction manager ended badly", slog.Any("error", err))
	}
	for _, c := range s.closers {
		c()
	}
	if s.client != nil {
		s.client.Close()
	}
}

// Sender sends transactions from one of the data directory's keys. The journal
// is the same file that a running node uses for that account.
func (s *Session) Sender(ctx context.Context, nameOrAddress string) (chain.Sender, error) {
	key, err := s.ring.Open(nameOrAddress)
	if err != nil {
		return nil, err
	}
	manager, err := txmgr.New(ctx, txmgr.Config{
		Client: s.client,
		DB:     txJournal(s.opts.Dir, crypto.PubkeyToAddress(key.PublicKey)),
		Key:    key,
		Logger: s.opts.Logger, MaxFeePerGas: s.opts.MaxFeePerGas,
	})
	if err != nil {
		return nil, err
	}
	if err := s.senders.Start(ctx, service.New("transactions", manager.Run)); err != nil {
		_ = manager.Close()
		return nil, err
	}
	s.closers = append(s.closers, func() { _ = manager.Close() })
	return manager, nil
}

func txJournal(dir DataDir, account common.Address) string {
	return dir.Path("tx", account.Hex()+".db")
}

// AccountAddress reads an address, or finds the address of a key by its name.
func (s *Session) AccountAddress(nameOrAddress string) (common.Address, error) {
	if common.IsHexAddress(nameOrAddress) {
		return common.HexToAddress(nameOrAddress), nil
	}
	account, err := s.ring.Find(nameOrAddress)
	return account.Address, err
}

// DeviceID reads a device id, or finds that of a device by its name.
func (s *Session) DeviceID(nameOrID string) (wire.Hash, error) {
	if id, err := wire.ParseHash(nameOrID); err == nil {
		return id, nil
	}
	devices, err := s.devices.List()
	if err != nil {
		return wire.Hash{}, err
	}
	for _, d := range devices {
		if d.Name == nameOrID {
			return d.ID, nil
		}
	}
	return wire.Hash{}, fmt.Errorf("device %q: %w", nameOrID, ErrNoDevice)
}

// Token is the reward token of the local deployment; zero when there is none.
func (s *Session) Token() common.Address { return s.local.Token }

// TokenAmount reads an amount of a token, with as many decimals as it has.
func (s *Session) TokenAmount(ctx context.Context, token common.Address, text string) (*big.Int, error) {
	n, err := tokenDecimals(ctx, s.client, token)
	if err != nil {
		return nil, err
	}
	return ParseUnits(text, n)
}

// SequencerURL is where messages are sent to; empty when unknown.
func (s *Session) SequencerURL() string {
	return firstOf(s.opts.Endpoints.Sequencer, s.info.Sequencer)
}

// SchedulerURL is where the prover's status is asked for; empty when unknown.
func (s *Session) SchedulerURL() string {
	return firstOf(s.opts.Endpoints.Scheduler, s.info.Scheduler)
}

// view calls a contract's view function at the head block.
func view[T any](ctx context.Context, c *chain.Client, to common.Address, data []byte, unpack func([]byte) (T, error)) (T, error) {
	out, err := c.CallContract(ctx, ethereum.CallMsg{To: &to, Data: data}, nil)
	if err != nil {
		var none T
		return none, fmt.Errorf("call %s: %w", to, err)
	}
	return unpack(out)
}

// intent names one wish of a person: commands given twice are meant twice.
func intent(what string) string {
	nonce := make([]byte, 12)
	_, _ = rand.Read(nonce) // never fails
	return "command/" + what + "/" + hex.EncodeToString(nonce)
}

// Local is local.json: what the bootstrap of an embedded deployment made.
type Local struct {
	Project uint64         `json:"project,omitempty"`
	Token   common.Address `json:"token"`
	Dapp    common.Address `json:"dapp"`
	Bundle  wire.Hash      `json:"bundle"`
}

func loadLocal(dir DataDir) (Local, error) {
	var l Local
	err := readJSON(dir.Path("local.json"), &l)
	if errors.Is(err, fs.ErrNotExist) {
		return Local{}, nil
	}
	return l, err
}

func (l Local) save(dir DataDir) error { return writeJSON(dir.Path("local.json"), l) }
