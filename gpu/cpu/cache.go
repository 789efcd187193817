package cpu

import (
	"context"
	"fmt"
	"sync"

	"github.com/gristmill-zk/gristmill/gpu"
)

// cache keeps keys resident within a budget. A key is pinned while in use;
// the least recently used of the others make room.
type cache struct {
	budget int64
	load   func(gpu.Key) (*provingKey, error)

	mu        sync.Mutex
	entries   map[gpu.KeyID]*entry
	used      int64
	clock     uint64
	changed   chan struct{} // closed and replaced whenever waiters should look again
	loads     uint64
	evictions uint64
}

type entry struct {
	key  *provingKey // nil while it is being read
	size int64
	pins int
	last uint64
}

func newCache(budget int64, load func(gpu.Key) (*provingKey, error)) *cache {
	return &cache{budget: budget, load: load, entries: map[gpu.KeyID]*entry{}, changed: make(chan struct{})}
}

// acquire pins a key, reading it when it is not resident. Release it once.
func (c *cache) acquire(ctx context.Context, key gpu.Key) (*provingKey, error) {
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
			e = &entry{size: size}
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

func (c *cache) measure(key gpu.Key) (int64, error) {
	size, err := footprint(key)
	if err != nil {
		return 0, err
	}
	if size > c.budget {
		return 0, fmt.Errorf("%w: key %s takes %d bytes, the budget is %d", gpu.ErrBudget, key.ID, size, c.budget)
	}
	return size, nil
}

// fill reads the key of a reserved entry and pins it.
func (c *cache) fill(key gpu.Key, e *entry) (*provingKey, error) {
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

func (c *cache) pin(e *entry) {
	c.clock++
	e.pins, e.last = e.pins+1, c.clock
}

func (c *cache) release(id gpu.KeyID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.entries[id].pins--
	c.wake()
}

// makeRoom evicts unpinned keys, the least recently used first, until size
// bytes are free. It evicts nothing when that would not be enough.
func (c *cache) makeRoom(size int64) bool {
	pinned := int64(0)
	for _, e := range c.entries {
		if e.pins > 0 || e.key == nil {
			pinned += e.size
		}
	}
	if pinned+size > c.budget {
		return false
	}
	for c.used+size > c.budget {
		id, oldest := c.oldest()
		c.remove(id, oldest)
		c.evictions++
	}
	return true
}

func (c *cache) oldest() (id gpu.KeyID, oldest *entry) {
	for i, e := range c.entries {
		if e.pins == 0 && e.key != nil && (oldest == nil || e.last < oldest.last) {
			id, oldest = i, e
		}
	}
	return id, oldest
}

func (c *cache) evict(id gpu.KeyID) error {
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

// clear drops every key; none may be in use.
func (c *cache) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.entries)
	c.used = 0
}

func (c *cache) remove(id gpu.KeyID, e *entry) {
	delete(c.entries, id)
	c.used -= e.size
}

func (c *cache) wake() {
	close(c.changed)
	c.changed = make(chan struct{})
}

func (c *cache) stats(s *gpu.Stats) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s.Loads, s.Evictions, s.KeyBytes = c.loads, c.evictions, c.used
	for _, e := range c.entries {
		if e.key != nil {
			s.Keys++
		}
	}
}
