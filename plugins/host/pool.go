package host

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"sync"
	"time"
)

// pool holds the processes that wait for their next task. One that waits too
// long is ended, and the one that has waited longest when all that wait use too
// much memory together.
type pool struct {
	timeout time.Duration
	memory  uint64 // bytes
	log     *slog.Logger

	mu     sync.Mutex
	idle   []*process // the one that worked last is last
	ending sync.WaitGroup
}

// take gives the process of a circuit that worked last, so that the others can
// age; nil if there is none.
func (l *pool) take(c *Circuit) *process {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, p := range slices.Backward(l.idle) {
		if p.circuit == c {
			l.idle = slices.Delete(l.idle, i, i+1)
			p.eviction.Stop()
			return p
		}
	}
	return nil
}

// keep takes in a process and gives those back that must end for it.
func (l *pool) keep(p *process) (over []*process) {
	p.resident = residentMemory(p.runner.ID())
	l.mu.Lock()
	defer l.mu.Unlock()
	l.idle = append(l.idle, p)
	p.eviction = time.AfterFunc(l.timeout, func() { l.evict(p) })
	var sum uint64
	for i, q := range slices.Backward(l.idle) {
		if sum += q.resident; sum > l.memory {
			over = slices.Clone(l.idle[:i+1])
			l.idle = slices.Delete(l.idle, 0, i+1)
			break
		}
	}
	for _, q := range over {
		q.eviction.Stop()
		l.log.Debug("plugin process ended for the memory it uses", slog.String("plugin", q.circuit.bundle.Manifest.Name), slog.Uint64("bytes", q.resident))
	}
	return over
}

// evict ends a process that waits still.
func (l *pool) evict(p *process) {
	l.mu.Lock()
	i := slices.Index(l.idle, p)
	if i >= 0 {
		l.idle = slices.Delete(l.idle, i, i+1)
		l.ending.Add(1)
	}
	l.mu.Unlock()
	if i >= 0 {
		defer l.ending.Done()
		endAll([]*process{p})
	}
}

// takeAll gives all processes of a circuit.
func (l *pool) takeAll(c *Circuit) (all []*process) {
	for p := l.take(c); p != nil; p = l.take(c) {
		all = append(all, p)
	}
	return all
}

// wait returns when no process is being ended for its age any more.
func (l *pool) wait() { l.ending.Wait() }

// endAll ends processes that did no wrong.
func endAll(all []*process) {
	for _, p := range all {
		p.drain()
		p.stop()
	}
}

// residentMemory is what a process has in memory, in bytes; 0 when the kernel
// does not say.
func residentMemory(pid string) uint64 {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%s/statm", pid))
	if err != nil {
		return 0
	}
	fields := bytes.Fields(raw)
	if len(fields) < 2 {
		return 0
	}
	pages, err := strconv.ParseUint(string(fields[1]), 10, 64)
	if err != nil {
		return 0
	}
	return pages * uint64(os.Getpagesize())
}
