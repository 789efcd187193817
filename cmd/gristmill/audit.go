package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/gristmill-zk/gristmill/audit"
	"github.com/gristmill-zk/gristmill/node"
)

func (a *app) auditCommand() *cobra.Command {
	var e node.Endpoints
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "Check everything again, from the first block",
		Long: `Reads what the contracts emitted and the data that tasks commit to, and computes
all of it again: headers, proof of work, difficulty, roots, coinbases,
authorisations, data by hash, device signatures and lists, commitments, proofs
and payments. Ends with what was checked, or with the first thing that is wrong
and exit code 1.`,
		Example: "  gristmill audit\n  gristmill audit --rpc http://127.0.0.1:8545 --registry 0x5FbD...0aa3 --sequencer http://127.0.0.1:7410 --json",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withSession(cmd, e, func(ctx context.Context, s *node.Session) error {
				report, err := s.Audit(ctx, a.auditProgress())
				if err != nil {
					if a.json {
						_ = printJSON(a.stdout, map[string]any{"audit_ok": false, "checked": report, "wrong": err.Error()})
					}
					return fmt.Errorf("audit: %w", err)
				}
				return a.show(map[string]any{"audit_ok": true, "checked": report}, func(w io.Writer) error { return writeReport(w, report) })
			})
		},
	}
	chainFlags(cmd.Flags(), &e)
	cmd.Flags().StringVar(&e.Sequencer, "sequencer", "", "another place to ask for data (default: the running node's)")
	return cmd
}

// auditProgress prints how far the audit is, at most every two seconds.
func (a *app) auditProgress() func(audit.Report) {
	last := time.Now()
	return func(r audit.Report) {
		if a.json || time.Since(last) < 2*time.Second {
			return
		}
		last = time.Now()
		fmt.Fprintf(a.stderr, "checked %d blocks, %d tasks, %d messages, %d proofs\n", r.Blocks, r.Tasks, r.Messages, r.Proofs)
	}
}

func writeReport(w io.Writer, r audit.Report) error {
	_, err := fmt.Fprintf(w, "audit ok: %d blocks (%s hashes expected), %d tasks (%d skipped), %d bodies with %d messages and their signatures, %d proofs, %d payments; %.1f s\n",
		r.Blocks, r.Work, r.Tasks, r.Skipped, r.Bodies, r.Messages, r.Proofs, r.Payments, r.Took.Seconds())
	return err
}
