package sdk

import (
	"testing"

	"github.com/consensys/gnark-crypto/ecc"
	"github.com/consensys/gnark/frontend"
	"github.com/consensys/gnark/frontend/cs/r1cs"
	"github.com/stretchr/testify/require"

	"github.com/gristmill-zk/gristmill/wire"
)

// gadgetCircuit is a circuit of the messages' fields alone, unconstrained, and what a
// test does with them.
type gadgetCircuit struct {
	A, B  frontend.Variable
	Slots []slot
	use   func(api frontend.API, c *gadgetCircuit, m *Messages) error
}

func (c *gadgetCircuit) Define(api frontend.API) error {
	m := &Messages{Count: c.A, api: api}
	for i := range c.Slots {
		s := &c.Slots[i]
		m.Items = append(m.Items, &Message{
			Used: s.Used, DeviceID: s.Key[0], Nonce: s.Nonce, Time: s.Time, PayloadLen: s.PayloadBytes, Chunks: s.Chunks,
			api: api, key: s.Key, limit: gadgetLimit, length: gadgetLimit,
		})
	}
	return c.use(api, c, m)
}

const gadgetLimit = 100 // 4 chunks

func gadgetCount(t *testing.T, slots int, use func(api frontend.API, c *gadgetCircuit, m *Messages) error) int {
	t.Helper()
	c := &gadgetCircuit{Slots: make([]slot, slots), use: use}
	for i := range c.Slots {
		c.Slots[i] = newSlot(shape{payloadLimit: gadgetLimit})
	}
	ccs, err := frontend.Compile(ecc.BN254.ScalarField(), r1cs.NewBuilder, c, frontend.IgnoreUnconstrainedInputs())
	require.NoError(t, err)
	return ccs.GetNbConstraints()
}

// What each gadget costs stands in its documentation: who changes a number here
// changes it there, and knows that every circuit needs new keys.
func TestGadgetsCost(t *testing.T) {
	t.Parallel()
	first := func(use func(api frontend.API, m *Message) error) func(frontend.API, *gadgetCircuit, *Messages) error {
		return func(api frontend.API, _ *gadgetCircuit, m *Messages) error { return use(api, m.Items[0]) }
	}
	all := func(use func(c *gadgetCircuit, m *Messages)) func(frontend.API, *gadgetCircuit, *Messages) error {
		return func(_ frontend.API, c *gadgetCircuit, m *Messages) error { use(c, m); return nil }
	}
	values := func(m *Messages) (v []frontend.Variable) {
		for _, msg := range m.Items {
			v = append(v, msg.Nonce)
		}
		return v
	}
	const pairs = 4 * 3 / 2
	for _, test := range []struct {
		name        string
		slots, want int
		use         func(api frontend.API, c *gadgetCircuit, m *Messages) error
	}{
		{"Bits", 1, 8*100 + 4, first(func(_ frontend.API, m *Message) error { m.Bits(); return nil })},
		{"Bytes", 1, 8*100 + 4, first(func(_ frontend.API, m *Message) error { m.Bits(); m.Bytes(); return nil })},
		{"FixLength", 1, 2 + 1 + 2*3 + 8*21 + 1, first(func(_ frontend.API, m *Message) error { err := m.FixLength(21); m.Bits(); return err })},
		{"Uint", 1, 8*100 + 4, first(func(_ frontend.API, m *Message) error { _, err := m.Uint(1, 8); return err })},
		{"Int", 1, 8*100 + 4, first(func(_ frontend.API, m *Message) error { _, err := m.Int(29, 4); return err })},
		{"Message.AssertEqual", 1, 2, first(func(_ frontend.API, m *Message) error { m.AssertEqual(m.Nonce, m.Time); return nil })},
		{"Message.AssertAtMost", 1, 3 + 2*10, first(func(_ frontend.API, m *Message) error { m.AssertAtMost(m.Nonce, 1000); return nil })},
		{"AssertBits", 1, 33, first(func(api frontend.API, m *Message) error { AssertBits(api, m.Nonce, 32); return nil })},
		{"AssertAtMost", 1, 2 + 2*10, first(func(api frontend.API, m *Message) error { AssertAtMost(api, m.Nonce, 1000); return nil })},
		{"AssertNotAbove", 1, 1 + 10, first(func(api frontend.API, m *Message) error { AssertNotAbove(api, m.Nonce, 1000); return nil })},
		{"AssertBetween", 1, 2 + 2*11, first(func(api frontend.API, m *Message) error { return AssertBetween(api, m.Nonce, -1000, 1000) })},
		{"IsAtLeast", 1, 32 + 2, first(func(api frontend.API, m *Message) error { IsAtLeast(api, m.Nonce, m.Time, 32); return nil })},
		{"DivMod", 1, 5 + 64 + 16, first(func(api frontend.API, m *Message) error { _, _, err := DivMod(api, m.Time, 60_000, 64); return err })},
		{"SameDevice", 4, 2, all(func(_ *gadgetCircuit, m *Messages) { m.SameDevice(0, 1); m.SameDevice(1, 0) })},
		{"Devices", 4, 3 * pairs, all(func(_ *gadgetCircuit, m *Messages) { m.Devices() })},
		{"AssertDistinct", 4, 7 * pairs, all(func(_ *gadgetCircuit, m *Messages) { m.AssertDistinct() })},
		{"AssertDeviceOrder", 4, 4*pairs + 132*3, all(func(_ *gadgetCircuit, m *Messages) { m.AssertDeviceOrder() })},
		{"WithoutOverlap", 4, 3*pairs + 69*3, all(func(_ *gadgetCircuit, m *Messages) { m.WithoutOverlap(values(m), values(m)) })},
		{"AssertTimesInOrder", 4, 66 * 3, all(func(_ *gadgetCircuit, m *Messages) { m.AssertTimesInOrder() })},
		{"AssertTimeWindow", 4, 132 * 4, all(func(c *gadgetCircuit, m *Messages) { m.AssertTimeWindow(c.A, c.B) })},
		{"AssertTimeSpan", 4, 134 * 4, all(func(c *gadgetCircuit, m *Messages) { m.AssertTimeSpan(c.A, c.B) })},
		{"AssertIsMin", 4, (30 + 3) * 4, all(func(c *gadgetCircuit, m *Messages) { m.AssertIsMin(c.A, values(m), 30) })},
		{"AssertIsMax", 4, (30 + 3) * 4, all(func(c *gadgetCircuit, m *Messages) { m.AssertIsMax(c.A, values(m), 30) })},
	} {
		got := gadgetCount(t, test.slots, test.use)
		if got != test.want {
			t.Errorf("%s: got %d, want %d", test.name, got, test.want)
		}
	}
}

// platformCount is the size of the platform's part, less the team's constraint
// and what the outputs' binding costs.
func platformCount(t *testing.T, scheme wire.Scheme, batch, limit int, unchecked bool) int {
	t.Helper()
	p := &Project{BatchSize: batch, PayloadLimit: limit, DeviceScheme: scheme, UncheckedSignatures: unchecked}
	ccs, err := frontend.Compile(ecc.BN254.ScalarField(), r1cs.NewBuilder, newPlatform(p, new(vectorCircuit)))
	require.NoError(t, err)
	const team = 2
	return ccs.GetNbConstraints() - team
}

func TestPlatformCost(t *testing.T) {
	t.Parallel()
	cost := func(scheme wire.Scheme, limit int, unchecked bool) (perSlot, once int) {
		one, two := platformCount(t, scheme, 1, limit, unchecked), platformCount(t, scheme, 2, limit, unchecked)
		return two - one, 2*one - two
	}
	for _, test := range []struct {
		name                       string
		scheme                     wire.Scheme
		limit                      int
		commitment, commitmentOnce int
		signature, signatureOnce   int
		withoutSignatures          bool
	}{
		{"eddsa-bn254, 31 bytes", wire.SchemeEdDSABN254, 31, 1824, 998, 5597, 0, false},
		{"eddsa-bn254, 62 bytes", wire.SchemeEdDSABN254, 62, 1824 + 188, 998, 0, 0, true},
		{"p256, 31 bytes", wire.SchemeP256, 31, 1809, 998, 213_065, 8736, false},
	} {
		perSlot, once := cost(test.scheme, test.limit, true)
		require.Equal(t, []int{test.commitment, test.commitmentOnce}, []int{perSlot, once}, test.name)
		if test.withoutSignatures {
			continue
		}
		checked, checkedOnce := cost(test.scheme, test.limit, false)
		require.Equal(t, []int{test.signature, test.signatureOnce}, []int{checked - perSlot, checkedOnce - once}, test.name)
	}
}

func TestFixedPointCost(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		want int
		use  func(f *FixedPoint, a, b Fixed)
	}{
		{"Add", 0, func(f *FixedPoint, a, b Fixed) { f.Add(a, b) }},
		{"Sub", 0, func(f *FixedPoint, a, b Fixed) { f.Sub(a, b) }},
		{"Mul", 1, func(f *FixedPoint, a, b Fixed) { f.Mul(a, b) }},
		{"Rescale up", 0, func(f *FixedPoint, a, _ Fixed) { f.Rescale(a, 9) }},
		{"Rescale down", 5 + 34 + 7, func(f *FixedPoint, a, _ Fixed) { f.Rescale(a, 1) }},
		{"IsAtLeast", 33 + 2, func(f *FixedPoint, a, b Fixed) { f.IsAtLeast(a, b) }},
		{"AssertAtLeast", 33 + 1, func(f *FixedPoint, a, b Fixed) { f.AssertAtLeast(a, b) }},
		{"AssertEqual", 1, func(f *FixedPoint, a, b Fixed) { f.AssertEqual(a, b) }},
	} {
		got := gadgetCount(t, 1, func(api frontend.API, c *gadgetCircuit, _ *Messages) error {
			f := NewFixedPoint(api)
			test.use(f, f.Known(c.A, 32, 3), f.Known(c.B, 32, 3))
			return f.Err()
		})
		if got != test.want {
			t.Errorf("%s: got %d, want %d", test.name, got, test.want)
		}
	}
}
