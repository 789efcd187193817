package ceremony

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/consensys/gnark/backend/groth16/bn254/mpcsetup"
)

func TestSizeOfPhase1(t *testing.T) {
	t.Parallel()
	for _, domain := range []uint64{2, 8, 64} {
		p := mpcsetup.NewPhase1(domain)
		p.Contribute()
		var text bytes.Buffer
		_, err := p.WriteTo(&text)
		require.NoError(t, err)
		require.EqualValues(t, phase1Size(domain), text.Len())
		require.NoError(t, checkPhase1Shape(domain)(bytes.NewReader(text.Bytes()), int64(text.Len())))
	}
}

// Whatever a contribution says of itself, looking at its shape ends.
func FuzzShapes(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3}, uint64(32))
	f.Fuzz(func(_ *testing.T, raw []byte, domain uint64) {
		at, size := bytes.NewReader(raw), int64(len(raw))
		_ = checkPhase1Shape(domain)(at, size)
		_ = checkPhase2Shape(at, size)
		_ = checkCircuitShape(at, size)
	})
}
