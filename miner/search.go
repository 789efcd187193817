package miner

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/gristmill-zk/gristmill/wire"
)

const (
	// chunk is how many nonces a worker tries between two looks at the
	// context: a few milliseconds of work.
	chunk = 1 << 14
	// rollBits is the width of the version field that BIP320 leaves to miners,
	// rollShift its position.
	rollBits  = 16
	rollShift = 13
	// space is how many headers a job permits: every nonce under every
	// combination of the free version bits.
	space = 1 << (32 + rollBits)
)

// Search tries the headers that job permits on the given number of goroutines
// and returns the first solution. It returns false with the context's error
// when ctx ends, and false without error when all 2^48 headers were tried.
// Every header tried is counted in hashes, if that is not nil.
func Search(ctx context.Context, job Job, workers int, hashes *atomic.Uint64) (Solution, bool, error) {
	if job.Target == nil || job.Target.Sign() <= 0 {
		return Solution{}, false, errors.New("miner: job has no target")
	}
	if workers < 1 {
		return Solution{}, false, fmt.Errorf("miner: %d workers", workers)
	}
	s := &search{job: job, limit: topWord(job), hashes: hashes}
	return s.run(ctx, workers)
}

type search struct {
	job    Job
	limit  uint64 // the target's highest 64 bits
	next   atomic.Uint64
	hashes *atomic.Uint64

	once  sync.Once
	found atomic.Pointer[wire.Header]
}

func (s *search) run(ctx context.Context, workers int) (Solution, bool, error) {
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() { s.work(ctx) })
	}
	wg.Wait()
	if h := s.found.Load(); h != nil {
		return Solution{JobID: s.job.ID, Header: *h}, true, nil
	}
	return Solution{}, false, ctx.Err()
}

func (s *search) work(ctx context.Context) {
	fastest := kernels()[0]
	var header wire.Header
	var scan scanner
	for ctx.Err() == nil && s.found.Load() == nil {
		first := s.next.Add(chunk) - chunk
		if first >= space {
			return
		}
		if h := rolled(s.job.Header, uint32(first>>32)); scan == nil || h.Version != header.Version {
			header, scan = h, fastest.make(h)
		}
		s.try(header, scan, uint32(first))
	}
}

// try scans one chunk and keeps the first solution of the whole search.
func (s *search) try(header wire.Header, scan scanner, nonce uint32) {
	for left := uint32(chunk); left > 0; {
		hit, tried := scan.scan(nonce, left, s.limit)
		nonce, left = nonce+tried, left-tried
		if s.hashes != nil {
			s.hashes.Add(uint64(tried))
		}
		if !hit {
			return
		}
		header.Nonce = nonce - 1
		if header.Hash().MeetsTarget(s.job.Target) {
			s.once.Do(func() { s.found.Store(&header) })
			return
		}
	}
}

// rolled sets the free version bits to the n-th combination after the job's own.
func rolled(h wire.Header, n uint32) wire.Header {
	h.Version ^= n << rollShift
	return h
}

// topWord is the target's highest 64 of 256 bits. A hash whose highest bits
// are larger misses the target; the others get the exact check.
func topWord(job Job) uint64 {
	if job.Target.BitLen() > 256 {
		return ^uint64(0)
	}
	var b [32]byte
	job.Target.FillBytes(b[:])
	var w uint64
	for _, x := range b[:8] {
		w = w<<8 | uint64(x)
	}
	return w
}
