package audit

import (
	"context"
	"errors"
	"fmt"
	"math/big"

	"github.com/gristmill-zk/gristmill/chain"
	"github.com/gristmill-zk/gristmill/chain/cursor"
	"github.com/gristmill-zk/gristmill/wire"
)

// BodyFunc finds a body by its hash; ErrNoBody when this place has none.
type BodyFunc func(ctx context.Context, hash wire.Hash) ([]byte, error)

// ProofFunc gives a prover's record of a proof; ErrNoProof when it has none.
type ProofFunc func(ctx context.Context, task wire.Hash) (*wire.ProofEnvelope, error)

// OnChain is the Source of a deployment behind an RPC endpoint.
type OnChain struct {
	deployment *chain.Deployment
	proof      ProofFunc
	bodies     []BodyFunc
}

var _ Source = (*OnChain)(nil)

// NewOnChain reads a deployment. proof may be nil; bodies are asked in order.
func NewOnChain(d *chain.Deployment, proof ProofFunc, bodies ...BodyFunc) *OnChain {
	return &OnChain{deployment: d, proof: proof, bodies: bodies}
}

// Params reads the constants of minter and escrow.
func (s *OnChain) Params(ctx context.Context) (Params, error) {
	p := s.deployment.Params()
	share, err := s.deployment.ProtocolShareBps(ctx)
	return Params{
		Deployment: s.deployment.Wire(), Minter: wire.Address(s.deployment.Parts().Minter),
		GenesisTime: p.GenesisTime, GenesisBits: p.GenesisBits, TargetSeconds: p.TargetSeconds, HalfLife: p.HalfLife,
		PowLimit: p.PowLimit, MaxTasks: p.MaxTasks, ProtocolShareBps: share,
	}, err
}

// ErrReorganised says that the chain changed under the audit: run it again.
var ErrReorganised = errors.New("the chain reorganised while it was read")

// Events reads the logs of all contracts up to the head.
func (s *OnChain) Events(ctx context.Context, yield func(chain.Event) error) error {
	logs, err := cursor.New(cursor.Config{Client: s.deployment.Client(), Addresses: s.deployment.Addresses()})
	if err != nil {
		return err
	}
	var at cursor.Position
	for {
		batch, err := logs.Next(ctx, at)
		if err != nil {
			return err
		}
		if batch.Rollback != nil {
			return ErrReorganised
		}
		events, err := s.deployment.DecodeEvents(batch.Logs)
		if err != nil {
			return err
		}
		for _, e := range events {
			if err := yield(e); err != nil {
				return err
			}
		}
		at = batch.Next
		if !batch.More {
			return nil
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
// over good ones of another place: finding those is what an audit is for.
func (s *OnChain) Body(ctx context.Context, hash wire.Hash) ([]byte, error) {
	var good []byte
	var troubles []error
	for _, from := range s.bodies {
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
	case good != nil:
		return good, nil
	case len(troubles) > 0:
		return nil, errors.Join(troubles...)
	}
	return nil, fmt.Errorf("%s: %w", hash, ErrNoBody)
}

// StoredProof asks the prover.
func (s *OnChain) StoredProof(ctx context.Context, task wire.Hash) (*wire.ProofEnvelope, error) {
	if s.proof == nil {
		return nil, ErrNoProof
	}
	return s.proof(ctx, task)
}

// BlockTime reads a block's timestamp.
func (s *OnChain) BlockTime(ctx context.Context, number uint64) (uint64, error) {
	ref, err := s.deployment.Client().BlockRef(ctx, new(big.Int).SetUint64(number))
	return ref.Time, err
}

// Tip reads the newest mined block.
func (s *OnChain) Tip(ctx context.Context) (wire.Hash, uint64, error) {
	tip, err := s.deployment.Tip(ctx)
	return tip.Hash, tip.Height, err
}
