package chain

import (
	"context"
	"errors"
	"fmt"
	"math/big"

	"github.com/ethereum/go-ethereum"
	"github.com/ethereum/go-ethereum/common"

	"github.com/gristmill-zk/gristmill/chain/bindings"
	"github.com/gristmill-zk/gristmill/wire"
)

// Parts are the addresses of a deployment's contracts.
type Parts = bindings.Parts

// MinterParams are the rules of the chain of blocks.
type MinterParams = bindings.MinterParams

// Version is what a project runs; it never changes once added.
type Version = bindings.Version

// What opening a deployment may find.
var (
	// ErrNoContract says that there is no code at an address.
	ErrNoContract = errors.New("no contract there")
	// ErrNotSealed says that a deployment was begun and not finished.
	ErrNotSealed = errors.New("the deployment is not finished: its registry is not sealed")
)

// Deployment is a typed view of the contracts behind one registry.
type Deployment struct {
	client   *Client
	registry common.Address
	parts    Parts
	params   MinterParams
	wire     wire.Deployment
	decoders map[eventKey]decoder
	began    began
}

// Open reads the parts of the deployment at registry. It checks that the
// contracts derive the same deployment id as package wire does.
func Open(ctx context.Context, c *Client, registry common.Address) (*Deployment, error) {
	d := &Deployment{
		client:   c,
		registry: registry,
		wire:     wire.Deployment{ChainID: c.ID(), Registry: WireAddress(registry)},
	}
	if err := d.load(ctx); err != nil {
		return nil, fmt.Errorf("chain: registry %s on chain %d: %w", registry, c.ID(), err)
	}
	d.decoders = decoders(d.parts)
	return d, nil
}

func (d *Deployment) load(ctx context.Context) error {
	r := bindings.NewRegistry()
	id, err := view(ctx, d.client, d.registry, nil, r.PackDeploymentId(), r.UnpackDeploymentId)
	if err != nil {
		return fmt.Errorf("deployment id: %w", err)
	}
	if want := d.wire.IDBytes(); wire.Hash(id) != want {
		return fmt.Errorf("its deployment id is 0x%x, not %s", id, want)
	}
	if d.parts, err = view(ctx, d.client, d.registry, nil, r.PackParts(), r.UnpackParts); err != nil {
		var revert *RevertError
		if errors.As(err, &revert) && revert.Name == "NotSealed" {
			return ErrNotSealed
		}
		return fmt.Errorf("parts: %w", err)
	}
	m := bindings.NewBlockMinter()
	if d.params, err = view(ctx, d.client, d.parts.Minter, nil, m.PackParams(), m.UnpackParams); err != nil {
		return fmt.Errorf("minter: %w", err)
	}
	return nil
}

// Client is the connection it reads through.
func (d *Deployment) Client() *Client { return d.client }

// Registry is the address that names the deployment.
func (d *Deployment) Registry() common.Address { return d.registry }

// Parts are the contracts' addresses.
func (d *Deployment) Parts() Parts { return d.parts }

// Params are the minter's constants.
func (d *Deployment) Params() MinterParams { return d.params }

// Wire is the deployment as digests name it.
func (d *Deployment) Wire() wire.Deployment { return d.wire }

// Addresses are all contracts that emit events, for a log cursor.
func (d *Deployment) Addresses() []common.Address {
	p := d.parts
	return []common.Address{d.registry, p.Projects, p.Devices, p.Provers, p.Sequencers, p.Keys, p.Minter, p.Tasks, p.Escrow, p.Rewards}
}

// view calls a contract without a transaction, at a block or the head (nil).
func view[T any](ctx context.Context, c *Client, to common.Address, block *big.Int, data []byte, unpack func([]byte) (T, error)) (T, error) {
	var none T
	out, err := c.CallContract(ctx, ethereum.CallMsg{To: &to, Data: data}, block)
	if err != nil {
		if revert := AsRevert(err); revert != nil {
			return none, revert
		}
		return none, err
	}
	if len(out) == 0 { // every view of ours returns something
		return none, fmt.Errorf("%s: %w", to, ErrNoContract)
	}
	return unpack(out)
}
