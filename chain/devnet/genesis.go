package devnet

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/eth/ethconfig"
	"github.com/ethereum/go-ethereum/params"

	"github.com/gristmill-zk/gristmill/internal/durable"
)

const pinFile = "genesis.json"

// pin is what the genesis block of a data directory is made of. It is written
// once, before anything else.
type pin struct {
	ChainID uint64                    `json:"chain_id"`
	Time    uint64                    `json:"time"`
	Alloc   map[common.Address]string `json:"alloc"` // wei, decimal
}

// loadPin gives the pinned genesis of dir, made from cfg when dir has none.
func loadPin(dir string, cfg Config, now time.Time) (pin, error) {
	path := filepath.Join(dir, pinFile)
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		p := newPin(cfg, now)
		return p, writePin(path, p)
	}
	if err != nil {
		return pin{}, fmt.Errorf("devnet: %w", err)
	}
	var p pin
	if err := json.Unmarshal(data, &p); err != nil {
		return pin{}, fmt.Errorf("devnet: %s: %w", path, err)
	}
	if err := p.matches(cfg); err != nil {
		return pin{}, fmt.Errorf("devnet: %s holds another chain: %w", dir, err)
	}
	return p, nil
}

func newPin(cfg Config, now time.Time) pin {
	p := pin{ChainID: cfg.ChainID, Time: uint64(now.Unix()), Alloc: map[common.Address]string{}}
	if p.ChainID == 0 {
		p.ChainID = DefaultChainID
	}
	for a, wei := range cfg.Alloc {
		p.Alloc[a] = wei.String()
	}
	return p
}

func writePin(path string, p pin) error {
	data, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		return fmt.Errorf("devnet: %w", err)
	}
	if err := durable.WriteFile(path, append(data, '\n')); err != nil {
		return fmt.Errorf("devnet: %w", err)
	}
	return nil
}

// matches says what of cfg differs from the pinned chain.
func (p pin) matches(cfg Config) error {
	if cfg.ChainID != 0 && cfg.ChainID != p.ChainID {
		return fmt.Errorf("chain id %d, not %d", p.ChainID, cfg.ChainID)
	}
	if cfg.Alloc == nil {
		return nil
	}
	asked := newPin(cfg, time.Time{}).Alloc
	accounts := slices.Collect(maps.Keys(p.Alloc))
	for a := range asked {
		if _, ok := p.Alloc[a]; !ok {
			accounts = append(accounts, a)
		}
	}
	slices.SortFunc(accounts, common.Address.Cmp)
	for _, a := range accounts {
		if has, want := orZero(p.Alloc[a]), orZero(asked[a]); has != want {
			return fmt.Errorf("alloc gives %s %s wei, not %s", a, has, want)
		}
	}
	return nil
}

func orZero(wei string) string {
	if wei == "" {
		return "0"
	}
	return wei
}

// genesis builds the block's description: every fork up to Osaka from the
// first block, and the system contracts those forks call.
func (p pin) genesis() (*core.Genesis, error) {
	config := *params.AllDevChainProtocolChanges
	config.ChainID = new(big.Int).SetUint64(p.ChainID)
	config.BogotaTime = nil
	alloc := core.SystemContractAllocs()
	for a, s := range p.Alloc {
		wei, ok := new(big.Int).SetString(s, 10)
		if !ok || wei.Sign() < 0 {
			return nil, fmt.Errorf("devnet: pinned alloc of %s: %q is no amount of wei", a, s)
		}
		alloc[a] = types.Account{Balance: wei}
	}
	return &core.Genesis{
		Config:    &config,
		Timestamp: p.Time,
		GasLimit:  ethconfig.Defaults.Miner.GasCeil,
		Alloc:     alloc,
	}, nil
}
