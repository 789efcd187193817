package node

import (
	"context"

	"github.com/ethereum/go-ethereum/common"

	"github.com/gristmill-zk/gristmill/chain"
	"github.com/gristmill-zk/gristmill/chain/bindings"
)

// What a chain of one's own needs besides the contracts: a token that projects
// pay in, and coins that block rewards are paid from. Each step may run again.

// create deploys one contract of the samples.
func create(ctx context.Context, deployer chain.Sender, name string, code []byte) (common.Address, error) {
	receipt, err := deployer.Send(ctx, chain.Request{Key: bootstrapScope + "/" + name, Data: code})
	if err != nil {
		return common.Address{}, err
	}
	return receipt.ContractAddress, nil
}

// localToken deploys GRIST unless it is there, and mints owner's supply. note
// keeps the token's address.
func localToken(ctx context.Context, deployer chain.Sender, owner, have common.Address, note func(common.Address) error) error {
	token := bindings.NewGristToken()
	if have == (common.Address{}) {
		code := append(common.FromHex(bindings.GristTokenMetaData.Bin), token.PackConstructor(deployer.Address())...)
		at, err := create(ctx, deployer, "token", code)
		if err != nil {
			return err
		}
		if err := note(at); err != nil {
			return err
		}
		have = at
	}
	_, err := call(ctx, deployer, bootstrapScope+"/mint", have, token.PackMint(owner, whole(localSupply)))
	return err
}

// fillPool gives the reward pool its coins.
func fillPool(ctx context.Context, deployer chain.Sender, d *chain.Deployment) error {
	_, err := callWith(ctx, deployer, bootstrapScope+"/pool", d.Parts().Rewards, nil, whole(localPool))
	return err
}
