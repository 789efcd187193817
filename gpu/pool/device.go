package pool

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/gristmill-zk/gristmill/gpu"
)

// maxKnown is how many keys a device is taken to have. It is a guess that only
// costs a reload where it is wrong: engines decide themselves what to evict.
const maxKnown = 16

// device is an engine and what the pool knows of it. The pool's mutex guards
// all but engine and info.
type device struct {
	engine gpu.Engine
	info   gpu.Info

	busy   int
	keys   []gpu.KeyID // used lately, the last one first
	faults int         // in a row
	total  uint64
	proofs uint64
	last   error // of the last fault

	quarantined bool
	rest        time.Duration
	retryAt     time.Time
	unfit       string
}

func newDevice(e gpu.Engine) *device { return &device{engine: e, info: e.Info()} }

func (d *device) usable() bool { return !d.quarantined && d.unfit == "" }

func (d *device) free() bool { return d.usable() && d.busy < d.info.Parallel }

func (d *device) has(key gpu.KeyID) bool { return slices.Contains(d.keys, key) }

func (d *device) touch(key gpu.KeyID) {
	if i := slices.Index(d.keys, key); i >= 0 {
		d.keys = slices.Delete(d.keys, i, i+1)
	}
	d.keys = slices.Insert(d.keys, 0, key)
	d.keys = d.keys[:min(len(d.keys), maxKnown)]
}

// proved counts a verified proof. One right proof ends a row of faults.
func (p *Pool) proved(d *device, key gpu.KeyID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	d.proofs++
	d.faults = 0
	d.touch(key)
}

// fault counts a proof that a device failed and another engine made.
func (p *Pool) fault(ctx context.Context, d *device, why error) {
	p.mu.Lock()
	d.faults++
	d.total++
	d.last = why
	d.keys = nil // a process that was started again has none
	quarantine := d.faults >= p.cfg.Faults && !d.quarantined && d != p.fallback
	if quarantine {
		p.quarantine(d)
	}
	until := d.retryAt
	p.mu.Unlock()
	p.cfg.Observe(Event{Kind: EventFault, Device: d.info.ID, Err: why})
	if quarantine {
		p.cfg.Logger.ErrorContext(ctx, "a device goes into quarantine", "device", d.info.ID, "faults", p.cfg.Faults, "until", until, "error", why)
		p.cfg.Observe(Event{Kind: EventQuarantine, Device: d.info.ID, Err: why})
	}
}

// quarantine takes a device out of work and sees to its revival.
func (p *Pool) quarantine(d *device) {
	d.quarantined = true
	d.rest = p.cfg.Rest
	d.retryAt = time.Now().Add(d.rest)
	if !p.closed {
		p.work.Go(func() { p.revive(d) })
	}
	p.match() // who waits for this device only must not wait for ever
}

// revive tries a quarantined device with known answers until it gives one or the
// pool closes.
func (p *Pool) revive(d *device) {
	for {
		timer := time.NewTimer(time.Until(p.retryTime(d)))
		select {
		case <-timer.C:
		case <-p.ctx.Done():
			timer.Stop()
			return
		}
		ctx, cancel := context.WithTimeout(p.ctx, p.cfg.ReviveTimeout)
		err := p.cfg.KnownAnswer(ctx, d.engine)
		cancel()
		switch {
		case p.ctx.Err() != nil || errors.Is(err, gpu.ErrClosed):
			return
		case err == nil:
			p.mu.Lock()
			d.quarantined, d.faults = false, 0
			p.match()
			p.mu.Unlock()
			p.cfg.Logger.WarnContext(p.ctx, "a device proved a known answer and works again", "device", d.info.ID)
			p.cfg.Observe(Event{Kind: EventRevived, Device: d.info.ID})
			return
		}
		p.mu.Lock()
		d.rest = min(2*d.rest, p.cfg.RestLimit)
		d.retryAt = time.Now().Add(d.rest)
		d.last = err
		p.mu.Unlock()
		p.cfg.Logger.ErrorContext(p.ctx, "a quarantined device did not prove a known answer", "device", d.info.ID, "next", d.rest, "error", err)
	}
}

func (p *Pool) retryTime(d *device) time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return d.retryAt
}

// watch asks again and again which devices are unfit for work.
func (p *Pool) watch() {
	ticker := time.NewTicker(p.cfg.UnfitEvery)
	defer ticker.Stop()
	failing := false
	for {
		reasons, err := p.cfg.Unfit(p.ctx)
		switch {
		case p.ctx.Err() != nil:
			return
		case err == nil:
			p.judge(reasons)
		case !failing:
			p.cfg.Logger.WarnContext(p.ctx, "the devices' readings are not to be had", "error", err)
		}
		failing = err != nil
		select {
		case <-ticker.C:
		case <-p.ctx.Done():
			return
		}
	}
}

// judge takes over who is unfit, and why.
func (p *Pool) judge(reasons map[string]string) {
	var events []Event
	p.mu.Lock()
	for _, d := range p.devices {
		reason := reasons[d.info.ID]
		switch {
		case d.unfit == "" && reason != "":
			events = append(events, Event{Kind: EventUnfit, Device: d.info.ID, Err: errors.New(reason)})
		case d.unfit != "" && reason == "":
			events = append(events, Event{Kind: EventFit, Device: d.info.ID})
		}
		d.unfit = reason
	}
	p.match()
	p.mu.Unlock()
	for _, e := range events {
		p.cfg.Logger.WarnContext(p.ctx, "a device changed", "device", e.Device, "change", e.Kind, "reason", e.Err)
		p.cfg.Observe(e)
	}
}

// Status is what a pool knows of one device.
type Status struct {
	Info     gpu.Info
	Stats    gpu.Stats
	Fallback bool
	// Busy is how many proofs it is given now.
	Busy int
	// Proofs were verified; Faults were held against it, InRow since the last
	// proof.
	Proofs, Faults uint64
	InRow          int
	LastFault      error
	// Quarantined devices are tried with a known answer at RetryAt.
	Quarantined bool
	RetryAt     time.Time
	// Unfit is why its readings keep it from work; empty when they do not.
	Unfit string
}

// Status is a snapshot of all devices, the fallback last.
func (p *Pool) Status() []Status {
	all := p.devices
	if p.fallback != nil {
		all = append(all[:len(all):len(all)], p.fallback)
	}
	out := make([]Status, len(all))
	for i, d := range all {
		out[i].Stats = d.engine.Stats()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, d := range all {
		s := &out[i]
		s.Info, s.Fallback, s.Busy, s.Proofs, s.Faults, s.InRow = d.info, d == p.fallback, d.busy, d.proofs, d.total, d.faults
		s.LastFault, s.Quarantined, s.Unfit = d.last, d.quarantined, d.unfit
		if d.quarantined {
			s.RetryAt = d.retryAt
		}
	}
	return out
}
