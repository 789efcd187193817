package solution_test

import (
	"slices"
	"sync/atomic"
	"testing"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/stretchr/testify/require"

	"github.com/gristmill-zk/gristmill/internal/subprocess"
	"github.com/gristmill-zk/gristmill/plugins/internal/solution"
)

func random(n int) fr.Vector {
	v := make(fr.Vector, n)
	v.MustSetRandom()
	return v
}

var header = solution.Header{Wires: 5000, Constraints: 4097, Public: 4, Task: [32]byte{1}, Ticket: [16]byte{2}}

// made is what header announces.
func made() (w, a, b fr.Vector) { return random(5000), random(4097), random(4097) }

// written is a solution as its writer leaves it.
func written(t *testing.T) []byte {
	t.Helper()
	m := memory(header)
	w, a, b := made()
	require.NoError(t, solution.Write(m, header, w, a, b))
	return m.Bytes
}

// memory is that of no file.
func memory(h solution.Header) *solution.Memory {
	return &solution.Memory{Bytes: make([]byte, h.Size())}
}

func unseen(solution.Piece) {}

func take(m []byte, h solution.Header) (*solution.Vectors, error) {
	v := solution.NewVectors(h)
	return v, solution.Take(m, h, v, unseen)
}

func requireNothing(t *testing.T, m []byte, v *solution.Vectors) {
	t.Helper()
	require.Equal(t, make([]byte, len(m)), m, "nothing is left in the file")
	require.Equal(t, solution.NewVectors(header), v, "nothing was taken")
}

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	f, err := subprocess.FixedFile("solution", header.Size())
	require.NoError(t, err)
	defer f.Close()
	m, err := solution.Map(f)
	require.NoError(t, err)
	defer func() { require.NoError(t, m.Close()) }()
	w, a, b := made()
	require.NoError(t, solution.Write(f, header, w, a, b))

	got := solution.NewVectors(header)
	var wires, rows atomic.Int64
	require.NoError(t, solution.Take(m.Bytes, header, got, func(p solution.Piece) {
		wires.Add(int64(len(p.W)))
		rows.Add(int64(len(p.C)))
		same := slices.Equal(w[p.At:][:len(p.W)], p.W) && slices.Equal(a[p.At:][:len(p.A)], p.A) && slices.Equal(b[p.At:][:len(p.B)], p.B)
		if !same {
			t.Errorf("the piece at %d is not what was written", p.At)
		}
	}))
	require.Equal(t, int64(5000), wires.Load())
	require.Equal(t, int64(4097), rows.Load())
	c := make(fr.Vector, len(a))
	for i := range c {
		c[i].Mul(&a[i], &b[i])
	}
	require.Equal(t, &solution.Vectors{W: w, A: a, B: b, C: c}, got)
	raw := make([]byte, header.Size())
	_, err = f.ReadAt(raw, 0)
	require.NoError(t, err)
	require.Equal(t, make([]byte, header.Size()), raw, "nothing is left in the file")
}

func TestHeaderIsChecked(t *testing.T) {
	t.Parallel()
	m := written(t)
	for i := range 128 {
		bad := slices.Clone(m)
		bad[i] ^= 1
		v, err := take(bad, header)
		require.ErrorContains(t, err, "solution header", "byte %d", i)
		requireNothing(t, bad, v)
	}
	other := header
	other.Ticket[0]++
	_, err := take(slices.Clone(m), other)
	require.ErrorContains(t, err, "wrong ticket")
	_, err = take(m, header)
	require.NoError(t, err)
	_, err = take(m, header)
	require.ErrorContains(t, err, "wrong magic", "a solution can be taken once")
}

// What is taken is taken once: whoever still writes changes nothing of it.
func TestLaterChangesDoNotCount(t *testing.T) {
	t.Parallel()
	small := solution.Header{Wires: 30, Constraints: 20, Public: 4}
	m := memory(small)
	w, a, b := random(30), random(20), random(20)
	require.NoError(t, solution.Write(m, small, w, a, b))
	rest := m.Bytes[128+30*32:]
	got := solution.NewVectors(small)
	require.NoError(t, solution.Take(m.Bytes, small, got, func(p solution.Piece) {
		if p.W == nil {
			for i := range rest {
				rest[i] = 0xff
			}
		}
	}))
	require.Equal(t, a, got.A)
	require.Equal(t, b, got.B)
}

func TestLimbsMustBeCanonical(t *testing.T) {
	t.Parallel()
	modulus := []byte{
		0x01, 0x00, 0x00, 0xf0, 0x93, 0xf5, 0xe1, 0x43, 0x91, 0x70, 0xb9, 0x79, 0x48, 0xe8, 0x33, 0x28,
		0x5d, 0x58, 0x81, 0x81, 0xb6, 0x45, 0x50, 0xb8, 0x29, 0xa0, 0x31, 0xe1, 0x72, 0x4e, 0x64, 0x30,
	}
	for text, element := range map[string]int{
		"vector W: element 0 is": 0, "vector W: element 4999 is": 4999, "vector A: element 0 is": 5000,
		"vector A: element 4096 is": 9096, "vector B: element 2 is": 9099, "vector B: element 4096 is": 13193,
	} {
		m := written(t)
		at := 128 + 32*element
		copy(m[at:], modulus)
		again := slices.Clone(m)
		m[len(m)-1] = 0xff // the first of several is named
		v, err := take(m, header)
		require.ErrorContains(t, err, text+" not below the modulus")
		requireNothing(t, m, v)
		again[at]-- // modulus - 1
		_, err = take(again, header)
		require.NoError(t, err)
	}
}

func TestSizesMustBeTheCircuits(t *testing.T) {
	t.Parallel()
	m := written(t)
	_, err := take(m[:len(m)-1], header)
	require.ErrorContains(t, err, "bytes")
	_, err = take(m[:64], header)
	require.ErrorContains(t, err, "bytes")
	w, a, b := made()
	out := &solution.Memory{Bytes: m}
	require.Error(t, solution.Write(&solution.Memory{Bytes: m[:len(m)-1]}, header, w, a, b))
	require.Error(t, solution.Write(out, header, w[1:], a, b))
	require.Error(t, solution.Write(out, header, w, a[1:], b))
	require.Error(t, solution.Write(out, header, w, a, b[1:]))
	_, err = out.WriteAt([]byte{1}, -1)
	require.Error(t, err)
	_, err = out.WriteAt([]byte{1}, int64(len(m))+1)
	require.Error(t, err)
}

func TestCommittedValues(t *testing.T) {
	t.Parallel()
	out := memory(header)
	m := out.Bytes
	values := random(10)
	require.NoError(t, solution.WriteCommitted(out, values))
	got, err := solution.TakeCommitted(m, 10)
	require.NoError(t, err)
	require.Equal(t, values, got)
	require.Equal(t, make([]byte, len(m)), m)
	m[128+9*32+31] = 0xff
	_, err = solution.TakeCommitted(m, 10)
	require.ErrorContains(t, err, "committed values: element 9 is not below the modulus")
	_, err = solution.TakeCommitted(m[:128+9*32], 10)
	require.ErrorContains(t, err, "do not fit")
}

func FuzzTake(f *testing.F) {
	small := solution.Header{Wires: 3, Constraints: 2, Public: 1}
	m := memory(small)
	one := fr.Vector{fr.One(), fr.One(), fr.One()}
	if err := solution.Write(m, small, one, one[:2], one[:2]); err != nil {
		f.Fatal(err)
	}
	f.Add(m.Bytes)
	f.Fuzz(func(t *testing.T, raw []byte) {
		v, err := take(slices.Clone(raw), small)
		if err != nil {
			return
		}
		again := memory(small)
		require.NoError(t, solution.Write(again, small, v.W, v.A, v.B))
		require.Equal(t, raw, again.Bytes)
	})
}
