package resident

import (
	"context"
	"fmt"
	"sync"

	"github.com/gristmill-zk/gristmill/gpu"
)

// Cache keeps keys resident within a budget, each in the form K that an engine
// makes of it. A key is pinned while in use;
// the least recently used of the others make room.
type Cache[K any] struct {
	budget    int64
	footprint func(gpu.Key) (int64, error)
	load      func(gpu.Key) (*K, error)
	free      func(*K)
	trim      func(*K)

	mu        sync.Mutex
	entries   map[gpu.KeyID]*entry[K]
	used      int64
	clock     uint64
	changed   chan struct{} // closed and replaced whenever waiters should look again
	loads     uint64
	evictions uint64
}

type entry[K any] struct {
	key   *K // nil while it is being read
	size  int64
	extra int64 // part of size that the key can do without
	pins  int
	last  uint64
}

// New makes an empty cache of budget bytes. Measure says how many a key will
// take, load makes it ready, and free, which may be nil, is called for each key
// that leaves.
func New[K any](budget int64, measure func(gpu.Key) (int64, error), load func(gpu.Key) (*K, error), free func(*K)) *Cache[K] {
	if free == nil {
		free = func(*K) {}
	}
	return &Cache[K]{budget: budget, footprint: measure, load: load, free: free, entries: map[gpu.KeyID]*entry[K]{}, changed: make(chan struct{})}
}

// Trims sets what is called, before first use of the cache, to make a key give up
// what Grow allowed it.
func (c *Cache[K]) Trims(trim func(*K)) { c.trim = trim }

// Grow lets a resident key take extra bytes beyond its size, if they are free now:
// it evicts nothing. The cache takes them back, with the function given to
// Trims, before it evicts a key.
func (c *Cache[K]) Grow(id gpu.KeyID, key *K, extra int64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, known := c.entries[id]
	if !known || e.key != key || c.used+extra > c.budget {
		return false
	}
	e.size, e.extra, c.used = e.size+extra, e.extra+extra, c.used+extra
	return true
}

// Shrink takes back what Grow allowed a key that is in use or not, because it
// was not used after all.
func (c *Cache[K]) Shrink(id gpu.KeyID, key *K) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, known := c.entries[id]; known && e.key == key {
		c.shrink(e)
		c.wake()
	}
}

func (c *Cache[K]) shrink(e *entry[K]) {
	e.size, c.used, e.extra = e.size-e.extra, c.used-e.extra, 0
}

// Acquire pins a key, reading it when it is not resident. Release it once.
func (c *Cache[K]) Acquire(ctx context.Context, key gpu.Key) (*K, error) {
	size := int64(-1)
	for {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		c.mu.Lock()
		e, known := c.entries[key.ID]
		if known && e.key != nil {
			c.pin(e)
			c.mu.Unlock()
			return e.key, nil
		}
		if !known && size >= 0 && c.makeRoom(size) {
			e = &entry[K]{size: size}
			c.entries[key.ID], c.used = e, c.used+size
			c.mu.Unlock()
			return c.fill(key, e)
		}
		changed := c.changed
		c.mu.Unlock()
		if !known && size < 0 {
			var err error
			if size, err = c.measure(key); err != nil {
				return nil, err
			}
			continue
		}
		select {
		case <-changed:
		case <-ctx.Done():
		}
	}
}

func (c *Cache[K]) measure(key gpu.Key) (int64, error) {
	size, err := c.footprint(key)
	if err != nil {
		return 0, err
	}
	if size > c.budget {
		return 0, fmt.Errorf("%w: key %s takes %d bytes, the budget is %d", gpu.ErrBudget, key.ID, size, c.budget)
	}
	return size, nil
}

// fill reads the key of a reserved entry and pins it.
func (c *Cache[K]) fill(key gpu.Key, e *entry[K]) (*K, error) {
	loaded, err := c.load(key)
	c.mu.Lock()
	defer c.mu.Unlock()
	defer c.wake()
	if err != nil {
		c.remove(key.ID, e)
		return nil, err
	}
	e.key = loaded
	c.loads++
	c.pin(e)
	return loaded, nil
}

func (c *Cache[K]) pin(e *entry[K]) {
	c.clock++
	e.pins, e.last = e.pins+1, c.clock
}

func (c *Cache[K]) Release(id gpu.KeyID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.entries[id].pins--
	c.wake()
}

// makeRoom trims keys and then evicts unpinned ones, the least recently used
// first, until size bytes are free. It does nothing when that would not be enough.
// Proofs in flight end with what they began with, so for as long as they take, a
// key that was trimmed in use holds more than is booked for it.
func (c *Cache[K]) makeRoom(size int64) bool {
	pinned := int64(0)
	for _, e := range c.entries {
		if e.pins > 0 || e.key == nil {
			pinned += e.size - e.extra
		}
	}
	if pinned+size > c.budget {
		return false
	}
	for c.used+size > c.budget {
		fattest := c.fattest()
		if fattest == nil {
			break
		}
		c.trim(fattest.key)
		c.shrink(fattest)
	}
	for c.used+size > c.budget {
		id, oldest := c.oldest()
		c.remove(id, oldest)
		c.evictions++
	}
	return true
}

// fattest is the key that is trimmed next: the least recently used one that has
// what it can do without, those not in use first.
func (c *Cache[K]) fattest() (fattest *entry[K]) {
	for _, e := range c.entries {
		if e.extra > 0 && (fattest == nil || (e.pins == 0) != (fattest.pins == 0) && e.pins == 0 || (e.pins == 0) == (fattest.pins == 0) && e.last < fattest.last) {
			fattest = e
		}
	}
	return fattest
}

// oldest is the least recently used of the unpinned keys.
func (c *Cache[K]) oldest() (id gpu.KeyID, oldest *entry[K]) {
	for i, e := range c.entries {
		if e.pins == 0 && e.key != nil && (oldest == nil || e.last < oldest.last) {
			id, oldest = i, e
		}
	}
	return id, oldest
}

func (c *Cache[K]) Evict(id gpu.KeyID) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, known := c.entries[id]
	switch {
	case !known:
		return fmt.Errorf("%w: %s", gpu.ErrNotLoaded, id)
	case e.pins > 0 || e.key == nil:
		return fmt.Errorf("%w: %s", gpu.ErrInUse, id)
	}
	c.remove(id, e)
	c.evictions++
	c.wake()
	return nil
}

// Clear drops every key; none may be in use.
func (c *Cache[K]) Clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for id, e := range c.entries {
		c.remove(id, e)
	}
}

func (c *Cache[K]) remove(id gpu.KeyID, e *entry[K]) {
	delete(c.entries, id)
	c.used -= e.size
	if e.key != nil {
		c.free(e.key)
	}
}

func (c *Cache[K]) wake() {
	close(c.changed)
	c.changed = make(chan struct{})
}

func (c *Cache[K]) Stats(s *gpu.Stats) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s.Loads, s.Evictions, s.KeyBytes = c.loads, c.evictions, c.used
	for _, e := range c.entries {
		if e.key != nil {
			s.Keys++
		}
	}
}
