package pool

import (
	"context"
	"slices"
	"time"

	"github.com/gristmill-zk/gristmill/gpu"
)

// waiter is a proof that no device has taken yet.
type waiter struct {
	key      gpu.KeyID
	deadline time.Time // zero when there is none
	seq      uint64
	passed   int
	may      func(*device) bool
	given    chan *device // buffered; nil: no device may take it
}

// acquire waits for one of the devices that may make a proof under key. It
// returns nil when none of them is usable. Release the device.
func (p *Pool) acquire(ctx context.Context, key gpu.KeyID, may func(*device) bool) (*device, error) {
	w := &waiter{key: key, may: may, given: make(chan *device, 1)}
	w.deadline, _ = ctx.Deadline()
	p.mu.Lock()
	p.seq++
	w.seq = p.seq
	p.waiting = append(p.waiting, w)
	p.match()
	p.mu.Unlock()
	select {
	case d := <-w.given:
		return d, nil
	case <-ctx.Done():
	}
	p.mu.Lock()
	i := slices.Index(p.waiting, w)
	if i >= 0 {
		p.waiting = slices.Delete(p.waiting, i, i+1)
	}
	p.mu.Unlock()
	if i < 0 {
		if d := <-w.given; d != nil {
			p.release(d)
		}
	}
	return nil, context.Cause(ctx)
}

func (p *Pool) release(d *device) {
	p.mu.Lock()
	defer p.mu.Unlock()
	d.busy--
	p.match()
}

// match gives waiting proofs to free devices, and tells those whose last device
// went away. The mutex is held.
func (p *Pool) match() {
	p.waiting = slices.DeleteFunc(p.waiting, func(w *waiter) bool {
		for _, d := range p.devices {
			if d.usable() && w.may(d) {
				return false
			}
		}
		w.given <- nil
		return true
	})
	for {
		w, d := p.next()
		if w == nil {
			return
		}
		i := slices.Index(p.waiting, w)
		p.waiting = slices.Delete(p.waiting, i, i+1)
		d.busy++
		d.touch(w.key)
		w.given <- d
	}
}

// next chooses the waiting proof that goes next and the device that takes it.
func (p *Pool) next() (*waiter, *device) {
	if len(p.waiting) == 0 {
		return nil, nil
	}
	now := time.Now()
	order := slices.Clone(p.waiting)
	slices.SortFunc(order, func(a, b *waiter) int { return p.compare(now, a, b) })
	// Those that press are served in their order; of the others, one whose key a
	// free device has goes before.
	var first *waiter
	var on *device
	for _, w := range order {
		d := p.choose(w)
		if d == nil {
			continue
		}
		if first == nil {
			first, on = w, d
		}
		if p.presses(now, w) || d.has(w.key) {
			if w != first {
				first.passed++
			}
			return w, d
		}
	}
	return first, on
}

// choose is the free device for a proof: one that has its key, else the least
// busy, else the first.
func (p *Pool) choose(w *waiter) *device {
	var best *device
	for _, d := range p.devices {
		if !d.free() || !w.may(d) {
			continue
		}
		if best == nil || better(d, best, w.key) {
			best = d
		}
	}
	return best
}

func better(d, than *device, key gpu.KeyID) bool {
	if d.has(key) != than.has(key) {
		return d.has(key)
	}
	return d.busy*than.info.Parallel < than.busy*d.info.Parallel
}

// prefer is the device that a proof under key would go to now.
func (p *Pool) prefer(key gpu.KeyID) *device {
	p.mu.Lock()
	defer p.mu.Unlock()
	var best *device
	for _, d := range p.devices {
		if d.usable() && (best == nil || better(d, best, key)) {
			best = d
		}
	}
	return best
}

func (p *Pool) presses(now time.Time, w *waiter) bool {
	return w.passed >= maxPassed || (!w.deadline.IsZero() && w.deadline.Sub(now) < p.cfg.Pressing)
}

// compare orders pressing proofs by their deadline before all others, and these
// by age.
func (p *Pool) compare(now time.Time, a, b *waiter) int {
	pa, pb := p.presses(now, a), p.presses(now, b)
	switch {
	case pa != pb && pa:
		return -1
	case pa != pb:
		return 1
	case pa && !a.deadline.Equal(b.deadline):
		if a.deadline.IsZero() || (!b.deadline.IsZero() && a.deadline.After(b.deadline)) {
			return 1
		}
		return -1
	case a.seq < b.seq:
		return -1
	}
	return 1
}
