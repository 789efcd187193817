package remote_test

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"testing"

	"github.com/consensys/gnark-crypto/ecc/bn254"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/stretchr/testify/require"

	"github.com/gristmill-zk/gristmill/gpu"
	"github.com/gristmill-zk/gristmill/gpu/cpu"
	"github.com/gristmill-zk/gristmill/gpu/enginetest"
	"github.com/gristmill-zk/gristmill/gpu/remote"
)

// BenchmarkProve holds a proof of an engine in another process against one of
// the same engine in this one. BENCH_LOG says how many constraints, in powers
// of two.
func BenchmarkProve(b *testing.B) {
	log, err := strconv.Atoi(os.Getenv("BENCH_LOG"))
	if err != nil {
		log = 12
	}
	f, err := enginetest.Sized("dense", log)
	require.NoError(b, err)
	here, err := cpu.New(cpu.Config{})
	require.NoError(b, err)
	there, err := remote.New(remote.Config{Command: command("", 4<<30, "-"), Logger: silent})
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, here.Close()); require.NoError(b, there.Close()) })
	for name, engine := range map[string]gpu.Engine{"here": here, "there": there} {
		require.NoError(b, engine.Load(b.Context(), f.Key()))
		request := f.Request(b)
		b.Run(fmt.Sprintf("2^%d/%s", log, name), func(b *testing.B) {
			for b.Loop() {
				proof, err := engine.Prove(b.Context(), request)
				require.NoError(b, err)
				b.StopTimer()
				require.NoError(b, f.Verify(proof))
				b.StartTimer()
			}
		})
	}
}

// idle is an engine that makes no proof and takes no time.
type idle struct{ gpu.Engine }

func (idle) Info() gpu.Info   { return gpu.Info{Name: "idle", ID: "idle", Parallel: 1} }
func (idle) Stats() gpu.Stats { return gpu.Stats{} }
func (idle) Close() error     { return nil }

func (idle) Prove(context.Context, gpu.Request) (*gpu.Proof, error) {
	_, _, g1, g2 := bn254.Generators()
	return &gpu.Proof{Ar: g1, Krs: g1, Bs: g2}, nil
}

// BenchmarkCrossing is what it costs to have a proof made elsewhere: solutions
// of 2^BENCH_LOG wires and as many constraints go to an engine that does nothing.
func BenchmarkCrossing(b *testing.B) {
	log, err := strconv.Atoi(os.Getenv("BENCH_LOG"))
	if err != nil {
		log = 12
	}
	e := open(b, "idle", remote.Config{})
	v := make(fr.Vector, 1<<log)
	for i := range v {
		v[i].SetUint64(uint64(i))
	}
	request := gpu.Request{Solution: gpu.Solution{W: v, A: v, B: v, C: v}}
	b.SetBytes(int64(4 * len(v) * fr.Bytes))
	for b.Loop() {
		_, err := e.Prove(b.Context(), request)
		require.NoError(b, err)
	}
}
