package pool

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/gristmill-zk/gristmill/gpu"
)

// waiter is a proof that no device has taken yet.
type waiter struct {
	key    gpu.KeyID
	due    time.Time // zero: nothing is lost
	seq    uint64
	passed int
	may    func(*device) bool
	given  chan *device // buffered; nil: no device may take it
}

// urgency orders proofs by when they are due, then by their arrival.
func urgency(a, b *waiter) int {
	switch {
	case a.due.IsZero() != b.due.IsZero():
		if a.due.IsZero() {
			return 1
		}
		return -1
	case !a.due.Equal(b.due):
		return a.due.Compare(b.due)
	}
	return cmp.Compare(a.seq, b.seq)
}

// pressing says that there is no time for the sake of another proof's key.
func (w *waiter) pressing() bool { return !w.due.IsZero() && time.Until(w.due) < pressTime }

// acquire waits for one of the devices that may make a task's proof. It returns
// nil when none of them is usable. Release the device.
func (p *Pool) acquire(ctx context.Context, task *Task, may func(*device) bool) (*device, error) {
	w := &waiter{key: task.Key.ID, due: task.Due, may: may, given: make(chan *device, 1)}
	p.mu.Lock()
	p.seq++
	w.seq = p.seq
	at, _ := slices.BinarySearchFunc(p.waiting, w, urgency)
	p.waiting = slices.Insert(p.waiting, at, w)
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
	// Waiting is in the order of urgency. The first that a free device may take
	// goes, unless it has time and one comes later whose key the device has.
	var first *waiter
	var on *device
	for _, w := range p.waiting {
		d := p.choose(w)
		if d == nil {
			continue
		}
		if first == nil {
			first, on = w, d
		}
		switch {
		case first.passed >= maxPassed || first.pressing():
			return first, on
		case d.has(w.key):
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
