package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/gristmill-zk/gristmill/plugins/scaffold"
)

func (a *app) pluginNewCommand() *cobra.Command {
	cfg := scaffold.Config{}
	var sdk string
	cmd := &cobra.Command{
		Use:   "new NAME",
		Short: "Write a circuit plugin that builds, passes its tests and runs as it is",
		Long: `Writes a Go module with a small circuit, its tests, golden messages and a README,
for a team to change into its own. The SDK comes from the release that this
program is; a program built from source takes it from the source tree that it
finds from here or from where it lies itself, or that --sdk names.`,
		Example: "  gristmill plugin new coldchain\n  gristmill plugin new coldchain --dir ./circuits/cold --module example.org/farm/cold",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var err error
			cfg.Name = args[0]
			if cfg.SDK, err = scaffold.FindSDK(sdk, ownVersion(), ".", ownFolder()); err != nil {
				return err
			}
			project, err := scaffold.New(cmd.Context(), cfg)
			if err != nil {
				return interrupted(cmd.Context(), err)
			}
			return a.show(project, func(w io.Writer) error { return writeProject(w, project) })
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&cfg.Dir, "dir", "", "folder to write to, new or empty (default: NAME)")
	flags.StringVar(&cfg.Module, "module", "", "path of the Go module (default: example.com/NAME)")
	flags.StringVar(&sdk, "sdk", "", "source tree of gristmill to take the SDK from")
	return cmd
}

// ownVersion is the version of gristmill's module in this program.
func ownVersion() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	return info.Main.Version
}

// ownFolder is where this program lies; empty when nobody knows.
func ownFolder() string {
	self, err := os.Executable()
	if err != nil {
		return ""
	}
	if resolved, err := filepath.EvalSymlinks(self); err == nil {
		self = resolved
	}
	return filepath.Dir(self)
}

func writeProject(w io.Writer, p *scaffold.Project) error {
	fmt.Fprintf(w, "%s: %d files, module %s\nSDK: %s\n", p.Dir, len(p.Files), p.Module, p.SDK)
	where := p.Dir
	if here, err := os.Getwd(); err == nil {
		if relative, err := filepath.Rel(here, p.Dir); err == nil {
			where = relative
		}
	}
	_, err := fmt.Fprintf(w, `Next:
  cd %s
  gristmill plugin test     # Go tests, a proof, and its check by the real contracts
  gristmill up              # in another terminal: a whole deployment on this machine
  gristmill plugin dev      # put the circuit on it, send a batch, wait for the proof
`, where)
	return err
}
