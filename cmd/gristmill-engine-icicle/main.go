//go:build icicle

// Command gristmill-engine-icicle proves on one of ICICLE's devices. A worker
// starts it, one for each device, and talks to it by gRPC; it never serves by
// itself. By hand it lists devices and tests itself.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/gristmill-zk/gristmill/gpu"
	"github.com/gristmill-zk/gristmill/gpu/check"
	"github.com/gristmill-zk/gristmill/gpu/health"
	"github.com/gristmill-zk/gristmill/gpu/icicle"
	"github.com/gristmill-zk/gristmill/gpu/nvml"
	"github.com/gristmill-zk/gristmill/gpu/remote"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "gristmill-engine-icicle:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("gristmill-engine-icicle", flag.ContinueOnError)
	device := flags.String("device", "cuda", "kind of device: cuda or cpu")
	index := flags.Int("index", 0, "number of the device among its kind")
	memory := flags.Int64("memory", 0, "bytes for resident keys; 0: 60 % of what the card has free, or 4 GiB")
	parallel := flags.Int("parallel", 0, "proofs on the device at once; 0: 2")
	precompute := flags.Int("precompute", 0, "multiples kept of each point of a key; 0: by the key's size")
	list := flags.Bool("list", false, "print the devices as JSON and stop")
	readings := flags.Bool("health", false, "print what NVML reads of each card as JSON and stop")
	selfTest := flags.Bool("self-test", false, "prove a known answer on the device and stop")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unknown argument %q", flags.Arg(0))
	}
	open := func() (gpu.Engine, error) {
		engine, err := icicle.Open(icicle.Config{
			Kind: strings.ToUpper(*device), Index: *index, Memory: *memory, Parallel: *parallel, Precompute: *precompute,
		})
		if err != nil {
			return nil, err
		}
		return engine, nil
	}
	switch {
	case *list:
		return printDevices(out)
	case *readings:
		return printJSON(out, health.NewAnswer(nvml.Read()))
	case *selfTest:
		return proveItself(ctx, open, out)
	}
	return remote.Main(open)
}

// listing is what --list prints.
type listing struct {
	Devices []icicle.Device `json:"devices"`
	// NoCUDA says why there is no CUDA device.
	NoCUDA string `json:"no_cuda,omitempty"`
}

func printDevices(out io.Writer) error {
	devices, err := icicle.Devices()
	l := listing{Devices: devices}
	if err != nil {
		l.NoCUDA = err.Error()
	}
	return printJSON(out, l)
}

func printJSON(out io.Writer, v any) error {
	enc := json.NewEncoder(out)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

func proveItself(ctx context.Context, open func() (gpu.Engine, error), out io.Writer) (err error) {
	engine, err := open()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, engine.Close()) }()
	if err := check.KnownAnswer(ctx, engine); err != nil {
		return err
	}
	info := engine.Info()
	_, err = fmt.Fprintf(out, "%s (%s, %s): known answer proved\n", info.Device, info.ID, info.Runtime)
	return err
}
