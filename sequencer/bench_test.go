package sequencer

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gristmill-zk/gristmill/wire"
)

func benchRig(b *testing.B) (*Sequencer, func()) {
	b.Helper()
	chain := newFakeChain("")
	chain.projects[1].MaxWait, chain.projects[1].BatchSize = 1<<30, 4096
	s, err := New(b.Context(), Config{Chain: chain, Key: [32]byte{1}, DB: filepath.Join(b.TempDir(), "s.db"), MaxInFlight: 1 << 20, MaxPending: 1 << 30})
	require.NoError(b, err)
	ctx, cancel := context.WithCancel(context.Background())
	ready, ended := make(chan struct{}), make(chan struct{})
	go func() { defer close(ended); s.ingest.run(ctx, s.committed) }()
	close(ready)
	return s, func() { cancel(); <-ended; require.NoError(b, s.Close()) }
}

func signed(b *testing.B, scheme wire.Scheme, n int) []*wire.Message {
	b.Helper()
	devices := make([]device, 16)
	for i := range devices {
		devices[i] = newDevice(b, scheme, byte(1+i))
	}
	out := make([]*wire.Message, n)
	var wg sync.WaitGroup
	for w := range devices {
		wg.Go(func() {
			for i := w; i < n; i += len(devices) {
				out[i] = devices[w].message(b, 1, uint64(i+1), "21 bytes of a reading")
			}
		})
	}
	wg.Wait()
	return out
}

// BenchmarkAccept measures messages per second from decoded message to the
// answer, many senders at once: signature, nonce rule and fsync included.
func BenchmarkAccept(b *testing.B) {
	for _, scheme := range []wire.Scheme{wire.SchemeEdDSABN254, wire.SchemeEd25519} {
		b.Run(scheme.String(), func(b *testing.B) {
			s, stop := benchRig(b)
			defer stop()
			msgs := signed(b, scheme, b.N)
			var next, failed atomic.Int64
			b.SetParallelism(64)
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					m := msgs[next.Add(1)-1]
					if a := s.Accept(context.Background(), m)[0]; a.Err != nil && wire.CodeOf(a.Err) != wire.RejectStaleNonce {
						failed.Add(1)
					}
				}
			})
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s")
			require.Zero(b, failed.Load())
		})
	}
}

// BenchmarkVerify is what one core checks.
func BenchmarkVerify(b *testing.B) {
	for _, scheme := range []wire.Scheme{wire.SchemeEdDSABN254, wire.SchemeEd25519} {
		b.Run(scheme.String(), func(b *testing.B) {
			m := newDevice(b, scheme, 1).message(b, 1, 1, "21 bytes of a reading")
			d := (&fakeChain{}).Deployment()
			for b.Loop() {
				require.NoError(b, m.Verify(d, 64))
			}
		})
	}
}

// BenchmarkCommit is the disk's part: one group per transaction.
func BenchmarkCommit(b *testing.B) {
	for _, size := range []int{1, 64, 1024} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			s, stop := benchRig(b)
			defer stop()
			d := newDevice(b, wire.SchemeEd25519, 1)
			base := d.message(b, 1, 1, "21 bytes of a reading")
			nonce := uint64(1)
			for b.Loop() {
				g := &group{done: make(chan struct{}), answers: make([]Accepted, size)}
				for range size {
					nonce++
					m := *base
					m.Nonce = nonce
					encoded, _ := m.MarshalBinary()
					g.records = append(g.records, record{id: wire.SHA256(encoded), msg: &m, encoded: encoded, device: d.id, version: 1})
				}
				s.ingest.write(context.Background(), []*group{g})
			}
			b.ReportMetric(float64(b.N*size)/b.Elapsed().Seconds(), "messages/s")
		})
	}
}
