package solution

import (
	"testing"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/stretchr/testify/require"
)

// TestMemoryIsTheFilesOrder: where elements can be taken as they lie in memory
// that gives what converting them does. It is not parallel, as it changes how
// the others go.
func TestMemoryIsTheFilesOrder(t *testing.T) {
	v := make(fr.Vector, piece+3)
	require.NoError(t, v.SetRandom())
	converted := encode(nil, v)
	raw, ok := memory(v)
	require.Equal(t, littleEndian, ok)
	if ok {
		require.Equal(t, converted, raw)
	}
	before := littleEndian
	defer func() { littleEndian = before }()
	littleEndian = false
	got := make(fr.Vector, len(v))
	decode(got, converted)
	require.Equal(t, v, got)
	var file writer
	require.NoError(t, writeVector(&file, v, headerSize))
	require.Equal(t, converted, []byte(file)[headerSize:])
}

// writer is a file in memory.
type writer []byte

func (w *writer) WriteAt(p []byte, at int64) (int, error) {
	if missing := int(at) + len(p) - len(*w); missing > 0 {
		*w = append(*w, make([]byte, missing)...)
	}
	return copy((*w)[at:], p), nil
}
