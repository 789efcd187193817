package bundle

import (
	"bytes"
	"testing"
)

// Whatever a part says of itself, looking at its shape ends.
func FuzzShapes(f *testing.F) {
	f.Add([]byte{0, 0, 0, 1}, uint64(32), uint64(40))
	f.Fuzz(func(_ *testing.T, raw []byte, constraints, wires uint64) {
		at, size := bytes.NewReader(raw), int64(len(raw))
		c := &CircuitInfo{Constraints: constraints%maxConstraints + 1, Wires: wires%maxWires + 1}
		_ = checkDumpShape(at, size, c)
		_ = checkCircuitShape(at, size)
		_ = checkWiresShape(at, size)
	})
}
