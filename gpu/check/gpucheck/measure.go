//go:build icicle

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gristmill-zk/gristmill/gpu"
	"github.com/gristmill-zk/gristmill/gpu/check"
	"github.com/gristmill-zk/gristmill/gpu/cpu"
	"github.com/gristmill-zk/gristmill/gpu/icicle"
)

// edge is how many proofs at each end of the drift test are compared.
const edge = 100

// driftLimit is how much slower the last proofs may be.
const driftLimit = 1.05

func checkAll(ctx context.Context, o *options) error {
	var r report
	devices, err := icicle.Devices()
	r.Devices = devices
	if err != nil {
		note("no CUDA: %v", err)
	}
	for i, log := range o.sizes {
		for _, kind := range o.cases {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			note("%s 2^%d: making keys", kind, log)
			c, err := check.Sized(kind, log)
			if err != nil {
				return err
			}
			for _, f := range figures(ctx, o, kind, log, c) {
				r.Failed = r.Failed || f.Error != "" && f.Engine != peerName
				r.Proofs = append(r.Proofs, f)
			}
			if i == 0 && kind == o.cases[0] && o.drift > 0 {
				r.Drift = measureDrift(ctx, o, c)
				r.Failed = r.Failed || r.Drift.Error != ""
			}
		}
	}
	r.Scarce = tryScarce(ctx, o)
	for _, s := range r.Scarce {
		r.Failed = r.Failed || s.Outcome == outcomeFailed
	}
	if err := errors.Join(r.write(o.out), r.print(os.Stdout)); err != nil {
		return err
	}
	if r.Failed {
		return errors.New("something failed, see above")
	}
	return nil
}

func knownAnswer(ctx context.Context, o *options) (err error) {
	devices, missing := icicle.Devices()
	for _, d := range devices {
		fmt.Printf("%s %d: %s, %s, compute capability %s\n", d.Kind, d.Index, d.Name, d.Runtime, d.Compute)
	}
	if missing != nil {
		fmt.Println(missing)
	}
	engine, err := o.open()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, engine.Close()) }()
	if err := check.KnownAnswer(ctx, engine); err != nil {
		return err
	}
	fmt.Printf("known answer proved on %s\n", engine.Info().Device)
	return nil
}

func note(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }

func figures(ctx context.Context, o *options, kind string, log int, c *check.Case) []figure {
	openers := []struct {
		name string
		open func() (gpu.Engine, error)
	}{
		{cpu.Name, func() (gpu.Engine, error) { return cpu.New(cpu.Config{Memory: 64 << 30}) }},
		{icicle.Name, o.open},
	}
	var all []figure
	for _, e := range openers {
		f := figure{Case: kind, Log: log, Constraints: c.Constraints(), Engine: e.name}
		note("%s 2^%d: %s", kind, log, e.name)
		if err := measure(ctx, o, c, e.open, &f); err != nil {
			f.Error = err.Error()
		}
		all = append(all, f)
	}
	if o.peer {
		note("%s 2^%d: %s", kind, log, peerName)
		f := figure{Case: kind, Log: log, Constraints: c.Constraints(), Engine: peerName}
		if err := measurePeer(ctx, o, c, &f); err != nil {
			f.Error = err.Error()
		}
		all = append(all, f)
	}
	return all
}

func (o *options) open() (gpu.Engine, error) {
	e, err := icicle.Open(icicle.Config{Kind: o.kind, Index: o.index})
	if err != nil {
		return nil, err
	}
	return e, nil
}

func measure(ctx context.Context, o *options, c *check.Case, open func() (gpu.Engine, error), f *figure) (err error) {
	engine, err := open()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, engine.Close()) }()
	started := time.Now()
	if err := engine.Load(ctx, c.Key); err != nil {
		return err
	}
	f.LoadMs = milliseconds(time.Since(started))
	cold, err := prove(ctx, engine, c)
	if err != nil {
		return err
	}
	f.ColdMs, f.Verified = milliseconds(cold), 1
	var warm []time.Duration
	for range o.proofs {
		took, err := prove(ctx, engine, c)
		if err != nil {
			return err
		}
		warm = append(warm, took)
		f.Verified++
	}
	f.WarmMs = median(warm)
	started = time.Now()
	if err := several(ctx, engine, c, o.proofs); err != nil {
		return err
	}
	f.PerSecond = float64(o.proofs) / time.Since(started).Seconds()
	f.Verified += o.proofs
	return nil
}

// prove makes one proof, verifies it and returns how long making it took.
func prove(ctx context.Context, engine gpu.Engine, c *check.Case) (time.Duration, error) {
	request, err := c.Request()
	if err != nil {
		return 0, err
	}
	started := time.Now()
	proof, err := engine.Prove(ctx, request)
	took := time.Since(started)
	if err != nil {
		return 0, err
	}
	return took, c.Verify(proof)
}

// several makes n proofs with one more request in flight than the engine takes.
func several(ctx context.Context, engine gpu.Engine, c *check.Case, n int) error {
	var (
		wg   sync.WaitGroup
		next atomic.Int64
		errs = make([]error, engine.Info().Parallel+1)
	)
	for i := range errs {
		wg.Go(func() {
			for errs[i] == nil && next.Add(1) <= int64(n) {
				_, errs[i] = prove(ctx, engine, c)
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

func measureDrift(ctx context.Context, o *options, c *check.Case) *drift {
	note("drift: %d proofs", o.drift)
	d := &drift{Proofs: o.drift}
	if err := d.measure(ctx, o, c); err != nil {
		d.Error = err.Error()
	}
	return d
}

func (d *drift) measure(ctx context.Context, o *options, c *check.Case) (err error) {
	engine, err := o.open()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, engine.Close()) }()
	// The first proof loads the key and does not count.
	if _, err := prove(ctx, engine, c); err != nil {
		return err
	}
	var times []time.Duration
	for range d.Proofs {
		took, err := prove(ctx, engine, c)
		if err != nil {
			return err
		}
		times = append(times, took)
		d.Verified++
	}
	n := min(edge, len(times)/2)
	d.FirstMs, d.LastMs = median(times[:n]), median(times[len(times)-n:])
	if d.FirstMs > 0 {
		d.Ratio = d.LastMs / d.FirstMs
	}
	// A short run is for the program's own test and says nothing about time.
	if d.Ratio > driftLimit && d.Proofs >= 10*edge {
		return fmt.Errorf("the last proofs are more than %.0f %% slower than the first", (driftLimit-1)*100)
	}
	return nil
}
