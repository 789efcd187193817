package machine

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Energy reads the processor packages' energy counters (RAPL).
type Energy struct{ zones []zone }

type zone struct {
	counter string
	limit   uint64 // where the counter starts over
	last    uint64
}

const powercap = "/sys/class/powercap"

// OpenEnergy finds the counters; nil where there are none or they can not be
// read.
func OpenEnergy() *Energy { return openEnergy(powercap) }

func openEnergy(root string) *Energy {
	// intel-rapl:N is a package; its parts, intel-rapl:N:M, are in its sum.
	dirs, _ := filepath.Glob(filepath.Join(root, "intel-rapl:*"))
	e := &Energy{}
	for _, dir := range dirs {
		if strings.Count(filepath.Base(dir), ":") != 1 {
			continue
		}
		z := zone{counter: filepath.Join(dir, "energy_uj")}
		var ok1, ok2 bool
		z.last, ok1 = readCounter(z.counter)
		z.limit, ok2 = readCounter(filepath.Join(dir, "max_energy_range_uj"))
		if ok1 && ok2 {
			e.zones = append(e.zones, z)
		}
	}
	if len(e.zones) == 0 {
		return nil
	}
	return e
}

// Joules is the energy used since the last call, or since the counters were
// opened. It is 0 for a nil Energy. A counter starts over within minutes: call
// at least that often.
func (e *Energy) Joules() float64 {
	if e == nil {
		return 0
	}
	var used float64
	for i := range e.zones {
		z := &e.zones[i]
		now, ok := readCounter(z.counter)
		if !ok {
			continue
		}
		delta := now - z.last
		if now < z.last {
			delta = z.limit - z.last + now
		}
		used += float64(delta) / 1e6
		z.last = now
	}
	return used
}

func readCounter(path string) (uint64, bool) {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, false
	}
	n, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64)
	return n, err == nil
}
