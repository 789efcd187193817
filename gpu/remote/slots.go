package remote

import (
	"errors"
	"fmt"
	"sync"

	"github.com/gristmill-zk/gristmill/gpu"
	"github.com/gristmill-zk/gristmill/internal/subprocess"
)

// slotUnit is what slots' sizes are rounded up to.
const slotUnit = 1 << 16

// slots are memory files that are kept for the next proof: making one anew
// costs about as much as filling it.
type slots struct {
	keep int

	mu     sync.Mutex
	free   []*subprocess.Memory // the longest unused first
	closed bool
}

// take returns zeroed memory of at least size bytes, and not of much more.
func (s *slots) take(size int64) (*subprocess.Memory, error) {
	s.mu.Lock()
	for i, m := range s.free {
		if have := int64(len(m.Bytes)); have >= size && have <= 2*size+slotUnit {
			s.free = append(s.free[:i], s.free[i+1:]...)
			s.mu.Unlock()
			return m, nil
		}
	}
	s.mu.Unlock()
	m, err := subprocess.NewMemory("solution", (max(size, 1)+slotUnit-1)/slotUnit*slotUnit)
	if err != nil {
		return nil, fmt.Errorf("%w: %w: give the machine more memory or run fewer proofs at once", gpu.ErrDevice, err)
	}
	return m, nil
}

// give takes memory back of which the first used bytes were written.
func (s *slots) give(m *subprocess.Memory, used int64) error {
	clear(m.Bytes[:used])
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return m.Close()
	}
	s.free = append(s.free, m)
	if len(s.free) <= s.keep {
		return nil
	}
	oldest := s.free[0]
	s.free = append(s.free[:0], s.free[1:]...)
	return oldest.Close()
}

func (s *slots) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	var errs []error
	for _, m := range s.free {
		errs = append(errs, m.Close())
	}
	s.free = nil
	return errors.Join(errs...)
}
