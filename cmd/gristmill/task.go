package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gristmill-zk/gristmill/node"
	"github.com/gristmill-zk/gristmill/wire"
)

func (a *app) taskCommand() *cobra.Command {
	return groupCommand("task", "List tasks, show one",
		"Tasks as the chain tells of them: every event from the block they were mined in to their settlement.",
		a.taskListCommand(), a.taskShowCommand())
}

func (a *app) taskListCommand() *cobra.Command {
	var e node.Endpoints
	var limit int
	cmd := &cobra.Command{
		Use:     "ls",
		Aliases: []string{"list"},
		Short:   "List the newest tasks",
		Example: "  gristmill task ls --limit 5\n  gristmill task ls --json | jq '.[] | select(.status==\"settled\")'",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withSession(cmd, e, func(ctx context.Context, s *node.Session) error {
				tasks, err := s.Tasks(ctx, limit)
				if err != nil {
					return err
				}
				return a.show(tasks, func(w io.Writer) error {
					rows := make([][]string, len(tasks))
					for i, t := range tasks {
						rows[i] = []string{t.ID.String(), fmt.Sprint(t.Project), fmt.Sprint(t.Height), fmt.Sprint(t.Count), t.Status, t.Why}
					}
					return table(w, []string{"TASK", "PROJECT", "BLOCK", "MESSAGES", "STATUS", ""}, rows)
				})
			})
		},
	}
	chainFlags(cmd.Flags(), &e)
	cmd.Flags().IntVar(&limit, "limit", 20, "how many, the newest first (0: all)")
	return cmd
}

func (a *app) taskShowCommand() *cobra.Command {
	var e node.Endpoints
	cmd := &cobra.Command{
		Use:     "show TASK_ID",
		Short:   "Show everything the chain says about a task",
		Example: "  gristmill task show 0x5c2a...\n  gristmill task show 5c2a   # the first digits are enough when they name one task",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withSession(cmd, e, func(ctx context.Context, s *node.Session) error {
				t, err := s.TaskDetail(ctx, args[0])
				if err != nil {
					return err
				}
				return a.show(t, func(w io.Writer) error { return writeTask(w, t) })
			})
		},
	}
	chainFlags(cmd.Flags(), &e)
	schedulerFlag(cmd.Flags(), &e)
	return cmd
}

// shownAttempts is how many of the newest attempts a person is shown.
const shownAttempts = 5

func writeTask(w io.Writer, t node.TaskView) error {
	pairs := []string{
		"task", t.ID.String(),
		"status", strings.TrimSpace(t.Status + " " + t.Why),
		"project", fmt.Sprintf("%d, version %d", t.Project, t.Version),
		"messages", fmt.Sprintf("%d in %d bytes", t.Count, t.Size),
		"data", t.DataHash.String(),
		"commitment", t.DataCommitment.String(),
		"mined", fmt.Sprintf("block %d, tx %s", t.Height, t.MinedTx),
	}
	if t.Prover != (wire.Address{}) {
		pairs = append(pairs, "prover", t.Prover.String())
	}
	if t.Status == "settled" {
		pairs = append(pairs,
			"settled", "tx "+t.SettledTx.String(),
			"outputs", strings.Join(t.OutputTexts(), ", "),
			"prover got", t.ProverAmount.Units(t.Decimals),
			"sequencer got", t.SequencerAmount.Units(t.Decimals),
			"protocol got", t.ProtocolAmount.Units(t.Decimals))
	}
	if t.Word != nil {
		pairs = append(pairs, "prover says", t.Word.State+": "+t.Word.Reason)
		for _, a := range t.Word.Attempts[max(0, len(t.Word.Attempts)-shownAttempts):] {
			pairs = append(pairs, fmt.Sprintf("attempt %d", a.Number), a.String())
		}
	}
	return facts(w, pairs...)
}
