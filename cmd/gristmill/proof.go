package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/gristmill-zk/gristmill/node"
)

func (a *app) proofCommand() *cobra.Command {
	return groupCommand("proof", "Take a settled proof out, for other people's tools", "", a.proofExportCommand())
}

func (a *app) proofExportCommand() *cobra.Command {
	var e node.Endpoints
	var format, out string
	cmd := &cobra.Command{
		Use:   "export TASK_ID",
		Short: "Write a settled task's proof, public inputs and key as files",
		Long: `Takes proof and outputs from the settlement on chain and the verifying key from
its registry, checks the proof, and writes

  --format snarkjs    proof.json, public.json, verification_key.json
  --format solidity   calldata.txt (for Groth16Verifier.verify) and arguments.json
  --format json       proof.json, gristmill's own proof envelope`,
		Example: `  gristmill proof export 0x5c2a... --format snarkjs --out proof
  npx snarkjs groth16 verify proof/verification_key.json proof/public.json proof/proof.json`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withSession(cmd, e, func(ctx context.Context, s *node.Session) error {
				files, err := s.ExportProof(ctx, args[0], node.ProofFormat(format), out)
				if err != nil {
					return err
				}
				return a.show(map[string]any{"files": files}, func(w io.Writer) error {
					for _, file := range files {
						fmt.Fprintln(w, file)
					}
					return nil
				})
			})
		},
	}
	flags := cmd.Flags()
	chainFlags(flags, &e)
	schedulerFlag(flags, &e)
	flags.StringVar(&format, "format", "snarkjs", "snarkjs, solidity or json")
	flags.StringVar(&out, "out", "", "folder to write to, made when it is missing")
	must(cmd.MarkFlagRequired("out"))
	return cmd
}
