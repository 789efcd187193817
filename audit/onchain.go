package audit

import (
	"context"
	"errors"
	"fmt"
	"math/big"

	"github.com/ethereum/go-ethereum"
	"github.com/ethereum/go-ethereum/common"

	"github.com/gristmill-zk/gristmill/chain"
	"github.com/gristmill-zk/gristmill/chain/bindings"
	"github.com/gristmill-zk/gristmill/chain/cursor"
	"github.com/gristmill-zk/gristmill/wire"
)

// BodyFunc finds a body by its hash; ErrNoBody when this place has none.
type BodyFunc func(ctx context.Context, hash wire.Hash) ([]byte, error)

// BlockFunc gives a sequencer's record of the block at a height; nil when the
// sequencer has not come so far.
type BlockFunc func(ctx context.Context, height uint64) (*StoredBlock, error)

// ProofFunc gives a prover's record of a proof; ErrNoProof when it has none.
type ProofFunc func(ctx context.Context, task wire.Hash) (*wire.ProofEnvelope, error)

// Places is where data and records are asked for, each list in order.
type Places struct {
	Bodies []BodyFunc
	Blocks []BlockFunc
	Proofs []ProofFunc
}

// OnChain is the Source of a deployment behind an RPC endpoint.
type OnChain struct {
	deployment *chain.Deployment
	places     Places
}

var _ Source = (*OnChain)(nil)

// NewOnChain reads a deployment.
func NewOnChain(d *chain.Deployment, places Places) *OnChain {
	return &OnChain{deployment: d, places: places}
}

// Params reads the constants of minter and escrow.
func (s *OnChain) Params(ctx context.Context) (Params, error) {
	p := s.deployment.Params()
	escrow := bindings.NewEscrow()
	share, err := s.deployment.ProtocolShareBps(ctx)
	if err != nil {
		return Params{}, err
	}
	treasury, err := view(ctx, s.deployment.Client(), nil, s.deployment.Parts().Escrow, escrow.PackTreasury(), escrow.UnpackTreasury)
	return Params{
		Deployment: s.deployment.Wire(), Minter: wire.Address(s.deployment.Parts().Minter),
		GenesisTime: p.GenesisTime, GenesisBits: p.GenesisBits, TargetSeconds: p.TargetSeconds, HalfLife: p.HalfLife,
		PowLimit: p.PowLimit, MaxTasks: p.MaxTasks, ProtocolShareBps: share,
		Treasury: wire.Address(treasury),
	}, err
}

// ErrReorganised says that the chain changed under the audit: run it again.
var ErrReorganised = errors.New("the chain reorganised while it was read")

// Events reads the logs of all contracts from the deployment's first block up
// to the head.
func (s *OnChain) Events(ctx context.Context, yield func(chain.Event) error) (End, error) {
	start, err := s.deployment.Start(ctx)
	if err != nil {
		return End{}, err
	}
	logs, err := cursor.New(cursor.Config{Client: s.deployment.Client(), Addresses: s.deployment.Addresses(), Start: start})
	if err != nil {
		return End{}, err
	}
	var at cursor.Position
	for {
		batch, err := logs.Next(ctx, at)
		if err != nil {
			return End{}, err
		}
		if batch.Rollback != nil {
			return End{}, ErrReorganised
		}
		events, err := s.deployment.DecodeEvents(batch.Logs)
		if err != nil {
			return End{}, err
		}
		for _, e := range events {
			if err := yield(e); err != nil {
				return End{}, err
			}
		}
		at = batch.Next
		if !batch.More {
			return End{Number: at.Number, Hash: at.Hash}, nil
		}
	}
}

// Version reads a project version.
func (s *OnChain) Version(ctx context.Context, project uint64, version uint32) (chain.Version, error) {
	return s.deployment.Version(ctx, project, version)
}

// VerifyingKey reads a registered key.
func (s *OnChain) VerifyingKey(ctx context.Context, id wire.Hash) ([]byte, error) {
	return s.deployment.VerifyingKey(ctx, id)
}

// Body asks every place for the body. Bytes that are not what was asked for win
// over good ones of another place: finding those is what an audit is for. So
// does trouble with a place: what it has could not be looked at.
func (s *OnChain) Body(ctx context.Context, hash wire.Hash) ([]byte, error) {
	var good []byte
	var troubles []error
	for _, from := range s.places.Bodies {
		body, err := from(ctx, hash)
		switch {
		case errors.Is(err, ErrNoBody):
		case err != nil:
			troubles = append(troubles, err)
		case wire.DataHash(body) != hash:
			return body, nil
		case good == nil:
			good = body
		}
	}
	switch {
	case len(troubles) > 0:
		return nil, errors.Join(troubles...)
	case good != nil:
		return good, nil
	}
	return nil, fmt.Errorf("%s: %w", hash, ErrNoBody)
}

// StoredBlocks asks every known sequencer.
func (s *OnChain) StoredBlocks(ctx context.Context, height uint64) ([]StoredBlock, error) {
	var records []StoredBlock
	for _, from := range s.places.Blocks {
		record, err := from(ctx, height)
		if err != nil {
			return nil, err
		}
		if record != nil {
			records = append(records, *record)
		}
	}
	return records, nil
}

// StoredProof asks every known prover: the one that proved the task has it.
func (s *OnChain) StoredProof(ctx context.Context, task wire.Hash) (*wire.ProofEnvelope, error) {
	for _, from := range s.places.Proofs {
		envelope, err := from(ctx, task)
		if !errors.Is(err, ErrNoProof) {
			return envelope, err
		}
	}
	return nil, ErrNoProof
}

// BlockTime reads a block's timestamp.
func (s *OnChain) BlockTime(ctx context.Context, number uint64) (uint64, error) {
	ref, err := s.deployment.Client().BlockRef(ctx, new(big.Int).SetUint64(number))
	return ref.Time, err
}

// Tip reads the newest mined block.
func (s *OnChain) Tip(ctx context.Context, at End) (hash wire.Hash, height uint64, err error) {
	minter := bindings.NewBlockMinter()
	err = s.still(ctx, at, func(block *big.Int) error {
		tip, err := view(ctx, s.deployment.Client(), block, s.deployment.Parts().Minter, minter.PackTip(), minter.UnpackTip)
		hash, height = tip.Hash, tip.Height
		return err
	})
	return hash, height, err
}

// Escrow reads what a project has in a token.
func (s *OnChain) Escrow(ctx context.Context, at End, project uint64, token wire.Address) (free, withheld *big.Int, err error) {
	escrow, address, unit := bindings.NewEscrow(), s.deployment.Parts().Escrow, common.Address(token)
	err = s.still(ctx, at, func(block *big.Int) (err error) {
		client := s.deployment.Client()
		if free, err = view(ctx, client, block, address, escrow.PackFreeOf(project, unit), escrow.UnpackFreeOf); err != nil {
			return err
		}
		withheld, err = view(ctx, client, block, address, escrow.PackWithheldOf(project, unit), escrow.UnpackWithheldOf)
		return err
	})
	return free, withheld, err
}

// still reads at a block by its number and makes sure that it was that block.
func (s *OnChain) still(ctx context.Context, at End, read func(block *big.Int) error) error {
	number := new(big.Int).SetUint64(at.Number)
	if err := read(number); err != nil {
		return err
	}
	now, err := s.deployment.Client().BlockRef(ctx, number)
	if errors.Is(err, ethereum.NotFound) || (err == nil && now.Hash != at.Hash) {
		return ErrReorganised
	}
	return err
}

// view calls a contract at a block; nil is the head.
func view[T any](ctx context.Context, c *chain.Client, block *big.Int, to common.Address, data []byte, unpack func([]byte) (T, error)) (T, error) {
	out, err := c.CallContract(ctx, ethereum.CallMsg{To: &to, Data: data}, block)
	if err != nil {
		var none T
		return none, fmt.Errorf("call %s: %w", to, err)
	}
	return unpack(out)
}
