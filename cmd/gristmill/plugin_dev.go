package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gristmill-zk/gristmill/node"
)

func (a *app) pluginDevCommand() *cobra.Command {
	var e node.Endpoints
	opts := node.DevOptions{Terms: node.DefaultTerms()}
	cmd := &cobra.Command{
		Use:   "dev [SOURCE]",
		Short: "Put a plugin on the local deployment and settle a batch of its messages",
		Long: `SOURCE is the folder of the plugin's main package, by default this one. The
deployment is the one that "gristmill up" runs on the data directory. Builds the
bundle, where the node's worker finds it; opens a project that pays in the local
token, registers the verifying key and pins a version to the bundle; has the
local prover take its tasks; makes devices and lists them; then sends sample
messages and waits until their proof is settled.

After an edit, run it again: the same project gets a new version. A payload.template
beside the code is kept for "gristmill send --set".`,
		Example: "  gristmill plugin dev\n  gristmill plugin dev ./plugins/circuits/meter --send 0\n  gristmill plugin dev --binary ./my-plugin --send 20",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			sourceArg(args, &opts.PluginSource)
			progress := a.stdout
			if a.json {
				progress = a.stderr
			}
			opts.Progress = func(line string) { fmt.Fprintln(progress, line) }
			return a.withSession(cmd, e, func(ctx context.Context, s *node.Session) error {
				live, err := s.DevPlugin(ctx, opts)
				if err != nil {
					return err
				}
				return a.show(live, func(w io.Writer) error { return writeLive(w, live) })
			})
		},
	}
	flags := cmd.Flags()
	pluginSourceFlags(flags, &opts.PluginSource)
	flags.BoolVar(&opts.Fresh, "fresh", false, "make new keys, also when there are some of the same circuit")
	flags.IntVar(&opts.Send, "send", -1, "how many sample messages to send (-1: a full batch)")
	flags.DurationVar(&opts.Terms.MaxWait, "max-wait", opts.Terms.MaxWait, "how long the first message of a batch waits for others (of a new version)")
	flags.DurationVar(&opts.Terms.AcceptWindow, "accept-window", opts.Terms.AcceptWindow, "how long a prover may take to accept an offer (of a new version)")
	flags.DurationVar(&opts.Terms.ProveWindow, "prove-window", opts.Terms.ProveWindow, "how long an accepted task may take (of a new version)")
	return cmd
}

func writeLive(w io.Writer, d node.Dev) error {
	for i, t := range d.Tasks {
		pairs := []string{
			"settled", "task " + t.ID.String(),
			"transaction", t.SettledTx.String(),
			"messages", fmt.Sprint(t.Count),
		}
		for _, name := range d.Bundle.Manifest.Circuit.Outputs {
			pairs = append(pairs, name, d.Outputs[i][name])
		}
		if err := facts(w, pairs...); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(w, "%s is live: project %d, version %d, devices %s\nSend it messages:\n  %s\n",
		d.Name, d.Project, d.Version, strings.Join(d.Devices, ", "), d.SendHint())
	return err
}
