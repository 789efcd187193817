//go:build icicle

// Command gpucheck measures and tests the engines on a GPU host, with keys that
// it makes there. It is what make gpu-check packs; run.sh calls it. Proofs count
// only when they verified. What may take the process down (gnark's own ICICLE
// backend, devices without memory) runs in processes of its own.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"

	"github.com/gristmill-zk/gristmill/gpu/icicle"
)

type options struct {
	kind   string // of device, as ICICLE has it
	index  int
	sizes  []int
	cases  []string // dense, sparse
	proofs int
	drift  int
	out    string
	peer   bool
	known  bool
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "gpucheck:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) > 0 {
		switch args[0] {
		case "peer":
			return peerMain(ctx, args[1:])
		case "scarce":
			return scarceMain(ctx, args[1:])
		}
	}
	o, err := parse(args)
	if err != nil {
		return err
	}
	if o.known {
		return knownAnswer(ctx, o)
	}
	return checkAll(ctx, o)
}

func parse(args []string) (*options, error) {
	var o options
	flags := flag.NewFlagSet("gpucheck", flag.ContinueOnError)
	device := flags.String("device", "cuda", "cuda or cpu")
	flags.IntVar(&o.index, "index", 0, "number of the device")
	sizes := flags.String("sizes", "16,18,20", "base-two logarithms of constraints")
	cases := flags.String("cases", "dense,sparse", "kinds of witnesses")
	flags.IntVar(&o.proofs, "proofs", 20, "warm proofs for each figure")
	flags.IntVar(&o.drift, "drift", 1000, "proofs of the drift test; 0: none")
	flags.BoolVar(&o.peer, "peer", true, "measure gnark's ICICLE backend too; never on the CPU device, where it panics")
	flags.BoolVar(&o.known, "known", false, "only list the devices and prove a known answer")
	flags.StringVar(&o.out, "out", "results.json", "file for the results")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	o.kind, o.cases = strings.ToUpper(*device), strings.Split(*cases, ",")
	o.peer = o.peer && o.kind != icicle.CPU
	for _, s := range strings.Split(*sizes, ",") {
		log, err := strconv.Atoi(s)
		if err != nil {
			return nil, fmt.Errorf("--sizes: %w", err)
		}
		o.sizes = append(o.sizes, log)
	}
	if o.proofs < 1 || o.drift < 0 {
		return nil, errors.New("--proofs is at least 1, --drift at least 0")
	}
	return &o, nil
}
