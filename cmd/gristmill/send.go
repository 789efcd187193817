package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gristmill-zk/gristmill/node"
)

func (a *app) sendCommand() *cobra.Command {
	var e node.Endpoints
	var hexText, file, pack string
	var fields []string
	opts := node.SendOptions{}
	cmd := &cobra.Command{
		Use:   "send",
		Short: "Sign a message as a device and send it to the sequencer",
		Long: `Signs a payload with a device key of the data directory (made, and on a local node
listed with the project, when it is not there) and sends it. With --wait it
follows the message until its proof is settled on chain.

What a payload looks like is the project's own affair. Give it as
  --hex 0a0b...     bytes in hexadecimal
  --file reading    the content of a file ("-": standard input)
  --pack SPEC       big-endian fields: u8:1,u64:1500,i32:-4,text:ok,hex:00ff;
                    the value now-ms is the clock in milliseconds, now in seconds
  --set NAME=VALUE  values for the project's template, a SPEC with {NAME}s in it
                    kept in DATA_DIR/templates/PROJECT (the local node writes one
                    for its meter project)`,
		Example: `  gristmill send --set wh=1500 --wait
  gristmill send --device roof-meter --pack u8:1,u64:1500,u64:now-ms,u32:900000
  gristmill send --project 7 --file reading.bin --json`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withSession(cmd, e, func(ctx context.Context, s *node.Session) (err error) {
				if opts.Payload, err = a.payload(s, opts.Project, hexText, file, pack, fields); err != nil {
					return err
				}
				return a.send(ctx, s, opts)
			})
		},
	}
	flags := cmd.Flags()
	chainFlags(flags, &e)
	flags.StringVar(&e.Sequencer, "sequencer", "", "URL of the sequencer's message API (default: the running node's)")
	schedulerFlag(flags, &e)
	flags.Uint64Var(&opts.Project, "project", 1, "number of the project")
	flags.StringVar(&opts.Device, "device", "device-1", "name of the device key to sign with")
	flags.StringVar(&hexText, "hex", "", "payload in hexadecimal")
	flags.StringVar(&file, "file", "", "file with the payload, - for standard input")
	flags.StringVar(&pack, "pack", "", "payload as a list of fields, TYPE:VALUE,...")
	flags.StringArrayVar(&fields, "set", nil, "NAME=VALUE for the project's payload template")
	flags.BoolVar(&opts.Wait, "wait", false, "follow the message until its proof is settled")
	cmd.MarkFlagsMutuallyExclusive("hex", "file", "pack", "set")
	cmd.MarkFlagsOneRequired("hex", "file", "pack", "set")
	return cmd
}

func (a *app) payload(s *node.Session, project uint64, hexText, file, pack string, fields []string) ([]byte, error) {
	switch {
	case hexText != "":
		data, err := hex.DecodeString(strings.TrimPrefix(hexText, "0x"))
		if err != nil {
			return nil, fmt.Errorf("--hex: %w", err)
		}
		return data, nil
	case file == "-":
		return io.ReadAll(a.stdin)
	case file != "":
		return os.ReadFile(file)
	case pack != "":
		data, err := node.PackPayload(pack)
		if err != nil {
			return nil, fmt.Errorf("--pack: %w", err)
		}
		return data, nil
	case len(fields) > 0:
		return s.TemplatePayload(project, fields)
	}
	return nil, errors.New("no payload: give --hex, --file, --pack or --set")
}

func (a *app) send(ctx context.Context, s *node.Session, opts node.SendOptions) error {
	progress := a.stdout
	if a.json {
		progress = a.stderr
	}
	opts.Progress = func(line string) { fmt.Fprintln(progress, line) }
	sent, err := s.Send(ctx, opts)
	if sent.ID.IsZero() {
		return err
	}
	// The message is taken whatever else went wrong: its receipt is printed.
	shown := a.show(sent, func(w io.Writer) error {
		if opts.Wait && err == nil {
			return nil
		}
		_, err := fmt.Fprintf(w, "follow it: gristmill send waits with --wait; or ask %s/v1/messages/%s\n", s.SequencerURL(), sent.ID)
		return err
	})
	if err != nil {
		return err
	}
	return shown
}
