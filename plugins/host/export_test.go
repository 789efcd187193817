package host

import (
	"strconv"

	"github.com/gristmill-zk/gristmill/plugins/internal/solution"
	"github.com/gristmill-zk/gristmill/plugins/sandbox"
)

// SetSandbox gives a host that has no process yet another sandbox.
func SetSandbox(h *Host, s *sandbox.Sandbox) { h.sandbox = s }

// Running are the processes a host has, by number.
func Running(h *Host) (pids []int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for p := range h.running {
		if pid, err := strconv.Atoi(p.runner.ID()); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// Check has a circuit judge a solution as if a plugin had written its W, A and B.
func Check(c *Circuit, s *Solution) error {
	h := c.header()
	m := &solution.Memory{Bytes: make([]byte, h.Size())}
	if err := solution.Write(m, h, s.W, s.A, s.B); err != nil {
		return err
	}
	return c.check.take(m.Bytes, h, s.W[:s.Public], solution.NewVectors(h))
}

// ResidentMemory is what a process has in memory.
var ResidentMemory = residentMemory

// RunDir is where a host's processes work.
func RunDir(h *Host) string { return h.runDir.Path() }

// Remains reads the solution files of a circuit's idle processes.
func Remains(c *Circuit) ([][]byte, error) {
	c.host.pool.mu.Lock()
	defer c.host.pool.mu.Unlock()
	var all [][]byte
	for _, p := range c.host.pool.idle {
		raw := make([]byte, c.header().Size())
		if _, err := p.solution.ReadAt(raw, 0); err != nil {
			return nil, err
		}
		all = append(all, raw)
	}
	return all, nil
}
