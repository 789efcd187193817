package scheduler

import "sync"

// bell wakes every listener after a commit.
type bell struct {
	mu        sync.Mutex
	listeners map[chan struct{}]struct{}
}

// listen returns a channel that holds a wake-up after each ring.
func (b *bell) listen() (<-chan struct{}, func()) {
	c := make(chan struct{}, 1)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.listeners == nil {
		b.listeners = map[chan struct{}]struct{}{}
	}
	b.listeners[c] = struct{}{}
	return c, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		delete(b.listeners, c)
	}
}

func (b *bell) ring() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for c := range b.listeners {
		select {
		case c <- struct{}{}:
		default:
		}
	}
}

// pool runs keyed functions, one at a time for each key and so many in all.
type pool[K comparable] struct {
	limit int

	mu   sync.Mutex
	busy map[K]struct{}
	all  sync.WaitGroup
}

// start runs fn in the background, unless its key is busy or the pool full.
// It says whether there is room for another.
func (p *pool[K]) start(key K, fn func()) (room bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.busy == nil {
		p.busy = map[K]struct{}{}
	}
	if _, running := p.busy[key]; running {
		return true
	}
	if len(p.busy) >= p.limit {
		return false
	}
	p.busy[key] = struct{}{}
	p.all.Go(func() {
		defer func() {
			p.mu.Lock()
			defer p.mu.Unlock()
			delete(p.busy, key)
		}()
		fn()
	})
	return len(p.busy) < p.limit
}

// idle says whether nothing runs.
func (p *pool[K]) idle() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.busy) == 0
}

// wait returns when nothing runs any more.
func (p *pool[K]) wait() { p.all.Wait() }

// cache remembers values that never change.
type cache[K comparable, V any] struct {
	mu     sync.Mutex
	values map[K]V
}

// get gives a key's value. It is new to whoever's loading counted; of several at
// once one does.
func (c *cache[K, V]) get(key K, load func() (V, error)) (value V, isNew bool, err error) {
	c.mu.Lock()
	value, ok := c.values[key]
	c.mu.Unlock()
	if ok {
		return value, false, nil
	}
	loaded, err := load()
	if err != nil {
		return value, false, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if value, ok = c.values[key]; ok {
		return value, false, nil
	}
	if c.values == nil {
		c.values = map[K]V{}
	}
	c.values[key] = loaded
	return loaded, true, nil
}
