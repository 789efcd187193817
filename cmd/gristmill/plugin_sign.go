package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gristmill-zk/gristmill/node"
)

func (a *app) signers(dir node.DataDir) *node.SignerStore {
	return node.NewSignerStore(dir, a.keyring(dir))
}

func (a *app) keySignerCommand() *cobra.Command {
	return groupCommand("signer", "Keys that sign bundles: make, list",
		`Bundles are signed with ed25519 keys of their own, which have nothing to do with
accounts. They are kept encrypted in DATA_DIR/signers, under the same password.
The public key, NAME+HASH+KEY, is what operators put into their allow-lists.`,
		a.keySignerNewCommand(), a.keySignerListCommand())
}

func (a *app) keySignerNewCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "new NAME",
		Short:   "Make a signing key and print its public side",
		Example: "  gristmill key signer new team",
		Args:    cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			dir, err := a.openDir()
			if err != nil {
				return err
			}
			key, err := a.signers(dir).New(args[0])
			if err != nil {
				return err
			}
			return a.show(key, func(w io.Writer) error { return facts(w, "name", key.Name, "public", key.Public) })
		},
	}
}

func (a *app) keySignerListCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "ls",
		Aliases: []string{"list"},
		Short:   "List signing keys and their public sides",
		Args:    noArgs,
		RunE: func(*cobra.Command, []string) error {
			dir, err := a.openDir()
			if err != nil {
				return err
			}
			keys, err := a.signers(dir).List()
			if err != nil {
				return err
			}
			return a.show(keys, func(w io.Writer) error {
				rows := make([][]string, len(keys))
				for i, key := range keys {
					rows[i] = []string{key.Name, key.Public}
				}
				return table(w, []string{"NAME", "PUBLIC"}, rows)
			})
		},
	}
}

func (a *app) pluginSignCommand() *cobra.Command {
	var key string
	cmd := &cobra.Command{
		Use:   "sign BUNDLE",
		Short: "Add a signature to a bundle",
		Long: `Checks the bundle as a worker would and signs its digest. The signature lies beside
the manifest, in signatures.note, so that the digest stays what a project pinned;
any number of parties may sign. "plugin push" sends signatures along.`,
		Example: "  gristmill key signer new team\n  gristmill plugin sign ~/.local/share/gristmill/bundles/9f... --key team",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			dir, err := a.openDir()
			if err != nil {
				return err
			}
			signer, err := a.signers(dir).Open(key)
			if err != nil {
				return err
			}
			v, err := node.SignBundle(cmd.Context(), args[0], signer)
			if err != nil {
				return interrupted(cmd.Context(), err)
			}
			return a.show(v, func(w io.Writer) error {
				return facts(w, "bundle", v.Dir, "digest", v.Digest.String(), "signatures by", signersText(v.Signers))
			})
		},
	}
	cmd.Flags().StringVar(&key, "key", "", "name of a signing key of the data directory, or the file of another's")
	must(cmd.MarkFlagRequired("key"))
	return cmd
}

func (a *app) pluginVerifyCommand() *cobra.Command {
	opts := node.VerifyOptions{}
	cmd := &cobra.Command{
		Use:   "verify BUNDLE",
		Short: "Check a bundle, who signed it, and where its keys come from",
		Long: `Hashes every part, proves the known answer, and checks signatures: with --key one
of the keys must have signed. With --transcript the bundle's keys must be those of
that ceremony, every step of which is verified; this takes minutes for a large
circuit.`,
		Example: "  gristmill plugin verify ./bundles/9f... --key team+1a2b3c4d+AWJ...\n  gristmill plugin verify ./bundles/9f... --transcript ./ceremony",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.Progress = func(line string) { fmt.Fprintln(a.stderr, line) }
			v, err := node.VerifyBundle(cmd.Context(), args[0], opts)
			if err != nil {
				return interrupted(cmd.Context(), err)
			}
			return a.showVerified(v)
		},
	}
	flags := cmd.Flags()
	flags.StringSliceVar(&opts.Keys, "key", nil, "public key (name+hash+key) of a signer, or a file with some; may be given more than once")
	flags.StringVar(&opts.Transcript, "transcript", "", "folder of the ceremony that the keys must come from")
	return cmd
}

func (a *app) showVerified(v node.Verified) error {
	return a.show(v, func(w io.Writer) error {
		return facts(w,
			"bundle", v.Dir,
			"digest", v.Digest.String(),
			"keys", keysText(v.BundleView, v.Transcript),
			"signatures by", signersText(v.Signers),
			"verified", signersText(v.Signed))
	})
}

// keysText says where a bundle's keys come from, and how far that is certain.
func keysText(b node.BundleView, verified bool) string {
	m := b.Manifest
	if m.Ceremony == nil {
		return string(m.Keys)
	}
	certain := "claimed, see: gristmill plugin verify --transcript"
	if verified {
		certain = "verified"
	}
	return fmt.Sprintf("%s %s by %s (%s)", m.Keys, m.Ceremony.Transcript, strings.Join(m.Ceremony.Contributors, ", "), certain)
}

func signersText(signers []string) string {
	if len(signers) == 0 {
		return "nobody"
	}
	return strings.Join(signers, ", ")
}

// trustHelp says what --trust takes.
const trustHelp = "file of an allow-list: take no bundle but those signed by one of its public keys (name+hash+key) or listed by digest (0x...), one a line (default: what the chain names)"
