package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gristmill-zk/gristmill/node"
)

// app is what all commands share: the global flags and where to print.
type app struct {
	stdin  io.Reader
	stdout io.Writer
	stderr io.Writer

	dataDir      string
	json         bool
	logLevel     string
	passwordFile string

	log *slog.Logger
}

const rootHelp = `gristmill turns signed device data into proofs that a chain can check.

Devices sign messages; a sequencer packs them into tasks; a miner mines them
into blocks; the contracts assign each task to a prover; the prover's scheduler
hands it to a worker, whose circuit solves and whose engine proves it; the proof
is checked on chain and everyone is paid.

See it all happen on this machine, nothing to set up:
  gristmill demo

Keep it running, and send a message from another terminal:
  gristmill up
  gristmill send --set wh=1500 --wait

Every command takes its settings from, in this order: flags, environment
variables (GRISTMILL_ and the flag's name in capitals, dashes as underscores:
GRISTMILL_DATA_DIR), the file config.yaml in the data directory, defaults.`

func newRoot(stdin io.Reader, stdout, stderr io.Writer) *cobra.Command {
	a := &app{stdin: stdin, stdout: stdout, stderr: stderr}
	root := &cobra.Command{
		Use:           "gristmill",
		Short:         "Signed device data in, proofs settled on a chain out",
		Long:          rootHelp,
		SilenceUsage:  true,
		SilenceErrors: true,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			return a.setUp(cmd)
		},
	}
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	flags := root.PersistentFlags()
	flags.StringVar(&a.dataDir, "data-dir", node.DefaultDataDir(), "folder that all state of the node lives in")
	flags.BoolVar(&a.json, "json", false, "print JSON for scripts instead of text")
	flags.StringVar(&a.logLevel, "log-level", "warn", "least level to log: debug, info, warn or error")
	flags.StringVar(&a.passwordFile, "password-file", "", "file with the password of the keys on its first line (default: the data directory's own, else ask)")
	root.AddGroup(
		&cobra.Group{ID: "start", Title: "Start here:"},
		&cobra.Group{ID: "use", Title: "Send data, follow it, check it:"},
		&cobra.Group{ID: "own", Title: "Run a project or a prover:"},
		&cobra.Group{ID: "role", Title: "Run one role as its own process:"},
	)
	add := func(group string, commands ...*cobra.Command) {
		for _, c := range commands {
			c.GroupID = group
			root.AddCommand(c)
		}
	}
	add("start", a.demoCommand(), a.upCommand())
	add("use", a.sendCommand(), a.taskCommand(), a.proofCommand(), a.auditCommand())
	add("own", a.keyCommand(), a.deviceCommand(), a.projectCommand(), a.proverCommand(), a.pluginCommand())
	add("role", a.devnetCommand(), a.deployCommand(), a.sequencerCommand(), a.minerCommand(), a.schedulerCommand(), a.workerCommand())
	root.AddCommand(a.benchCommand(), a.doctorCommand(), a.gpuCommand(), a.versionCommand())
	return root
}

// setUp fills flags from environment and file and makes the logger.
func (a *app) setUp(cmd *cobra.Command) error {
	if err := applySettings(cmd); err != nil {
		return err
	}
	var level slog.Level
	if err := level.UnmarshalText([]byte(a.logLevel)); err != nil {
		return fmt.Errorf("--log-level %q: want debug, info, warn or error", a.logLevel)
	}
	a.log = slog.New(slog.NewTextHandler(a.stderr, &slog.HandlerOptions{Level: level}))
	slog.SetDefault(a.log)
	return nil
}

func (a *app) openDir() (node.DataDir, error) { return node.OpenDataDir(a.dataDir) }

func (a *app) password() node.Password {
	return node.Password{File: a.passwordFile, Prompt: node.PromptPassword}
}

func (a *app) keyring(dir node.DataDir) *node.Keyring { return node.NewKeyring(dir, a.password()) }

// interrupted marks an error that only the user's Ctrl-C caused.
func interrupted(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("%w: %w", errInterrupted, ctx.Err())
	}
	return err
}

// noArgs refuses arguments with a hint instead of cobra's "unknown command".
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("%s takes no arguments, got %q (see: %s --help)", cmd.CommandPath(), strings.Join(args, " "), cmd.CommandPath())
	}
	return nil
}

// groupCommand is a command that only has sub-commands.
func groupCommand(use, short, long string, commands ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{Use: use, Short: short, Long: long, Args: func(cmd *cobra.Command, args []string) error {
		if len(args) > 0 {
			return fmt.Errorf("unknown command %q for %q (see: %s --help)", args[0], cmd.CommandPath(), cmd.CommandPath())
		}
		return nil
	}, RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }}
	c.AddCommand(commands...)
	return c
}
