package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/gristmill-zk/gristmill/chain"
	"github.com/gristmill-zk/gristmill/node"
)

func (a *app) proverCommand() *cobra.Command {
	return groupCommand("prover", "Join as a prover, stake, choose projects, be paid",
		`A prover has an operator key that accepts and settles tasks, a stake that answers
for tasks it accepted and did not settle in time, and a beneficiary that rewards
belong to.

  gristmill prover join --key prover --stake 10 --capacity 4
  gristmill prover optin --key prover 1
  gristmill scheduler --key prover --redis 127.0.0.1:6379
  gristmill prover claim --key prover`,
		a.proverJoinCommand(), a.proverStakeCommand(), a.proverOptInCommand(), a.proverClaimCommand(), a.proverStatusCommand())
}

func (a *app) proverJoinCommand() *cobra.Command {
	var e node.Endpoints
	var key, stake, beneficiary string
	var capacity uint32
	cmd := &cobra.Command{
		Use:     "join",
		Short:   "Register a prover and stake for it",
		Example: "  gristmill prover join --key prover --stake 10 --capacity 4",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withSender(cmd, e, key, func(ctx context.Context, s *node.Session, from chain.Sender) error {
				value, err := amountFlag("stake", stake)
				if err != nil {
					return err
				}
				to, err := addressFlag("beneficiary", beneficiary, from.Address())
				if err != nil {
					return err
				}
				if err := s.Join(ctx, from, to, capacity, value); err != nil {
					return err
				}
				return a.showProver(ctx, s, key)
			})
		},
	}
	flags := cmd.Flags()
	chainFlags(flags, &e)
	flags.StringVar(&key, "key", "prover", "the operator's key")
	flags.StringVar(&stake, "stake", "1", "native coin to stake, with up to 18 decimals")
	flags.Uint32Var(&capacity, "capacity", 4, "tasks it may hold at once")
	flags.StringVar(&beneficiary, "beneficiary", "", "address that rewards belong to (default: the operator)")
	return cmd
}

func (a *app) proverStakeCommand() *cobra.Command {
	var e node.Endpoints
	var key, amount string
	cmd := &cobra.Command{
		Use:     "stake",
		Short:   "Add to a prover's stake",
		Example: "  gristmill prover stake --key prover --amount 5",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withSender(cmd, e, key, func(ctx context.Context, s *node.Session, from chain.Sender) error {
				value, err := amountFlag("amount", amount)
				if err != nil {
					return err
				}
				if err := s.Stake(ctx, from, value); err != nil {
					return err
				}
				return a.showProver(ctx, s, key)
			})
		},
	}
	flags := cmd.Flags()
	chainFlags(flags, &e)
	flags.StringVar(&key, "key", "prover", "the operator's key")
	flags.StringVar(&amount, "amount", "", "native coin to add, with up to 18 decimals")
	must(cmd.MarkFlagRequired("amount"))
	return cmd
}

func (a *app) proverOptInCommand() *cobra.Command {
	var e node.Endpoints
	var key string
	var out bool
	cmd := &cobra.Command{
		Use:     "optin PROJECT...",
		Short:   "Take tasks of projects (or no more, with --out)",
		Example: "  gristmill prover optin --key prover 1 7",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withSender(cmd, e, key, func(ctx context.Context, s *node.Session, from chain.Sender) error {
				projects, err := parseNumbers(args)
				if err != nil {
					return err
				}
				if err := s.OptIn(ctx, from, projects, !out); err != nil {
					return err
				}
				return a.showProver(ctx, s, key)
			})
		},
	}
	flags := cmd.Flags()
	chainFlags(flags, &e)
	flags.StringVar(&key, "key", "prover", "the operator's key")
	flags.BoolVar(&out, "out", false, "opt out instead")
	return cmd
}

func (a *app) proverClaimCommand() *cobra.Command {
	var e node.Endpoints
	var key, to, token string
	cmd := &cobra.Command{
		Use:   "claim",
		Short: "Take out what a key was credited: task rewards and block rewards",
		Long: `Takes out everything that the escrow (in the reward token) and the block reward
pool (in the native coin) owe to a key. Sequencers and provers are paid alike.`,
		Example: "  gristmill prover claim --key prover\n  gristmill prover claim --key sequencer --to 0x...",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withSender(cmd, e, key, func(ctx context.Context, s *node.Session, from chain.Sender) error {
				target, err := addressFlag("to", to, from.Address())
				if err != nil {
					return err
				}
				reward, err := addressFlag("token", token, s.Token())
				if err != nil {
					return err
				}
				claimed, err := s.Claim(ctx, from, reward, target)
				if err != nil {
					return err
				}
				return a.show(claimed, func(w io.Writer) error {
					return facts(w, "to", claimed.To.Hex(), "task rewards", claimed.Token.Units(claimed.Decimals), "block rewards", claimed.Native.String())
				})
			})
		},
	}
	flags := cmd.Flags()
	chainFlags(flags, &e)
	flags.StringVar(&key, "key", "prover", "the key that is owed")
	flags.StringVar(&to, "to", "", "address to pay to (default: the key's own)")
	flags.StringVar(&token, "token", "", "reward token (default: the local deployment's)")
	return cmd
}

func (a *app) proverStatusCommand() *cobra.Command {
	var e node.Endpoints
	var key string
	cmd := &cobra.Command{
		Use:     "status",
		Short:   "Show a prover as the chain has it",
		Example: "  gristmill prover status --key prover --json",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withSession(cmd, e, func(ctx context.Context, s *node.Session) error {
				return a.showProver(ctx, s, key)
			})
		},
	}
	flags := cmd.Flags()
	chainFlags(flags, &e)
	flags.StringVar(&key, "key", "prover", "the operator's key or address")
	return cmd
}

func (a *app) showProver(ctx context.Context, s *node.Session, key string) error {
	operator, err := s.AccountAddress(key)
	if err != nil {
		return err
	}
	view, err := s.Prover(ctx, operator)
	if err != nil {
		return err
	}
	return a.show(view, func(w io.Writer) error {
		if !view.Joined {
			_, err := fmt.Fprintf(w, "%s is not a prover (see: gristmill prover join --help)\n", operator)
			return err
		}
		return facts(w,
			"operator", view.Operator.Hex(),
			"beneficiary", view.Beneficiary.Hex(),
			"stake", view.Stake.String(),
			"tasks held", fmt.Sprintf("%d of %d", view.Used, view.Capacity),
			"paused", yesNo(view.Paused),
			"idle", yesNo(view.Idle),
			"projects", fmt.Sprint(view.Projects),
			"owed task rewards", view.OwedToken.Units(view.Decimals),
			"owed block rewards", view.OwedNative.String(),
		)
	})
}
