package cpu_test

import (
	"context"
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/consensys/gnark/backend/groth16"

	"github.com/gristmill-zk/gristmill/gpu/cpu"
	"github.com/gristmill-zk/gristmill/gpu/enginetest"
)

// BenchmarkAgainstGnark proves the same solution with this engine and with
// gnark's Prove in turns and reports the ratio of the times (above one: this
// engine is faster), by the clock and by processor time. The time that gnark spends solving is measured apart and
// taken off.
func BenchmarkAgainstGnark(b *testing.B) {
	for _, kind := range []string{"dense", "bits"} {
		for _, log := range []int{14, 15, 16} {
			b.Run(fmt.Sprintf("%s/2^%d", kind, log), func(b *testing.B) { against(b, kind, log) })
		}
	}
}

func against(b *testing.B, kind string, log int) {
	f, err := enginetest.Sized(kind, log)
	if err != nil {
		b.Fatal(err)
	}
	engine, err := cpu.New(cpu.Config{})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = engine.Close() }()
	ctx := context.Background()
	if err := engine.Load(ctx, f.Key()); err != nil {
		b.Fatal(err)
	}
	request := f.Request(b)
	ours := func() error {
		proof, err := engine.Prove(ctx, request)
		if err == nil && b.N == 1 {
			err = f.Verify(proof)
		}
		return err
	}
	gnark := func() error { _, err := groth16.Prove(f.Circuit, f.PK, f.Witness); return err }
	solve := func() error { _, err := f.Circuit.Solve(f.Witness); return err }
	turns := map[string]func() error{"ours": ours, "gnark": gnark, "solve": solve}
	wall, processor := map[string]float64{}, map[string]float64{}
	b.ResetTimer()
	for range b.N {
		for name, work := range turns {
			start, used := b.Elapsed(), cpuTime(b)
			if err := work(); err != nil {
				b.Fatalf("%s: %v", name, err)
			}
			wall[name] += (b.Elapsed() - start).Seconds() * 1000 / float64(b.N)
			processor[name] += (cpuTime(b) - used).Seconds() * 1000 / float64(b.N)
		}
	}
	b.ReportMetric(wall["ours"], "ours-ms")
	b.ReportMetric(wall["gnark"]-wall["solve"], "gnark-ms")
	b.ReportMetric((wall["gnark"]-wall["solve"])/wall["ours"], "ratio")
	b.ReportMetric(processor["ours"], "ours-cpu-ms")
	b.ReportMetric((processor["gnark"]-processor["solve"])/processor["ours"], "cpu-ratio")
	b.ReportMetric(0, "ns/op")
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
