//go:build icicle

package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"strconv"

	"github.com/gristmill-zk/gristmill/gpu"
	"github.com/gristmill-zk/gristmill/gpu/check"
	"github.com/gristmill-zk/gristmill/gpu/icicle"
)

const (
	outcomeVerified = "verified"
	outcomeRefused  = "refused"
	outcomeFailed   = "failed"
)

const scarceLog = 16 // of the circuit that is proved when memory is scarce

// tryScarce proves while ever less device memory is left. Each step has its own
// process; a step passes if its proof verifies or the engine says clearly that
// memory is short.
func tryScarce(ctx context.Context, o *options) []scarce {
	if o.kind == icicle.CPU {
		note("scarce memory: not on the CPU device, which does not tell how much there is")
		return nil
	}
	var all []scarce
	for _, left := range []int64{4 << 30, 1 << 30, 512 << 20, 256 << 20, 128 << 20, 64 << 20, 16 << 20, 1 << 20} {
		note("scarce memory: %d MiB left", left>>20)
		s := scarce{LeftBytes: left, Outcome: outcomeFailed}
		out, err := self(ctx, "scarce", "--index", strconv.Itoa(o.index), "--left", strconv.FormatInt(left, 10))
		if err == nil {
			err = json.Unmarshal(out, &s)
		}
		if err != nil {
			s.Detail = err.Error()
		}
		all = append(all, s)
	}
	return all
}

func scarceMain(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("scarce", flag.ContinueOnError)
	index := flags.Int("index", 0, "number of the device")
	left := flags.Int64("left", 0, "bytes to leave")
	if err := flags.Parse(args); err != nil {
		return err
	}
	c, err := check.Sized("dense", scarceLog)
	if err != nil {
		return err
	}
	release, err := icicle.Occupy(icicle.CUDA, *index, *left)
	if err != nil {
		return err
	}
	s := scarce{LeftBytes: *left, Outcome: outcomeVerified}
	err = proveWith(ctx, *index, c)
	switch {
	case errors.Is(err, check.ErrWrong):
		s.Outcome, s.Detail = outcomeFailed, err.Error()
	case errors.Is(err, gpu.ErrDevice) || errors.Is(err, gpu.ErrBudget):
		s.Outcome, s.Detail = outcomeRefused, err.Error()
	case err != nil:
		s.Outcome, s.Detail = outcomeFailed, err.Error()
	}
	return errors.Join(json.NewEncoder(os.Stdout).Encode(s), release())
}

func proveWith(ctx context.Context, index int, c *check.Case) (err error) {
	engine, err := icicle.Open(icicle.Config{Kind: icicle.CUDA, Index: index})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, engine.Close()) }()
	for range 3 {
		if _, err := prove(ctx, engine, c); err != nil {
			return err
		}
	}
	return nil
}
