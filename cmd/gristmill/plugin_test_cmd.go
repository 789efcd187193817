package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/gristmill-zk/gristmill/node"
)

// pluginSourceFlags are those of commands that run a plugin under development.
func pluginSourceFlags(flags *pflag.FlagSet, p *node.PluginSource) {
	flags.StringVar(&p.Binary, "binary", "", "plugin binary to use instead of building one")
	flags.IntVar(&p.BatchSize, "batch", 0, "messages per task (0: the circuit's default)")
}

// sourceArg is the folder that the command line names, else this one.
func sourceArg(args []string, p *node.PluginSource) {
	switch {
	case len(args) == 1:
		p.Source = args[0]
	case p.Binary == "":
		p.Source = "."
	}
}

func (a *app) pluginTestCommand() *cobra.Command {
	opts := node.CheckOptions{}
	cmd := &cobra.Command{
		Use:   "test [SOURCE]",
		Short: "Run a plugin through everything that a task goes through",
		Long: `SOURCE is the folder of the plugin's main package, by default this one. Runs its
Go tests; builds its bundle with development keys, kept in the data directory so
that they are made once; starts the plugin as a worker does, has it solve its
sample and the good messages of messages.json, and refuse forged tasks and the
wrong messages; proves the sample on the processor; and has the proof checked by
this program and by the contracts on an embedded chain that lives for this.`,
		Example: "  gristmill plugin test\n  gristmill plugin test ./plugins/circuits/meter --batch 2\n  gristmill plugin test --binary ./my-plugin --json",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			sourceArg(args, &opts.PluginSource)
			dir, err := a.openDir()
			if err != nil {
				return err
			}
			opts.Bundles, opts.Logger = dir.Path("bundles"), a.log
			if !a.json {
				opts.Step = func(s node.CheckStep) { writeStep(a.stdout, s) }
			}
			check, err := node.CheckPlugin(cmd.Context(), opts)
			if len(check.Steps) == 0 {
				return interrupted(cmd.Context(), err)
			}
			if shown := a.show(check, func(w io.Writer) error { return writeVerdict(w, check) }); shown != nil {
				return shown
			}
			if err != nil && !a.json && cmd.Context().Err() == nil {
				return &exitError{code: 1, err: fmt.Errorf("plugin test: failed at %q", check.Steps[len(check.Steps)-1].Name)}
			}
			return interrupted(cmd.Context(), err)
		},
	}
	pluginSourceFlags(cmd.Flags(), &opts.PluginSource)
	sandboxFlag(cmd.Flags(), &opts.Sandbox)
	cmd.Flags().BoolVar(&opts.NoTests, "no-go-test", false, "leave out the plugin's own Go tests")
	return cmd
}

func writeStep(w io.Writer, s node.CheckStep) {
	mark := "ok"
	if !s.OK {
		mark = "FAILED"
	}
	lines := strings.Split(s.Result, "\n")
	fmt.Fprintf(w, "%-6s  %-14s  %7.1f s  %s\n", mark, s.Name, s.MS/1000, lines[0])
	for _, line := range lines[1:] {
		fmt.Fprintf(w, "        %s\n", line)
	}
}

func writeVerdict(w io.Writer, r node.PluginReport) error {
	if r.OK {
		_, err := fmt.Fprintf(w, "ok: %s %s in %.1f s\n", r.Name, r.Version, r.MS/1000)
		return err
	}
	_, err := fmt.Fprintf(w, "failed: %s, after %.1f s\n", r.Steps[len(r.Steps)-1].Name, r.MS/1000)
	return err
}
