package sequencer

import (
	"context"
	"sync"
	"time"
)

// cache believes what it was told for a while. Callers that miss the same key
// at once share one load, and only so many loads run at once. Failed loads are
// not kept, but for failures that are an answer themselves.
type cache[K comparable, V any] struct {
	load  func(context.Context, K) (V, error)
	keeps func(error) bool // failures that are kept; nil for none
	ttl   time.Duration
	turns chan struct{} // holds one value per running load

	mu      sync.Mutex
	entries map[K]*entry[V]
}

type entry[V any] struct {
	loaded chan struct{}
	value  V
	err    error
	until  time.Time
}

// cacheMost bounds the entries; a full cache is emptied.
const cacheMost = 100_000

func newCache[K comparable, V any](ttl time.Duration, load func(context.Context, K) (V, error)) *cache[K, V] {
	return &cache[K, V]{load: load, ttl: ttl, turns: make(chan struct{}, loadsMost), entries: map[K]*entry[V]{}}
}

func (c *cache[K, V]) get(ctx context.Context, key K) (V, error) {
	c.mu.Lock()
	e, ok := c.entries[key]
	if ok {
		select {
		case <-e.loaded:
			ok = (e.err == nil || c.keeps != nil && c.keeps(e.err)) && time.Now().Before(e.until)
		default:
		}
	}
	if !ok {
		if len(c.entries) >= cacheMost {
			clear(c.entries)
		}
		e = &entry[V]{loaded: make(chan struct{})}
		c.entries[key] = e
		// The load serves everyone who asks meanwhile: it does not end with
		// the one request that began it.
		go c.fill(context.WithoutCancel(ctx), key, e)
	}
	c.mu.Unlock()
	select {
	case <-e.loaded:
		return e.value, e.err
	case <-ctx.Done():
		var zero V
		return zero, ctx.Err()
	}
}

const (
	loadTimeout = 10 * time.Second
	// loadsMost is how many loads of one cache run at once.
	loadsMost = 32
)

func (c *cache[K, V]) fill(ctx context.Context, key K, e *entry[V]) {
	ctx, cancel := context.WithTimeout(ctx, loadTimeout)
	defer cancel()
	defer close(e.loaded)
	select {
	case c.turns <- struct{}{}:
	case <-ctx.Done():
		e.err = ctx.Err()
		return
	}
	defer func() { <-c.turns }()
	e.value, e.err = c.load(ctx, key)
	e.until = time.Now().Add(c.ttl)
}

// forget drops the entries that match.
func (c *cache[K, V]) forget(match func(K) bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for k := range c.entries {
		if match(k) {
			delete(c.entries, k)
		}
	}
}
