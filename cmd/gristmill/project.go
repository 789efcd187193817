package main

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/spf13/cobra"

	"github.com/gristmill-zk/gristmill/chain"
	"github.com/gristmill-zk/gristmill/node"
	"github.com/gristmill-zk/gristmill/wire"
)

func (a *app) projectCommand() *cobra.Command {
	return groupCommand("project", "Create a project, pay for it, list its devices",
		`A project is a circuit, a price and a list of devices. Its owner deposits the
reward token into escrow; every settled task takes one reward from it.

  gristmill plugin build ./plugins/circuits/meter
  gristmill project create --bundle DIR --token 0x... --reward 10 --key owner
  gristmill project device add --project 2 0x1f3a... --key owner
  gristmill project deposit --project 2 --amount 1000 --key owner`,
		a.projectCreateCommand(), a.projectDepositCommand(), a.projectDeviceCommand(), a.projectShowCommand())
}

func (a *app) projectCreateCommand() *cobra.Command {
	var e node.Endpoints
	var key, token, reward, dapp string
	var sequencers []string
	spec := node.ProjectSpec{}
	cmd := &cobra.Command{
		Use:   "create",
		Short: "Register a circuit and open a project for it",
		Long: `Registers the bundle's verifying key on chain (unless it is there), creates the
project, adds its first version and lists the sequencer keys that may authorise
tasks for it. Prints the project's number.`,
		Example: "  gristmill project create --bundle ~/.local/share/gristmill/bundles/9f... --token 0x... --reward 10 --key owner",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withSender(cmd, e, key, func(ctx context.Context, s *node.Session, from chain.Sender) (err error) {
				if spec.Token, err = addressFlag("token", token, s.Token()); err != nil {
					return err
				}
				if spec.Reward, err = s.TokenAmount(ctx, spec.Token, reward); err != nil {
					return fmt.Errorf("--reward: %w", err)
				}
				if spec.Dapp, err = addressFlag("dapp", dapp, common.Address{}); err != nil {
					return err
				}
				for _, text := range sequencers {
					sequencer, err := s.AccountAddress(text)
					if err != nil {
						return fmt.Errorf("--sequencer: %w", err)
					}
					spec.Sequencers = append(spec.Sequencers, sequencer)
				}
				project, err := s.CreateProject(ctx, from, spec)
				if err != nil {
					return err
				}
				return a.showProject(ctx, s, project)
			})
		},
	}
	flags := cmd.Flags()
	chainFlags(flags, &e)
	flags.StringVar(&key, "key", "owner", "key that owns the project")
	flags.StringVar(&spec.Bundle, "bundle", "", "folder of the circuit's bundle (see: gristmill plugin build)")
	flags.StringVar(&token, "token", "", "ERC-20 token that tasks are paid in (default: the local deployment's)")
	flags.StringVar(&reward, "reward", "10", "price of a task, in whole tokens, with as many decimals as the token has")
	flags.DurationVar(&spec.MaxWait, "max-wait", 2*time.Second, "how long the first message of a batch waits for others")
	flags.DurationVar(&spec.AcceptWindow, "accept-window", 2*time.Minute, "how long a prover may take to accept an offer")
	flags.DurationVar(&spec.ProveWindow, "prove-window", 10*time.Minute, "how long an accepted task may take")
	flags.DurationVar(&spec.RecallGrace, "recall-grace", time.Hour, "how long after a missed deadline the project may recall its money")
	flags.Uint16Var(&spec.SequencerShareBps, "sequencer-share", 1000, "the sequencer's part of the reward, in 1/10000")
	flags.StringSliceVar(&sequencers, "sequencer", []string{"sequencer"}, "keys or addresses that may authorise tasks")
	flags.StringVar(&dapp, "dapp", "", "contract told about every settled task")
	flags.BoolVar(&spec.AllowInsecure, "allow-insecure-keys", false, "take a bundle whose keys one machine made by itself (always, on embedded chains)")
	flags.Uint32Var(&spec.DappGas, "dapp-gas", 200_000, "gas the dApp's call-back gets")
	must(cmd.MarkFlagRequired("bundle"))
	return cmd
}

// must is for mistakes in the commands' own definition, found by any test.
func must(err error) {
	if err != nil {
		panic(err)
	}
}

func (a *app) projectDepositCommand() *cobra.Command {
	var e node.Endpoints
	var key, amount string
	var project uint64
	cmd := &cobra.Command{
		Use:     "deposit",
		Short:   "Pay the reward token into a project's escrow",
		Example: "  gristmill project deposit --project 1 --amount 1000 --key owner",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withSender(cmd, e, key, func(ctx context.Context, s *node.Session, from chain.Sender) error {
				if err := s.Deposit(ctx, from, project, amount); err != nil {
					return err
				}
				return a.showProject(ctx, s, project)
			})
		},
	}
	flags := cmd.Flags()
	chainFlags(flags, &e)
	flags.StringVar(&key, "key", "owner", "key that pays")
	flags.Uint64Var(&project, "project", 1, "the project's number")
	flags.StringVar(&amount, "amount", "", "how much of the reward token, in whole tokens, with as many decimals as it has")
	must(cmd.MarkFlagRequired("amount"))
	return cmd
}

func (a *app) projectDeviceCommand() *cobra.Command {
	return groupCommand("device", "Change the list of devices a project takes messages from",
		"A device is listed by its id, which is a hash of its public key (see: gristmill device new).",
		a.projectDeviceSetCommand("add", "List devices", true), a.projectDeviceSetCommand("remove", "Strike devices from the list", false))
}

func (a *app) projectDeviceSetCommand(use, short string, allowed bool) *cobra.Command {
	var e node.Endpoints
	var key string
	var project uint64
	cmd := &cobra.Command{
		Use:     use + " DEVICE...",
		Short:   short + ": device ids, or names of devices in the data directory",
		Example: fmt.Sprintf("  gristmill project device %s --project 1 0x1f3a... roof-meter --key owner", use),
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withSender(cmd, e, key, func(ctx context.Context, s *node.Session, from chain.Sender) error {
				ids := make([]wire.Hash, len(args))
				for i, arg := range args {
					id, err := s.DeviceID(arg)
					if err != nil {
						return err
					}
					ids[i] = id
				}
				if err := s.SetDevices(ctx, from, project, ids, allowed); err != nil {
					return err
				}
				return a.show(map[string]any{"project": project, "devices": ids, "allowed": allowed}, func(w io.Writer) error {
					for _, id := range ids {
						fmt.Fprintf(w, "project %d: device %s %s\n", project, id, map[bool]string{true: "listed", false: "struck off"}[allowed])
					}
					return nil
				})
			})
		},
	}
	flags := cmd.Flags()
	chainFlags(flags, &e)
	flags.StringVar(&key, "key", "owner", "the project owner's key")
	flags.Uint64Var(&project, "project", 1, "the project's number")
	return cmd
}

func (a *app) projectShowCommand() *cobra.Command {
	var e node.Endpoints
	cmd := &cobra.Command{
		Use:     "show [PROJECT]",
		Short:   "Show a project as the chain has it",
		Example: "  gristmill project show 1 --json",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			project := uint64(1)
			if len(args) == 1 {
				n, err := strconv.ParseUint(args[0], 10, 64)
				if err != nil {
					return fmt.Errorf("project %q is not a number", args[0])
				}
				project = n
			}
			return a.withSession(cmd, e, func(ctx context.Context, s *node.Session) error {
				return a.showProject(ctx, s, project)
			})
		},
	}
	chainFlags(cmd.Flags(), &e)
	return cmd
}

func (a *app) showProject(ctx context.Context, s *node.Session, project uint64) error {
	view, err := s.Project(ctx, project)
	if err != nil {
		return err
	}
	return a.show(view, func(w io.Writer) error {
		if view.Version == 0 {
			return facts(w, "project", fmt.Sprint(view.Project), "owner", view.Owner.Hex(), "paused", yesNo(view.Paused), "version", "no version yet")
		}
		return facts(w,
			"project", fmt.Sprint(view.Project),
			"owner", view.Owner.Hex(),
			"paused", yesNo(view.Paused),
			"version", fmt.Sprint(view.Version),
			"verifying key", view.VKID.String(),
			"bundle", view.BundleDigest.String(),
			"messages per task", fmt.Sprintf("%d of at most %d bytes", view.BatchSize, view.PayloadLimit),
			"reward", view.Reward.Units(view.Decimals)+" of token "+view.Token.Hex(),
			"sequencer's share", fmt.Sprintf("%.2f %%", float64(view.SequencerShareBps)/100),
			"escrow free", view.Free.Units(view.Decimals),
			"escrow withheld", view.Withheld.Units(view.Decimals),
		)
	})
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}
