package cpu_test

import (
	"context"
	"fmt"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/consensys/gnark/backend/groth16"
	"golang.org/x/sync/errgroup"

	"github.com/gristmill-zk/gristmill/gpu/cpu"
	"github.com/gristmill-zk/gristmill/gpu/enginetest"
)

// flight is how many proofs of each prover are in flight at once, as a worker
// has them.
const flight = 2

// BenchmarkAgainstGnark proves the same solution with this engine, with tables
// and without, and with gnark's Prove in turns, two proofs in flight each, and
// reports medians of the time for one proof, by the clock and of the processor,
// and the ratios to gnark (above one: this engine is faster; best compares the
// least processor times, which other work on the machine disturbs least). The time that
// gnark spends solving is measured apart and taken off.
func BenchmarkAgainstGnark(b *testing.B) {
	for _, kind := range []string{"dense", "bits"} {
		for _, log := range []int{14, 15, 16, 17} {
			b.Run(fmt.Sprintf("%s/log=%d", kind, log), func(b *testing.B) { against(b, kind, log) })
		}
	}
}

func against(b *testing.B, kind string, log int) {
	f, err := enginetest.Sized(kind, log)
	if err != nil {
		b.Fatal(err)
	}
	request := f.Request(b)
	var made, memory float64 // what the tables took
	ours := func(tables bool) func() error {
		engine, err := cpu.New(cpu.Config{TablesAfter: -1})
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = engine.Close() })
		if err := engine.Load(b.Context(), f.Key()); err != nil {
			b.Fatal(err)
		}
		if tables {
			used := cpuTime(b)
			if err := engine.Tabulate(b.Context(), f.Key()); err != nil {
				b.Fatal(err)
			}
			made, memory = (cpuTime(b) - used).Seconds(), float64(engine.Stats().KeyBytes)/(1<<20)
		}
		proof, err := engine.Prove(b.Context(), request)
		if err != nil {
			b.Fatal(err)
		}
		if err := f.Verify(proof); err != nil {
			b.Fatal(err)
		}
		return func() error {
			_, err := engine.Prove(context.Background(), request)
			return err
		}
	}
	type turn struct {
		name            string
		work            func() error
		wall, processor []float64
	}
	turns := []*turn{
		{name: "tables", work: ours(true)},
		{name: "plain", work: ours(false)},
		{name: "gnark", work: func() error { _, err := groth16.Prove(f.Circuit, f.PK, f.Witness); return err }},
		{name: "solve", work: func() error { _, err := f.Circuit.Solve(f.Witness); return err }},
	}
	for b.Loop() {
		for _, t := range turns {
			start, used := time.Now(), cpuTime(b)
			var group errgroup.Group
			for range flight {
				group.Go(t.work)
			}
			if err := group.Wait(); err != nil {
				b.Fatalf("%s: %v", t.name, err)
			}
			t.wall = append(t.wall, time.Since(start).Seconds()*1000/flight)
			t.processor = append(t.processor, (cpuTime(b)-used).Seconds()*1000/flight)
		}
	}
	gnark, solve := turns[2], turns[3]
	for _, t := range turns[:3] {
		wall, processor := median(t.wall), median(t.processor)
		if t == gnark {
			wall, processor = wall-median(solve.wall), processor-median(solve.processor)
		} else {
			b.ReportMetric((median(gnark.wall)-median(solve.wall))/wall, t.name+"-ratio")
			b.ReportMetric((median(gnark.processor)-median(solve.processor))/processor, t.name+"-cpu-ratio")
			b.ReportMetric((slices.Min(gnark.processor)-slices.Min(solve.processor))/slices.Min(t.processor), t.name+"-best-cpu-ratio")
		}
		b.ReportMetric(wall, t.name+"-ms")
		b.ReportMetric(processor, t.name+"-cpu-ms")
	}
	b.ReportMetric(made, "tables-cpu-s")
	b.ReportMetric(memory, "tables-MiB")
	b.ReportMetric(0, "ns/op")
}

func median(v []float64) float64 {
	slices.Sort(v)
	return v[len(v)/2]
}

// cpuTime is what this process has used of the processor, which tells two
// programs apart even on a busy machine.
func cpuTime(b *testing.B) time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// BenchmarkLoad reads keys from a file until they are ready for a proof.
func BenchmarkLoad(b *testing.B) {
	for _, log := range []int{16, 17, 18} {
		b.Run(fmt.Sprintf("log=%d", log), func(b *testing.B) {
			key, err := enginetest.FileKey(b.TempDir(), "dense", log)
			if err != nil {
				b.Fatal(err)
			}
			engine, err := cpu.New(cpu.Config{})
			if err != nil {
				b.Fatal(err)
			}
			defer func() { _ = engine.Close() }()
			used := cpuTime(b)
			for b.Loop() {
				if err := engine.Load(b.Context(), key); err != nil {
					b.Fatal(err)
				}
				if err := engine.Evict(key.ID); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric((cpuTime(b)-used).Seconds()*1000/float64(b.N), "cpu-ms")
			b.ReportMetric(float64(key.Size)/(1<<20), "MiB")
		})
	}
}
