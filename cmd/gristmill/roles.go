package main

import (
	"fmt"
	"math/big"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/gristmill-zk/gristmill/node"
	"github.com/gristmill-zk/gristmill/plugins/bundle"
	"github.com/gristmill-zk/gristmill/plugins/host"
	"github.com/gristmill-zk/gristmill/plugins/sandbox"
)

// chainFlags are the flags of every command that talks to the chain.
func chainFlags(flags *pflag.FlagSet, e *node.Endpoints) {
	rpcFlag(flags, e)
	flags.StringVar(&e.Registry, "registry", "", "address of the deployment's Registry contract (default: the data directory's)")
}

func rpcFlag(flags *pflag.FlagSet, e *node.Endpoints) {
	flags.StringVar(&e.RPC, "rpc", "", "JSON-RPC endpoint of the chain (default: the node or devnet running on the data directory)")
}

// schedulerFlag is for commands that ask a prover what it knows.
func schedulerFlag(flags *pflag.FlagSet, e *node.Endpoints) {
	flags.StringVar(&e.Scheduler, "scheduler", "", "URL of a prover's scheduler to ask (default: the one running on the data directory)")
}

// redisHelp says what --redis takes.
const redisHelp = "the queue's Redis: host:port, or redis://[user:password@]host:port[/db], rediss:// for TLS; a password is better given in GRISTMILL_REDIS, where no list of processes shows it"

func confirmationsFlag(flags *pflag.FlagSet, n *uint32) {
	flags.Uint32Var(n, "confirmations", 0, "EVM blocks that must follow one before it is believed and a transaction in it is done; 0 acts on the newest block and undoes what a reorganisation takes back. "+
		"0 fits a local chain and chains with instant finality; on others take the depth their reorganisations do not reach (2 or 3 on Ethereum, 64 for finality). Every step waits that long, so stay well below the projects' accept windows")
}

// gwei is an amount of 10^9 wei on the command line.
type gwei struct{ wei *big.Int }

func (g *gwei) String() string {
	if g.wei == nil {
		return ""
	}
	return node.FormatAmount(new(big.Int).Mul(g.wei, big.NewInt(1e9)))
}

func (g *gwei) Type() string { return "gwei" }

func (g *gwei) Set(text string) error {
	amount, err := node.ParseAmount(text) // of 18 decimals, where gwei have 9
	if err != nil {
		return err
	}
	wei, rest := new(big.Int).QuoRem(amount, big.NewInt(1e9), new(big.Int))
	if wei.Sign() <= 0 || rest.Sign() != 0 {
		return fmt.Errorf("%q is no number of gwei above 0 with at most 9 decimals", text)
	}
	g.wei = wei
	return nil
}

func maxFeeFlag(flags *pflag.FlagSet, fee *gwei) {
	flags.Var(fee, "max-fee-per-gas", "most that transactions bid for gas, in gwei; one that waits at its limit is sent again until fees fall (default: ten times what the transaction bid at first)")
}

func (a *app) roleOptions(e node.Endpoints) (node.RoleOptions, error) {
	dir, err := a.openDir()
	if err != nil {
		return node.RoleOptions{}, err
	}
	opts := node.RoleOptions{Dir: dir, Endpoints: e, Password: a.password(), Logger: a.log, Out: a.stderr}
	if a.json {
		opts.Ready = func(info node.Info) { _ = printJSON(a.stdout, info) }
	}
	return opts, nil
}

func (a *app) devnetCommand() *cobra.Command {
	var opts node.DevnetOptions
	cmd := &cobra.Command{
		Use:   "devnet",
		Short: "Run the embedded chain by itself",
		Long: `Runs an EVM chain in this process: real JSON-RPC on a loopback port, a block per
second while transactions wait, an empty one every ten seconds. It keeps its
chain in DATA_DIR/chain, SIGKILL included. The keys deployer, owner, sequencer
and prover are made on the first start and have money from genesis.`,
		Example: `  gristmill devnet --listen 127.0.0.1:8545
  gristmill deploy --rpc http://127.0.0.1:8545 --key deployer`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			role, err := a.roleOptions(node.Endpoints{})
			if err != nil {
				return err
			}
			opts.RoleOptions = role
			return interrupted(cmd.Context(), node.RunDevnet(cmd.Context(), opts))
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&opts.Listen, "listen", "127.0.0.1:8545", "loopback address of the JSON-RPC endpoint")
	flags.Uint64Var(&opts.ChainID, "chain-id", 31337, "chain id of a new chain (first start only)")
	flags.StringSliceVar(&opts.Fund, "fund", nil, "more addresses that have money from genesis (first start only)")
	return cmd
}

func (a *app) deployCommand() *cobra.Command {
	var e node.Endpoints
	opts := node.DeployOptions{}
	var fee gwei
	cmd := &cobra.Command{
		Use:   "deploy",
		Short: "Put the contracts on a chain",
		Long: `Deploys all contracts with one key and writes deployment.json to the data
directory. A deployment that was interrupted is completed by running it again.

On a chain of your own, --local also deploys GRIST, a token for projects to pay
in, gives a million of it to the key --owner, and fills the pool that block
rewards come from.`,
		Example: "  gristmill deploy --rpc http://127.0.0.1:8545 --local --block-time 10s",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			role, err := a.roleOptions(e)
			if err != nil {
				return err
			}
			opts.RoleOptions = role
			opts.MaxFeePerGas = fee.wei
			stop := a.patience("deploy")
			deployment, err := node.Deploy(cmd.Context(), opts)
			stop()
			if err != nil {
				return interrupted(cmd.Context(), err)
			}
			return a.showDeployment(deployment)
		},
	}
	flags := cmd.Flags()
	rpcFlag(flags, &e)
	flags.StringVar(&opts.Key, "key", "deployer", "key that deploys and pays")
	flags.BoolVar(&opts.Local, "local", false, "also make a token and fill the reward pool")
	flags.StringVar(&opts.Owner, "owner", "owner", "with --local, the key that gets the tokens")
	flags.DurationVar(&opts.Windows.MinAccept, "min-accept-window", 0, "least time that projects must give provers to accept an offer (default 30s, with --local 1s)")
	flags.DurationVar(&opts.Windows.MinProve, "min-prove-window", 0, "least time that projects must give provers to prove a task (default 1m, with --local 1s)")
	maxFeeFlag(flags, &fee)
	difficultyFlags(flags, &opts.Mining, "")
	return cmd
}

// difficultyFlags are how hard blocks are; when says when they count. A default
// that is the command's own is shown by the flag itself.
func difficultyFlags(flags *pflag.FlagSet, m *node.Mining, when string) {
	usual := func(set bool, text string) string {
		if set {
			return when
		}
		return " (default " + text + ")" + when
	}
	flags.StringVar(&m.Bits, "genesis-bits", m.Bits, "difficulty of the first block as compact bits, not easier than 1e7fffff, 2^17 hashes"+usual(m.Bits != "", "that"))
	flags.DurationVar(&m.BlockTime, "block-time", m.BlockTime, "time between blocks that the difficulty aims at"+usual(m.BlockTime != 0, "10s"))
	flags.DurationVar(&m.HalfLife, "half-life", m.HalfLife, "how slowly the difficulty follows"+usual(m.HalfLife != 0, "10 times the block time"))
}

// firstStart marks flags that only shape what the first start makes.
const firstStart = " (first start only)"

func (a *app) sequencerCommand() *cobra.Command {
	var e node.Endpoints
	var opts node.SequencerOptions
	var confirmations uint32
	var fee gwei
	cmd := &cobra.Command{
		Use:   "sequencer",
		Short: "Take device messages, pack them into blocks, submit mined blocks",
		Long: `Serves the message API (described by /openapi.json of the running service),
keeps messages durably from the moment it acknowledges them, packs them into
tasks, gives miners blocks to search for and mints what they find.`,
		Example: `  gristmill sequencer --rpc http://127.0.0.1:8545 --registry 0x5FbD...0aa3 --key sequencer
  gristmill miner --sequencer http://127.0.0.1:7420`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			role, err := a.roleOptions(e)
			if err != nil {
				return err
			}
			opts.RoleOptions = role
			opts.Confirmations, opts.MaxFeePerGas = confirmations, fee.wei
			return interrupted(cmd.Context(), node.RunSequencer(cmd.Context(), opts))
		},
	}
	flags := cmd.Flags()
	chainFlags(flags, &e)
	confirmationsFlag(flags, &confirmations)
	maxFeeFlag(flags, &fee)
	flags.StringVar(&opts.Key, "key", "sequencer", "key that authorises tasks and mints blocks")
	flags.StringVar(&opts.Listen, "listen", "127.0.0.1:7410", "address of the message API")
	flags.StringVar(&opts.MiningListen, "mining-listen", "127.0.0.1:7420", "address that miners fetch work from")
	flags.StringVar(&opts.PublicURL, "public-url", "", "URL that provers reach this sequencer at, registered on chain (default: the listen address)")
	flags.StringVar(&opts.Beneficiary, "beneficiary", "", "address that block rewards go to (default: the key's)")
	return cmd
}

func (a *app) minerCommand() *cobra.Command {
	var opts node.MinerOptions
	cmd := &cobra.Command{
		Use:     "miner",
		Short:   "Search for blocks for a sequencer",
		Long:    "Fetches work from a sequencer, searches with all cores, and hands in what it finds. It has no keys and no state.",
		Example: "  gristmill miner --sequencer http://127.0.0.1:7420 --threads 4",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			role, err := a.roleOptions(node.Endpoints{})
			if err != nil {
				return err
			}
			opts.RoleOptions = role
			return interrupted(cmd.Context(), node.RunMiner(cmd.Context(), opts))
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&opts.Sequencer, "sequencer", "", "URL of the sequencer's mining address (default: that of the sequencer running on the data directory, else http://"+node.DefaultMining+")")
	flags.IntVar(&opts.Threads, "threads", 0, "searching threads (0: one per core)")
	return cmd
}

func (a *app) schedulerCommand() *cobra.Command {
	var e node.Endpoints
	var opts node.SchedulerOptions
	var confirmations uint32
	var fee gwei
	var minReward string
	var reassign bool
	cmd := &cobra.Command{
		Use:   "scheduler",
		Short: "Run a prover: take its tasks from the chain, have them proved, settle them",
		Long: `Follows the chain for tasks offered to its prover, fetches and checks their data,
hands them to workers through Redis, verifies what comes back and settles it.
What it knows is in DATA_DIR/scheduler; Redis may be wiped at any moment.`,
		Example: `  gristmill prover join --key prover --stake 10
  gristmill scheduler --rpc http://127.0.0.1:8545 --registry 0x5FbD...0aa3 --redis 127.0.0.1:6379 --key prover`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			role, err := a.roleOptions(e)
			if err != nil {
				return err
			}
			opts.RoleOptions = role
			opts.Confirmations, opts.MaxFeePerGas = confirmations, fee.wei
			opts.SkipReassign = !reassign
			if opts.MinReward, err = amountFlag("min-reward", minReward); err != nil {
				return err
			}
			return interrupted(cmd.Context(), node.RunScheduler(cmd.Context(), opts))
		},
	}
	flags := cmd.Flags()
	chainFlags(flags, &e)
	confirmationsFlag(flags, &confirmations)
	maxFeeFlag(flags, &fee)
	flags.StringVar(&opts.Key, "key", "prover", "the prover's operator key")
	flags.StringVar(&opts.Redis, "redis", "", redisHelp+" (default: the node running on the data directory)")
	flags.DurationVar(&opts.MinProveWindow, "min-prove-window", time.Minute, "least time to prove that tasks are taken for; offers with less are declined, as each missed deadline costs a bond")
	flags.StringVar(&minReward, "min-reward", "0", "least reward that tasks are taken for, all shares included, in the project's token with up to 18 decimals; offers with less are declined")
	flags.BoolVar(&reassign, "reassign", true, "take tasks from provers that are past the deadline, which may never return; the caller gets a tenth of their bond")
	flags.StringVar(&opts.Listen, "listen", "127.0.0.1:7430", "address of the body and status API")
	flags.StringVar(&opts.PublicURL, "public-url", "", "URL that workers reach that API at (default: the listen address, for workers of this machine)")
	return cmd
}

const (
	engineHelp       = "what proves, the preferred ones first: cpu, icicle:0 (a CUDA card), icicle-cpu"
	engineMemoryHelp = "bytes that each engine may keep proving keys in (0: its own default)"
)

// engineFlags are those of every process that proves.
func engineFlags(flags *pflag.FlagSet, e *node.Engines) {
	flags.StringSliceVar(&e.Names, "engine", []string{"cpu"}, engineHelp)
	flags.Int64Var(&e.Memory, "engine-memory", 0, engineMemoryHelp)
	flags.DurationVar(&e.Stall, "engine-stall", 0, "how long an engine on ICICLE may make no progress before its process is killed and the proof made elsewhere (0: 2 minutes)")
	flags.IntVar(&e.Slots, "slots", e.Slots, "tasks worked on at once (0: as many as keep the engines busy)")
}

// pluginFlags are those of every process that works on tasks with plugins.
func pluginFlags(flags *pflag.FlagSet, p *node.Plugins) {
	sandboxFlag(flags, &p.Sandbox)
	flags.DurationVar(&p.Time, "plugin-time", 0, "how long a plugin may take to solve one task before its process is ended and the attempt fails (0: "+host.DefaultSolveTimeout.String()+"); one that hangs keeps a slot for as long")
	flags.Int64Var(&p.Memory, "plugin-memory", 0, "writable memory of one plugin process in bytes (0: half of the machine's, at most 16 GiB)")
}

// sandboxFlag is for commands that run plugins.
func sandboxFlag(flags *pflag.FlagSet, mode *sandbox.Mode) {
	flags.TextVar(mode, "sandbox", sandbox.BestEffort, "what to do when this machine lacks layers of the plugins' sandbox: best-effort (run plugins with those there are), require (refuse to start, naming what is missing) or off (no layer; plugins may do what this user may do); gristmill doctor shows the layers")
}

// bundleFlags are for commands whose workers fetch bundles.
func bundleFlags(flags *pflag.FlagSet, s *node.BundleSources) {
	flags.StringSliceVar(&s.Names, "bundle-source", nil, "where bundles are fetched from that a task needs and that are not here, asked in this order: HOST/NAME of an OCI registry, oci:FOLDER of an image layout, or the path of a folder of bundles (default: none; bundles are put into the data directory by hand)")
	flags.Int64Var(&s.MaxBytes, "bundle-max-bytes", bundle.DefaultMaxBytes, "most bytes that a fetched bundle may have in all")
	flags.DurationVar(&s.Timeout, "bundle-timeout", time.Hour, "how long fetching one bundle may take, repetitions included")
	flags.BoolVar(&s.AllowUntrusted, "allow-untrusted-bundles", false, "with --bundle-source and without --trust: fetch whatever bundle the chain names, whoever signed it")
	flags.StringVar(&s.DockerConfig, "docker-config", "", dockerConfigHelp)
}

func (a *app) workerCommand() *cobra.Command {
	var opts node.WorkerOptions
	cmd := &cobra.Command{
		Use:   "worker",
		Short: "Solve and prove tasks from the queue",
		Long: `Takes jobs from Redis, runs the project's circuit as a subprocess of its own to
solve them (checked digest, empty environment, memory limit, in a sandbox; killed
with this process), proves the solution, verifies the proof and sends it back. Circuits
are bundles in DATA_DIR/bundles, found by the digest that the chain names. What is not
there is fetched from the sources that --bundle-source names, if it has a signature by
a key of --trust; without sources bundles are put there with gristmill plugin pull.

It proves on the engines that --engine names, each card in a process of its own.
A proof that fails on one is made there once more, then on another, then on the
processor; an engine that is asked for and not there is an error.`,
		Example: "  gristmill worker --redis 127.0.0.1:6379\n  gristmill worker --redis 127.0.0.1:6379 --engine icicle:0,icicle:1\n  gristmill worker --redis 127.0.0.1:6379 --bundle-source registry.example/team/meter --trust ./signers",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			role, err := a.roleOptions(node.Endpoints{})
			if err != nil {
				return err
			}
			opts.RoleOptions = role
			return interrupted(cmd.Context(), node.RunWorker(cmd.Context(), opts))
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&opts.Redis, "redis", "", redisHelp+" (default: the node running on the data directory)")
	engineFlags(flags, &opts.Engines)
	pluginFlags(flags, &opts.Plugins)
	flags.StringVar(&opts.Name, "name", "", "what this worker is called (default: the host's name)")
	flags.BoolVar(&opts.AllowInsecure, "allow-insecure-keys", false, "take circuits whose keys one machine made by itself (always, on a local deployment's own data directory)")
	flags.StringVar(&opts.Trust, "trust", "", trustHelp)
	bundleFlags(flags, &opts.Bundles)
	flags.DurationVar(&opts.Drain, "drain", time.Minute, "how long tasks under way may take to finish after Ctrl-C")
	return cmd
}
