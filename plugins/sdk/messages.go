package sdk

import (
	"fmt"
	"reflect"

	"github.com/consensys/gnark-crypto/ecc"
	"github.com/consensys/gnark/frontend"
	"github.com/consensys/gnark/frontend/schema"
	"github.com/consensys/gnark/std/algebra/native/twistededwards"
)

// Messages is a task's messages inside the circuit. Everything reachable from
// it is bound to the data commitment.
type Messages struct {
	Deployment frontend.Variable // deployment id
	Project    frontend.Variable // 64 bits
	Count      frontend.Variable // how many slots are used, at least 1
	Items      []*Message        // the used slots come first

	api frontend.API
}

// Message is one slot. In a slot that is not used the fields are whatever the
// prover likes: multiply by Used, or use the assertions below.
type Message struct {
	Used       frontend.Variable // 1 or 0
	DeviceID   frontend.Variable
	Nonce      frontend.Variable // 64 bits
	Time       frontend.Variable // 64 bits, Unix milliseconds
	PayloadLen frontend.Variable // at most the payload limit
	Digest     frontend.Variable // what the device signed

	// Chunks is the zero-padded payload, 31 bytes big-endian each. Bytes
	// unpacks it with the range checks that needs.
	Chunks []frontend.Variable

	api   frontend.API
	key   twistededwards.Point
	limit int
	bytes []frontend.Variable
}

// Key is the device's public key, a point on the curve.
func (m *Message) Key() (x, y frontend.Variable) { return m.key.X, m.key.Y }

// Bytes are the payload's bytes up to the payload limit, each 0 to 255. It
// costs 8 constraints a byte, once.
func (m *Message) Bytes() []frontend.Variable {
	if m.bytes != nil {
		return m.bytes
	}
	for _, chunk := range m.Chunks {
		bits := m.api.ToBinary(chunk, 8*chunkBytes)
		for i := chunkBytes - 1; i >= 0; i-- {
			m.bytes = append(m.bytes, m.api.FromBinary(bits[8*i:8*i+8]...))
		}
	}
	for _, padding := range m.bytes[m.limit:] {
		m.api.AssertIsEqual(padding, 0)
	}
	m.bytes = m.bytes[:m.limit:m.limit]
	return m.bytes
}

// Uint is the big-endian number in size payload bytes from offset.
func (m *Message) Uint(offset, size int) (frontend.Variable, error) {
	if offset < 0 || size < 1 || size > chunkBytes || offset+size > m.limit {
		return nil, fmt.Errorf("payload bytes %d to %d lie outside the limit of %d bytes", offset, offset+size, m.limit)
	}
	sum := frontend.Variable(0)
	for _, b := range m.Bytes()[offset : offset+size] {
		sum = m.api.Add(m.api.Mul(sum, 256), b)
	}
	return sum, nil
}

// AssertEqual says that a equals b if the slot is used.
func (m *Message) AssertEqual(a, b frontend.Variable) {
	m.api.AssertIsEqual(m.api.Mul(m.Used, m.api.Sub(a, b)), 0)
}

// AssertAtMost says that v is 0 to limit if the slot is used. The limit is a
// constant below 2^248.
func (m *Message) AssertAtMost(v frontend.Variable, limit uint64) {
	assertBelow(m.api, m.api.Mul(m.Used, v), limit)
}

// AssertDistinct says that no two used slots have the same device and nonce, so
// that nothing counts twice.
func (m *Messages) AssertDistinct() {
	for j, b := range m.Items {
		for _, a := range m.Items[:j] {
			device := m.api.IsZero(m.api.Sub(a.DeviceID, b.DeviceID))
			nonce := m.api.IsZero(m.api.Sub(a.Nonce, b.Nonce))
			// Slot j is used only if every slot before it is.
			m.api.AssertIsEqual(m.api.Mul(m.api.Mul(device, nonce), b.Used), 0)
		}
	}
}

// AssertIsMin says that low is the least of values over the used slots, all
// of which are below 2^bits, bits at most 248.
func (m *Messages) AssertIsMin(low frontend.Variable, values []frontend.Variable, bits int) {
	m.assertBound(low, values, func(v frontend.Variable) frontend.Variable { return m.api.Sub(v, low) }, bits)
}

// AssertIsMax says that high is the greatest of values over the used slots, all
// of which are below 2^bits, bits at most 248.
func (m *Messages) AssertIsMax(high frontend.Variable, values []frontend.Variable, bits int) {
	m.assertBound(high, values, func(v frontend.Variable) frontend.Variable { return m.api.Sub(high, v) }, bits)
}

// assertBound says that distance is not negative for any used slot and zero for
// one of them.
func (m *Messages) assertBound(bound frontend.Variable, values []frontend.Variable, distance func(frontend.Variable) frontend.Variable, bits int) {
	m.api.ToBinary(bound, bits)
	product := frontend.Variable(1)
	for i, v := range values {
		d := m.api.Mul(m.Items[i].Used, distance(v))
		m.api.ToBinary(d, bits)
		// An unused slot has distance 0 and must not count as a hit.
		product = m.api.Mul(product, m.api.Add(d, m.api.Sub(1, m.Items[i].Used)))
	}
	m.api.AssertIsEqual(product, 0)
}

// publicFields are a circuit's public variables in order.
func publicFields(c Circuit) ([]frontend.Variable, error) {
	var out []frontend.Variable
	err := walkPublic(c, func(_ string, v frontend.Variable) { out = append(out, v) })
	return out, err
}

var variableType = reflect.TypeFor[frontend.Variable]()

func walkPublic(c Circuit, visit func(name string, v frontend.Variable)) error {
	_, err := schema.Walk(ecc.BN254.ScalarField(), c, variableType, func(leaf schema.LeafInfo, v reflect.Value) error {
		if leaf.Visibility == schema.Public {
			visit(leaf.FullName(), v.Interface())
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("walk the circuit's fields: %w", err)
	}
	return nil
}
