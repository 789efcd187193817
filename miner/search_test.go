package miner

import (
	"context"
	"math/big"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/gristmill-zk/gristmill/wire"
)

// easy is met by one hash in 2^bits.
func easy(bits uint) *big.Int {
	t := new(big.Int).Lsh(big.NewInt(1), 256-bits)
	return t.Sub(t, big.NewInt(1))
}

func anyHeader(t *rapid.T) wire.Header {
	var h wire.Header
	h.Version = 0x20000000 | rapid.Uint32().Draw(t, "version")&0x1fffe000
	copy(h.Prev[:], rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "prev"))
	copy(h.MerkleRoot[:], rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "root"))
	h.Time, h.Bits, h.Nonce = rapid.Uint32().Draw(t, "time"), rapid.Uint32().Draw(t, "bits"), rapid.Uint32().Draw(t, "nonce")
	return h
}

// TestScannerHashesLikeWire lets the scanner stop at every nonce and compares
// what it sees with the header's own hash.
func TestScannerHashesLikeWire(t *testing.T) {
	t.Parallel()
	for _, k := range kernels() {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			rapid.Check(t, func(t *rapid.T) {
				h := anyHeader(t)
				s := k.make(h)
				first := h.Nonce
				count := rapid.Uint32Range(1, 9).Draw(t, "count")
				bestAt, best := uint32(0), ^uint64(0)
				for i := range count {
					h.Nonce = first + i
					if w := hashWord(h); w < best {
						bestAt, best = i, w
					}
				}
				hit, tried := s.scan(first, count, best)
				require.True(t, hit)
				require.Equal(t, bestAt+1, tried)
				if best > 0 {
					hit, tried = s.scan(first, count, best-1)
					require.False(t, hit)
					require.Equal(t, count, tried)
				}
			})
		})
	}
}

func hashWord(h wire.Header) uint64 {
	sum := h.Hash()
	var w uint64
	for i := range 8 {
		w = w<<8 | uint64(sum[31-i])
	}
	return w
}

func TestSearchFindsAndCounts(t *testing.T) {
	t.Parallel()
	for seed := range uint32(8) {
		job := Job{ID: "j", Header: wire.Header{Version: 0x20000000, Time: seed}, Target: easy(12)}
		var hashes atomic.Uint64
		s, found, err := Search(t.Context(), job, 2, &hashes)
		require.NoError(t, err)
		require.True(t, found)
		require.Equal(t, "j", s.JobID)
		require.True(t, s.Header.Hash().MeetsTarget(job.Target))
		require.Positive(t, hashes.Load())
		s.Header.Nonce = 0
		require.Equal(t, job.Header, s.Header, "only the nonce may change")
	}
}

// TestSearchRefinesTheTopWord uses a target whose highest 64 bits are met far
// more often than the whole of it.
func TestSearchRefinesTheTopWord(t *testing.T) {
	t.Parallel()
	target := new(big.Int).Lsh(big.NewInt(1), 256-10) // top word 2^54, rest 0
	job := Job{Header: wire.Header{Version: 0x20000000}, Target: target}
	s, found, err := Search(t.Context(), job, 1, nil)
	require.NoError(t, err)
	require.True(t, found)
	require.True(t, s.Header.Hash().MeetsTarget(target))
}

func TestSearchRollsVersionBits(t *testing.T) {
	t.Parallel()
	job := Job{Header: wire.Header{Version: 0x20000000 | 3<<rollShift}, Target: easy(8)}
	s := &search{job: job, limit: topWord(job)}
	s.next.Store(1 << 32) // every nonce of the job's own version is used up
	sol, found, err := s.run(t.Context(), 2)
	require.NoError(t, err)
	require.True(t, found)
	require.NotEqual(t, job.Header.Version, sol.Header.Version)
	require.Equal(t, uint32(0x20000000), sol.Header.Version&^uint32(0x1fffe000), "only BIP320's bits may change")
	require.True(t, sol.Header.Hash().MeetsTarget(job.Target))
}

func TestSearchEndsWhenTheSpaceIsUsedUp(t *testing.T) {
	t.Parallel()
	job := Job{Header: wire.Header{Version: 0x20000000}, Target: big.NewInt(1)}
	s := &search{job: job, limit: topWord(job)}
	s.next.Store(space - 2*chunk)
	_, found, err := s.run(t.Context(), 2)
	require.NoError(t, err)
	require.False(t, found)
}

func TestRollingVisitsEveryVersionOnce(t *testing.T) {
	t.Parallel()
	seen := map[uint32]bool{}
	for n := range uint32(1 << rollBits) {
		v := rolled(wire.Header{Version: 0x20000000 | 0x1234<<rollShift}, n).Version
		require.False(t, seen[v])
		require.Equal(t, uint32(0x20000000), v&^uint32(0x1fffe000))
		seen[v] = true
	}
}

func TestSearchRefusesNonsense(t *testing.T) {
	t.Parallel()
	_, _, err := Search(t.Context(), Job{}, 1, nil)
	require.Error(t, err)
	_, _, err = Search(t.Context(), Job{Target: big.NewInt(0)}, 1, nil)
	require.Error(t, err)
	_, _, err = Search(t.Context(), Job{Target: big.NewInt(1)}, 0, nil)
	require.Error(t, err)
}

// TestSearchStopsSoon: once its context has ended, each worker tries at most the
// rest of the chunk that it is at. The time that takes is TestChunkIsShort's.
func TestSearchStopsSoon(t *testing.T) {
	t.Parallel()
	const workers = 3
	for range 5 {
		ctx, cancel := context.WithCancel(t.Context())
		var hashes atomic.Uint64
		ended := make(chan error, 1)
		go func() {
			_, _, err := Search(ctx, Job{Target: big.NewInt(1)}, workers, &hashes)
			ended <- err
		}()
		require.Eventually(t, func() bool { return hashes.Load() > 0 }, time.Minute, time.Millisecond)
		cancel()
		tried := hashes.Load()
		require.ErrorIs(t, <-ended, context.Canceled)
		require.LessOrEqual(t, hashes.Load()-tried, uint64(workers*chunk))
	}
}

// TestChunkIsShort: a search must end within 50 ms, so a chunk may take half of
// that. What counts is the processor's time, the shortest of several: the rest is
// what else the machine had to do. It runs alone, as the time is the process's.
func TestChunkIsShort(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector makes hashing many times slower")
	}
	for _, k := range kernels() {
		s, least := k.make(wire.Header{Version: 0x20000000}), time.Hour
		for range 20 {
			before := processorTime(t)
			s.scan(0, chunk, 0)
			least = min(least, processorTime(t)-before)
		}
		require.Less(t, least, 25*time.Millisecond, k.name)
	}
}

// processorTime is what the process has used so far.
func processorTime(t *testing.T) time.Duration {
	t.Helper()
	var used syscall.Rusage
	require.NoError(t, syscall.Getrusage(syscall.RUSAGE_SELF, &used))
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

func BenchmarkScan(b *testing.B) {
	for _, k := range kernels() {
		b.Run(k.name, func(b *testing.B) {
			s := k.make(wire.Header{Version: 0x20000000})
			for b.Loop() {
				s.scan(0, chunk, 0)
			}
			b.ReportMetric(float64(b.N)*chunk/b.Elapsed().Seconds()/1e6, "MH/s")
		})
	}
}
