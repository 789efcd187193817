package main

import (
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/gristmill-zk/gristmill/node"
)

func localFlags(flags *pflag.FlagSet, o *node.LocalOptions) {
	flags.StringVar(&o.RPCListen, "rpc-listen", o.RPCListen, "loopback address of the chain's JSON-RPC (port 0: a free one)")
	flags.StringVar(&o.SequencerListen, "listen", o.SequencerListen, "address of the message API")
	flags.StringVar(&o.MiningListen, "mining-listen", o.MiningListen, "address that outside miners fetch work from")
	flags.StringVar(&o.SchedulerListen, "scheduler-listen", o.SchedulerListen, "address of the prover's data and status API")
	flags.StringVar(&o.Redis, "redis", "", redisHelp+" (default: one inside the process)")
	engineFlags(flags, &o.Engines)
	pluginFlags(flags, &o.Plugins)
	flags.IntVar(&o.Threads, "threads", o.Threads, "mining threads (0: one per core)")
	flags.StringVar(&o.Plugin, "meter-plugin", "", "the meter circuit's plugin binary (default: plugins/meter next to this program, else built from its source; first start only)")
	flags.StringVar(&o.Trust, "trust", "", trustHelp)
	flags.DurationVar(&o.Terms.MaxWait, "max-wait", o.Terms.MaxWait, "how long the first message of a batch waits for others (first start only)")
	flags.DurationVar(&o.Terms.AcceptWindow, "accept-window", o.Terms.AcceptWindow, "how long a prover may take to accept an offer (first start only)")
	flags.DurationVar(&o.Terms.ProveWindow, "prove-window", o.Terms.ProveWindow, "how long an accepted task may take (first start only)")
	difficultyFlags(flags, &o.Mining, firstStart)
}

func (a *app) upCommand() *cobra.Command {
	opts := node.UpOptions{LocalOptions: node.LocalOptions{
		RPCListen:       "127.0.0.1:8545",
		SequencerListen: "127.0.0.1:7410",
		MiningListen:    "127.0.0.1:7420",
		SchedulerListen: "127.0.0.1:7430",
		Threads:         1,
		Terms:           node.DefaultTerms(),
	}}
	var confirmations uint32
	var fee gwei
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Run everything on this machine in one process",
		Long: `Runs an embedded chain, an embedded queue, a sequencer, a miner, a scheduler and a
worker. The first start makes keys, deploys the contracts, builds the meter
circuit's keys, and creates project 1 with a token and money to spend; a start
that was interrupted is completed by the next. Everything is kept in the data
directory, so the chain goes on where it was.

Other commands on the same data directory find the running node by themselves:
  gristmill send --set wh=1500 --wait
  gristmill task ls
  gristmill audit`,
		Example: "  gristmill up\n  gristmill up --data-dir ./farm --listen 127.0.0.1:9000 --slots 2",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			role, err := a.roleOptions(node.Endpoints{})
			if err != nil {
				return err
			}
			opts.RoleOptions = role
			opts.Confirmations, opts.MaxFeePerGas = confirmations, fee.wei
			if !a.json {
				opts.Out = a.stdout
			}
			return interrupted(cmd.Context(), node.Up(cmd.Context(), opts))
		},
	}
	localFlags(cmd.Flags(), &opts.LocalOptions)
	bundleFlags(cmd.Flags(), &opts.Bundles)
	confirmationsFlag(cmd.Flags(), &confirmations)
	maxFeeFlag(cmd.Flags(), &fee)
	return cmd
}
