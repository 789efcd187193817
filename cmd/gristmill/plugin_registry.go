package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/gristmill-zk/gristmill/node"
	"github.com/gristmill-zk/gristmill/plugins/bundle"
	"github.com/gristmill-zk/gristmill/plugins/bundle/oci"
)

// refHelp says what a reference may be.
const refHelp = `REF is HOST/NAME:TAG or HOST/NAME@sha256:DIGEST of an OCI registry (without TLS on
this machine only; credentials come from docker's config file), or
oci:FOLDER:TAG of an OCI image layout.`

func (a *app) pluginPushCommand() *cobra.Command {
	opts := oci.Options{}
	cmd := &cobra.Command{
		Use:     "push BUNDLE REF",
		Short:   "Put a bundle and its signatures into an OCI registry or image layout",
		Long:    refHelp + "\n\nIt is tagged with the bundle's digest in hexadecimal as well: by that tag workers find\nwhat they fetch. Prints the reference with the artifact's digest, which names these very bytes.",
		Example: "  gristmill plugin push ./bundles/9f... registry.example/team/meter:1.0.0\n  gristmill plugin push ./bundles/9f... oci:./layout:1.0.0",
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.Progress = func(line string) { fmt.Fprintln(a.stderr, line) }
			pushed, err := node.PushBundle(cmd.Context(), args[0], args[1], opts)
			if err != nil {
				return interrupted(cmd.Context(), err)
			}
			return a.show(pushed, func(w io.Writer) error {
				return facts(w, "pushed to", pushed.Reference, "pinned", pushed.Pinned)
			})
		},
	}
	dockerConfigFlag(cmd, &opts)
	return cmd
}

func (a *app) pluginPullCommand() *cobra.Command {
	opts := oci.Options{}
	var out, digest, trust string
	cmd := &cobra.Command{
		Use:   "pull REF",
		Short: "Install a bundle from an OCI registry or image layout",
		Long: refHelp + `

The bundle is checked while it comes, its known answer is proved, and only then
it is put where workers of the data directory find it. With --digest it must be
the bundle that a project pinned. After an error nothing of it is left.`,
		Example: "  gristmill plugin pull registry.example/team/meter:1.0.0 --digest 0x9f...\n  gristmill plugin pull oci:./layout:1.0.0 --trust ./allowed",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if out == "" {
				dir, err := a.openDir()
				if err != nil {
					return err
				}
				out = dir.Path("bundles")
			}
			policy, err := node.LoadPolicy(trust)
			if err != nil {
				return err
			}
			opts.Progress = func(line string) { fmt.Fprintln(a.stderr, line) }
			pulled, err := node.PullBundle(cmd.Context(), args[0], out, digest, policy, opts)
			if err != nil {
				return interrupted(cmd.Context(), err)
			}
			return a.show(pulled, func(w io.Writer) error {
				return facts(w,
					"bundle", pulled.Dir,
					"digest", pulled.Digest.String(),
					"circuit", pulled.Manifest.Name+" "+pulled.Manifest.Version,
					"keys", keysText(pulled.BundleView, false),
					"signatures by", signersText(pulled.Signers),
					"pinned", pulled.Pinned)
			})
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&out, "out", "", "folder that the bundle's folder is made in (default: DATA_DIR/bundles)")
	flags.StringVar(&digest, "digest", "", "digest that the bundle must have, as a project pins it")
	flags.StringVar(&trust, "trust", "", trustHelp)
	flags.Int64Var(&opts.MaxBytes, "max-bytes", bundle.DefaultMaxBytes, "most bytes that a bundle may have in all")
	dockerConfigFlag(cmd, &opts)
	return cmd
}

const dockerConfigHelp = "file with the credentials of registries (default: docker's own)"

func dockerConfigFlag(cmd *cobra.Command, opts *oci.Options) {
	cmd.Flags().StringVar(&opts.DockerConfig, "docker-config", "", dockerConfigHelp)
}
