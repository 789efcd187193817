package bundle_test

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"

	cs "github.com/consensys/gnark/constraint/bn254"
	"github.com/stretchr/testify/require"

	"github.com/gristmill-zk/gristmill/plugins/bundle"
	"github.com/gristmill-zk/gristmill/wire"
)

// Where a proving key says how much follows, as gnark's WriteDump writes it.
const (
	keyDomain = 8
	keyWires  = 8 + 169 + 3*64 + 2*128
)

// keySlices is where the slices of points begin: after two flags a wire.
func keySlices() int { return keyWires + 3*8 + 2*int(built.Manifest.Circuit.Wires) + 4 }

// TestPartsThatFitTheManifestOnly spoils a part and tells the manifest: what a
// stranger could publish, and only a look at the content finds.
func TestPartsThatFitTheManifestOnly(t *testing.T) {
	t.Parallel()
	flip := func(at func(raw []byte) int) func([]byte) []byte {
		return func(raw []byte) []byte { raw[at(raw)] ^= 1; return raw }
	}
	put := func(at int, value uint64, order binary.AppendByteOrder) func([]byte) []byte {
		return func(raw []byte) []byte {
			copy(raw[at:], order.AppendUint64(nil, value))
			return raw
		}
	}
	last := func(raw []byte) int { return len(raw) - 1 }
	shorter := func(raw []byte) []byte { return raw[:len(raw)-1] }
	for _, test := range []struct {
		part, how string
		spoil     func(raw []byte) []byte
		kind      error
	}{
		{bundle.PartProvingKey, "truncated", shorter, bundle.ErrSize},
		{bundle.PartProvingKey, "extended", func(raw []byte) []byte { return append(raw, 0) }, bundle.ErrMalformed},
		{bundle.PartProvingKey, "no more than its beginning", func(raw []byte) []byte { return raw[:100] }, bundle.ErrMalformed},
		{bundle.PartProvingKey, "not a dump", flip(func([]byte) int { return 0 }), bundle.ErrMalformed},
		{bundle.PartProvingKey, "bit of its first point", flip(func([]byte) int { return keySlices() + 8 }), bundle.ErrMismatch},
		{bundle.PartProvingKey, "bit of a flag", flip(func([]byte) int { return keyWires + 3*8 }), bundle.ErrMismatch},
		{bundle.PartProvingKey, "absurd domain", put(keyDomain, 1<<60, binary.BigEndian), bundle.ErrMismatch},
		{bundle.PartProvingKey, "absurd wires", put(keyWires, 1<<60, binary.BigEndian), bundle.ErrMismatch},
		{bundle.PartProvingKey, "absurd count of infinities", put(keyWires+8, 1<<60, binary.BigEndian), bundle.ErrMismatch},
		{bundle.PartProvingKey, "absurd number of points", put(keySlices(), 1<<58, binary.LittleEndian), bundle.ErrSize},
		{bundle.PartProvingKey, "one point less", put(keySlices(), 1, binary.LittleEndian), bundle.ErrSize},
		{bundle.PartVerifyingKey, "truncated", shorter, bundle.ErrMismatch},
		{bundle.PartVerifyingKey, "nothing", func([]byte) []byte { return []byte{1} }, bundle.ErrMalformed},
		{bundle.PartVerifyingKey, "bit of a point", flip(last), bundle.ErrMismatch},
		{bundle.PartVerifyingKey, "bit of β", flip(func([]byte) int { return 64 + 63 }), bundle.ErrMalformed},
		{bundle.PartVerifyingKeyEVM, "truncated", shorter, bundle.ErrMismatch},
		{bundle.PartVerifyingKeyEVM, "bit of a point", flip(last), bundle.ErrMismatch},
		{bundle.PartCircuit, "truncated", shorter, bundle.ErrMalformed},
		{bundle.PartCircuit, "absurd length", put(0, 1<<60, binary.LittleEndian), bundle.ErrMalformed},
		{bundle.PartCircuit, "other coefficients", otherCoefficients, bundle.ErrMismatch},
		{bundle.PartCircuit, "unknown version of gnark", put(8, 7, binary.LittleEndian), bundle.ErrMalformed},
		{bundle.PartKnownAnswer, "truncated", shorter, bundle.ErrMalformed},
		{bundle.PartKnownAnswer, "bit of a wire", flip(last), bundle.ErrMismatch},
		{bundle.PartKnownAnswer, "absurd length", func(raw []byte) []byte {
			copy(raw, []byte{0xff, 0xff, 0xff, 0xff})
			return raw
		}, bundle.ErrMalformed},
	} {
		t.Run(test.part+" "+test.how, func(t *testing.T) {
			t.Parallel()
			dir := clone(t)
			respoil(t, dir, test.part, test.spoil)
			b, err := bundle.Open(t.Context(), dir)
			if err == nil {
				err = b.KnownAnswer(t.Context())
			}
			require.ErrorIs(t, err, test.kind)
			var blamed *bundle.Error
			require.ErrorAs(t, err, &blamed)
			switch test.part {
			case bundle.PartCircuit: // a well-formed circuit of another meaning shows in its known answer
				require.Contains(t, []string{bundle.PartCircuit, bundle.PartKnownAnswer, bundle.PartProvingKey}, blamed.Part)
			default:
				require.Equal(t, test.part, blamed.Part)
			}
		})
	}
}

// otherCoefficients is a circuit of the same sizes.
func otherCoefficients(raw []byte) []byte {
	system := new(cs.R1CS)
	if _, err := system.ReadFrom(bytes.NewReader(raw)); err != nil {
		panic(err)
	}
	for i := range system.Coefficients {
		system.Coefficients[i].Double(&system.Coefficients[i])
	}
	var out bytes.Buffer
	if _, err := system.WriteTo(&out); err != nil {
		panic(err)
	}
	return out.Bytes()
}

// respoil changes a part and what the manifest says of it.
func respoil(t *testing.T, dir, name string, spoil func([]byte) []byte) {
	t.Helper()
	part, err := built.Part(name)
	require.NoError(t, err)
	path := filepath.Join(dir, part.Path)
	raw, err := os.ReadFile(path)
	require.NoError(t, err)
	raw = spoil(raw)
	replace(t, path, raw)
	rewrite(t, dir, func(m *bundle.Manifest) {
		for i := range m.Parts {
			if m.Parts[i].Name == name {
				m.Parts[i].Size, m.Parts[i].SHA256 = int64(len(raw)), wire.SHA256(raw)
			}
		}
	})
}
