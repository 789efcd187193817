package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/gristmill-zk/gristmill/node"
)

func (a *app) pluginCommand() *cobra.Command {
	return groupCommand("plugin", "Write circuits, try them, and bundle them",
		`A plugin is a program with a circuit in it. From nothing to a settled proof:
  gristmill plugin new coldchain
  gristmill plugin test ./coldchain
  gristmill up
  gristmill plugin dev ./coldchain

A bundle is one folder: manifest, plugin binary, constraint system, proving and
verifying key. The SHA-256 of its manifest is its identity, which a project pins
on chain.`,
		a.pluginNewCommand(), a.pluginTestCommand(), a.pluginDevCommand(), a.pluginBuildCommand(), a.pluginInspectCommand(),
		a.pluginSignCommand(), a.pluginVerifyCommand(), a.pluginPushCommand(), a.pluginPullCommand(), a.pluginCeremonyCommand())
}

func (a *app) pluginBuildCommand() *cobra.Command {
	opts := node.BuildOptions{}
	cmd := &cobra.Command{
		Use:   "build SOURCE",
		Short: "Build a circuit's bundle: compile, set up keys, write the manifest",
		Long: `SOURCE is the folder of the circuit's Go main package, or with --binary a plugin
built before. Without --keys they come from a local setup, whose secret this machine
knew: such a bundle says insecure-dev-setup, and is for development only. A bundle
that is there already with the same plugin, circuit and tools is taken as it is, so
that its digest stays the one that a project pinned.

With --keys they are those of a final ceremony, or of another bundle of the same
circuit. Then the same source gives the same digest everywhere.`,
		Example: "  gristmill plugin build ./plugins/circuits/meter\n  gristmill plugin build ./plugins/circuits/meter --keys ./ceremony --platform linux/amd64,linux/arm64\n  gristmill plugin build --binary bin/plugins/meter --out ./bundles",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				opts.Source = args[0]
			}
			dir, err := a.openDir()
			if err != nil {
				return err
			}
			if opts.Out == "" {
				opts.Out = dir.Path("bundles")
			}
			opts.Logger = a.log
			opts.Progress = func(line string) { fmt.Fprintln(a.stderr, line) }
			view, err := node.BuildBundle(cmd.Context(), opts)
			if err != nil {
				return interrupted(cmd.Context(), err)
			}
			return a.show(view, func(w io.Writer) error { return writeBundle(w, view) })
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&opts.Binary, "binary", "", "plugin binary to use instead of building one")
	flags.StringVar(&opts.Out, "out", "", "folder that the bundle's folder is made in (default: DATA_DIR/bundles)")
	flags.BoolVar(&opts.Fresh, "fresh", false, "make new keys, also when the folder has a bundle of the same circuit")
	flags.StringVar(&opts.Keys, "keys", "", "folder of the ceremony, or of the bundle, whose keys are taken")
	flags.StringSliceVar(&opts.Platforms, "platform", nil, "more platforms to build the plugin for, such as linux/arm64 (this machine's is always built)")
	flags.IntVar(&opts.BatchSize, "batch", 0, "messages per task (0: the circuit's default)")
	return cmd
}

func (a *app) pluginInspectCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "inspect BUNDLE",
		Short:   "Check a bundle and say what is in it",
		Long:    "Hashes every part against the manifest, checks that keys and circuit belong together by proving a known answer, and prints the manifest,\nwho claims to have signed, and how long a worker takes to load it.",
		Example: "  gristmill plugin inspect ~/.local/share/gristmill/bundles/9f...",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			view, err := node.InspectBundle(cmd.Context(), args[0])
			if err != nil {
				return interrupted(cmd.Context(), err)
			}
			return a.show(view, func(w io.Writer) error {
				if err := writeBundle(w, view.BundleView); err != nil {
					return err
				}
				return facts(w,
					"bytes", fmt.Sprint(view.Bytes),
					"signatures by", signersText(view.Signers),
					"checked in", fmt.Sprintf("%.2f s, known answer proved in %.2f s, proving key loaded in %.2f s", view.CheckSeconds, view.AnswerSeconds, view.LoadSeconds))
			})
		},
	}
}

func writeBundle(w io.Writer, b node.BundleView) error {
	m := b.Manifest
	err := facts(w,
		"bundle", b.Dir,
		"digest", b.Digest.String(),
		"circuit", m.Name+" "+m.Version,
		"keys", keysText(b, false),
		"verifying key", m.VKID.String(),
		"constraints", fmt.Sprint(m.Circuit.Constraints),
		"messages per task", fmt.Sprintf("%d of at most %d bytes, signed with %s", m.Circuit.BatchSize, m.Circuit.PayloadLimit, m.Circuit.DeviceScheme),
		"outputs", fmt.Sprint(m.Circuit.Outputs),
		"made with", m.Tools.Go+", gnark "+m.Tools.Gnark)
	if err != nil {
		return err
	}
	rows := make([][]string, len(m.Parts))
	for i, p := range m.Parts {
		name := p.Name
		if p.OS != "" {
			name += " " + p.OS + "/" + p.Arch
		}
		rows[i] = []string{name, p.Path, fmt.Sprint(p.Size), p.SHA256.String()}
	}
	return table(w, []string{"PART", "FILE", "BYTES", "SHA-256"}, rows)
}
