package main

import (
	"context"
	"errors"
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
authorisations, data by hash, device signatures and lists, commitments, proofs,
and who was paid what. What the known sequencers and provers have stored of it
(blocks, bodies, proofs) is compared with the chain byte by byte: those of the
running node, and those that --sequencer and --scheduler add.

Ends with what was checked (exit code 0), with the first thing that is wrong
(exit code 1), or with why not everything could be checked (exit code 2). With
--json the second has a "finding" with stage, height, task and what, the third
an "error".`,
		Example: "  gristmill audit\n  gristmill audit --rpc http://127.0.0.1:8545 --registry 0x5FbD...0aa3 --sequencer http://127.0.0.1:7410 --scheduler http://127.0.0.1:7430 --json",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var report audit.Report
			err := a.withSession(cmd, e, func(ctx context.Context, s *node.Session) (err error) {
				report, err = s.Audit(ctx, a.auditProgress())
				return err
			})
			return a.auditResult(report, err)
		},
	}
	chainFlags(cmd.Flags(), &e)
	cmd.Flags().StringVar(&e.Sequencer, "sequencer", "", "URL of a sequencer whose blocks and bodies are checked, besides the running node's")
	cmd.Flags().StringVar(&e.Scheduler, "scheduler", "", "URL of a prover's scheduler whose bodies and proofs are checked, besides the running node's")
	return cmd
}

// auditResult prints what an audit came to and gives it its exit code.
func (a *app) auditResult(report audit.Report, err error) error {
	var finding *audit.Finding
	answer := map[string]any{"audit_ok": err == nil, "checked": report}
	code := 0
	switch {
	case errors.As(err, &finding):
		answer["finding"], code = finding, 1
	case errors.Is(err, errInterrupted):
		return err
	case err != nil:
		answer["error"], code = plain(err), 2
	}
	if err == nil || a.json {
		if shown := a.show(answer, func(w io.Writer) error { return writeReport(w, report) }); err == nil {
			return shown
		}
	}
	if code == 2 {
		return &exitError{code: code, err: fmt.Errorf("audit: not everything could be checked: %w", err)}
	}
	return &exitError{code: code, err: fmt.Errorf("audit: something is wrong: %w", err)}
}

// auditProgress prints how far the audit is, at most every two seconds.
func (a *app) auditProgress() func(audit.Report) {
	last := time.Now()
	return func(r audit.Report) {
		if time.Since(last) < 2*time.Second {
			return
		}
		last = time.Now()
		fmt.Fprintf(a.stderr, "checked %d blocks, %d tasks, %d messages, %d proofs\n", r.Blocks, r.Tasks, r.Messages, r.Proofs)
	}
}

func writeReport(w io.Writer, r audit.Report) error {
	_, err := fmt.Fprintf(w, "audit ok: %d blocks (%s hashes expected), %d tasks (%d skipped), %d bodies with %d messages and their signatures, %d proofs, %d payments; compared with the records of nodes: %d blocks, %d proofs; %.1f s\n",
		r.Blocks, r.Work, r.Tasks, r.Skipped, r.Bodies, r.Messages, r.Proofs, r.Payments, r.Stored.Blocks, r.Stored.Proofs, r.Took.Seconds())
	return err
}
