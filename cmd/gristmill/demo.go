package main

import (
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/gristmill-zk/gristmill/node"
)

func (a *app) demoCommand() *cobra.Command {
	opts := node.DemoOptions{LocalOptions: node.DemoLocal()}
	var confirmations uint32
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "See the whole way once: signed readings in, settled proofs out",
		Long: `Starts everything embedded, lets three devices sign and send energy readings,
prints each stage as it happens, and ends with a table of what was mined, proved
and paid, and an audit of it all. Nothing is faked: real signatures, proof of
work, Groth16 proofs and contracts.

It works in DATA_DIR/demo; running it again continues the same chain.
With --json the last line on standard output is one JSON object; the stages go
to standard error.`,
		Example: "  gristmill demo\n  gristmill demo --tasks 2 --json | tail -n 1 | jq .audit_ok",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir, err := node.OpenDataDir(filepath.Join(a.dataDir, "demo"))
			if err != nil {
				return err
			}
			opts.RoleOptions = node.RoleOptions{Dir: dir, Password: a.password(), Logger: a.log, Out: a.stdout, Confirmations: confirmations}
			if a.json {
				opts.Out = a.stderr
			}
			result, err := node.Demo(cmd.Context(), opts)
			if err != nil {
				return interrupted(cmd.Context(), err)
			}
			if a.json {
				if err := printJSON(a.stdout, result); err != nil {
					return err
				}
			}
			if !result.AuditOK {
				return fmt.Errorf("the audit found something wrong: %s", result.AuditError)
			}
			return nil
		},
	}
	flags := cmd.Flags()
	flags.IntVar(&opts.Tasks, "tasks", 3, "how many tasks to see settled")
	flags.IntVar(&opts.Blocks, "blocks", 10, "least number of blocks to mine")
	localFlags(flags, &opts.LocalOptions)
	confirmationsFlag(flags, &confirmations)
	return cmd
}
