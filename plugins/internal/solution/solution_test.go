package solution_test

import (
	"errors"
	"io"
	"testing"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/stretchr/testify/require"

	"github.com/gristmill-zk/gristmill/plugins/internal/solution"
)

// memory is a file of fixed size.
type memory []byte

func (m memory) WriteAt(p []byte, at int64) (int, error) {
	if at+int64(len(p)) > int64(len(m)) {
		return 0, errors.New("beyond the end")
	}
	return copy(m[at:], p), nil
}

func (m memory) ReadAt(p []byte, at int64) (int, error) {
	n := copy(p, m[min(at, int64(len(m))):])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func random(t testing.TB, n int) fr.Vector {
	t.Helper()
	v := make(fr.Vector, n)
	for i := range v {
		_, err := v[i].SetRandom()
		require.NoError(t, err)
	}
	return v
}

var header = solution.Header{Wires: 5000, Constraints: 4097, Public: 4, Task: [32]byte{1}, Ticket: [16]byte{2}}

func written(t testing.TB) (memory, [4]fr.Vector) {
	t.Helper()
	m := make(memory, header.Size())
	v := [4]fr.Vector{random(t, 5000), random(t, 4097), random(t, 4097), random(t, 4097)}
	require.NoError(t, solution.Write(m, header, v[0], v[1], v[2], v[3]))
	return m, v
}

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	m, want := written(t)
	got, err := solution.Read(m, header)
	require.NoError(t, err)
	require.Equal(t, want, [4]fr.Vector{got.W, got.A, got.B, got.C})
	require.Equal(t, 8192, cap(got.A))
}

func TestHeaderIsChecked(t *testing.T) {
	t.Parallel()
	m, _ := written(t)
	for i := range 128 {
		m[i] ^= 1
		_, err := solution.Read(m, header)
		require.ErrorContains(t, err, "solution header", "byte %d", i)
		m[i] ^= 1
	}
	other := header
	other.Ticket[0]++
	_, err := solution.Read(m, other)
	require.ErrorContains(t, err, "wrong ticket")
	require.NoError(t, solution.Clear(m, int64(len(m))))
	_, err = solution.Read(m, header)
	require.ErrorContains(t, err, "wrong magic")
	require.Equal(t, make(memory, len(m)), m, "nothing of the solution is left")
	require.Error(t, solution.Clear(m, int64(len(m))+1))
}

func TestVectorsAreCleared(t *testing.T) {
	t.Parallel()
	m, _ := written(t)
	v, err := solution.Read(m, header)
	require.NoError(t, err)
	v.Clear()
	for _, part := range []fr.Vector{v.W, v.A, v.B, v.C} {
		require.Equal(t, make(fr.Vector, cap(part)), part[:cap(part)])
	}
}

func TestLimbsMustBeCanonical(t *testing.T) {
	t.Parallel()
	m, _ := written(t)
	modulus := []byte{
		0x01, 0x00, 0x00, 0xf0, 0x93, 0xf5, 0xe1, 0x43, 0x91, 0x70, 0xb9, 0x79, 0x48, 0xe8, 0x33, 0x28,
		0x5d, 0x58, 0x81, 0x81, 0xb6, 0x45, 0x50, 0xb8, 0x29, 0xa0, 0x31, 0xe1, 0x72, 0x4e, 0x64, 0x30,
	}
	at := len(m) - 32
	copy(m[at:], modulus)
	_, err := solution.Read(m, header)
	require.ErrorContains(t, err, "vector C: element 4096 is not below the modulus")
	m[at]-- // modulus - 1
	_, err = solution.Read(m, header)
	require.NoError(t, err)
}

func TestShortFile(t *testing.T) {
	t.Parallel()
	m, v := written(t)
	_, err := solution.Read(m[:len(m)-1], header)
	require.Error(t, err)
	_, err = solution.Read(m[:64], header)
	require.Error(t, err)
	require.Error(t, solution.Write(m[:len(m)-1], header, v[0], v[1], v[2], v[3]))
	require.Error(t, solution.Write(m, header, v[0][1:], v[1], v[2], v[3]))
	require.Error(t, solution.Write(m, header, v[0], v[1], v[2][1:], v[3]))
}

func FuzzRead(f *testing.F) {
	small := solution.Header{Wires: 3, Constraints: 2, Public: 1}
	m := make(memory, small.Size())
	one := fr.Vector{fr.One(), fr.One(), fr.One()}
	if err := solution.Write(m, small, one, one[:2], one[:2], one[:2]); err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(m))
	f.Fuzz(func(t *testing.T, raw []byte) {
		v, err := solution.Read(memory(raw), small)
		if err != nil {
			return
		}
		again := make(memory, small.Size())
		require.NoError(t, solution.Write(again, small, v.W, v.A, v.B, v.C))
		require.Equal(t, raw[:small.Size()], []byte(again))
	})
}
