package main

import (
	"context"
	"fmt"
	"io"
	"math/big"

	"github.com/ethereum/go-ethereum/common"
	"github.com/spf13/cobra"

	"github.com/gristmill-zk/gristmill/chain"
	"github.com/gristmill-zk/gristmill/node"
)

// withSession connects to the deployment of the data directory (or the one the
// flags name) for the length of a command.
func (a *app) withSession(cmd *cobra.Command, e node.Endpoints, do func(ctx context.Context, s *node.Session) error) error {
	ctx := cmd.Context()
	role, err := a.roleOptions(e)
	if err != nil {
		return err
	}
	s, err := node.Connect(ctx, role)
	if err != nil {
		return interrupted(ctx, err)
	}
	defer s.Close()
	return interrupted(ctx, do(ctx, s))
}

// withSender is withSession and the transactions of one key.
func (a *app) withSender(cmd *cobra.Command, e node.Endpoints, key string, do func(ctx context.Context, s *node.Session, from chain.Sender) error) error {
	return a.withSession(cmd, e, func(ctx context.Context, s *node.Session) error {
		defer a.patience(commandKey(cmd))()
		from, err := s.Sender(ctx, key)
		if err != nil {
			return err
		}
		return do(ctx, s, from)
	})
}

func (a *app) showDeployment(d node.Deployed) error {
	return a.show(d, func(w io.Writer) error {
		lines := []string{"chain", fmt.Sprint(d.ChainID), "registry", d.Registry.Hex()}
		if d.Token != (common.Address{}) {
			lines = append(lines, "token", d.Token.Hex())
		}
		return facts(w, lines...)
	})
}

// addressFlag reads an address given as a flag; empty gives the fallback.
func addressFlag(name, value string, fallback common.Address) (common.Address, error) {
	if value == "" {
		return fallback, nil
	}
	if !common.IsHexAddress(value) {
		return common.Address{}, fmt.Errorf("--%s %q is not an address", name, value)
	}
	return common.HexToAddress(value), nil
}

// amountFlag reads an amount with 18 decimals ("1.5") into its smallest unit.
func amountFlag(name, value string) (*big.Int, error) {
	amount, err := node.ParseAmount(value)
	if err != nil {
		return nil, fmt.Errorf("--%s: %w", name, err)
	}
	return amount, nil
}
