package sdk

import (
	"errors"
	"fmt"
	"math/big"
	"reflect"
	"slices"

	"github.com/consensys/gnark-crypto/ecc"
	"github.com/consensys/gnark/frontend"
	"github.com/consensys/gnark/frontend/schema"
)

// Messages is a task's messages inside the circuit. Everything reachable from
// it is bound to the data commitment.
type Messages struct {
	Deployment frontend.Variable // deployment id
	Project    frontend.Variable // 64 bits
	Count      frontend.Variable // how many slots are used, at least 1
	Items      []*Message        // the used slots come first

	api  frontend.API
	same map[[2]int]frontend.Variable
}

// Message is one slot. In a slot that is not used the fields are whatever the
// prover likes: multiply by Used, or use the assertions below.
type Message struct {
	Used       frontend.Variable // 1 or 0
	DeviceID   frontend.Variable
	Nonce      frontend.Variable // 64 bits
	Time       frontend.Variable // 64 bits, Unix milliseconds
	PayloadLen frontend.Variable // at most the payload limit
	Digest     frontend.Variable // what a circuit sees of the message

	// Chunks is the zero-padded payload, 31 bytes big-endian each. Bytes
	// unpacks it with the range checks that needs.
	Chunks []frontend.Variable

	api                 frontend.API
	key                 []frontend.Variable
	limit, length       int  // of the payload: the project's, and FixLength's
	masked, exact       bool // zero in an unused slot; length is the scheme's
	bits                []frontend.Variable
	nonceBits, timeBits []frontend.Variable
}

// Key is what the device id hashes after the scheme's number: the point's
// coordinates for eddsa-bn254, the compressed key's 31-byte chunks for p256.
func (m *Message) Key() []frontend.Variable { return slices.Clone(m.key) }

// FixLength says that the payload has exactly n bytes if the slot is used. From
// then on Bytes are those n, and they are zero in a slot that is not used. It
// costs 2 constraints, one more for each of the n bytes' 31-byte chunks and 2
// for each chunk after them. With p256 devices every payload has the limit's
// length in every slot: n must be that, and nothing is added.
func (m *Message) FixLength(n int) error {
	switch {
	case n < 1 || n > m.limit:
		return fmt.Errorf("payload of %d bytes, must have 1 to the limit of %d", n, m.limit)
	case m.bits != nil:
		return errors.New("FixLength after Bytes: the payload is unpacked already")
	case m.exact && n != m.limit:
		return fmt.Errorf("payload of %d bytes: the project's devices send exactly %d", n, m.limit)
	case m.exact:
		return nil
	}
	m.AssertEqual(m.PayloadLen, n)
	for _, beyond := range m.Chunks[chunksFor(n):] {
		m.AssertEqual(beyond, 0)
	}
	m.length, m.masked = n, true
	return nil
}

// Bits are the payload's bits, eight for each of Bytes, the most significant of
// a byte first. They cost a constraint each and one per 31-byte chunk, once.
func (m *Message) Bits() []frontend.Variable {
	if m.bits != nil {
		return m.bits
	}
	for k, chunk := range m.Chunks[:chunksFor(m.length)] {
		if m.masked {
			chunk = m.api.Mul(m.Used, chunk)
		}
		size := min(chunkBytes, m.length-k*chunkBytes)
		// What follows the payload in the chunk is zero: the rest is a number of
		// the bits before it, or none.
		bits := m.api.ToBinary(m.api.Mul(chunk, inverseOfPower(8*(chunkBytes-size))), 8*size)
		slices.Reverse(bits)
		m.bits = append(m.bits, bits...)
	}
	return m.bits
}

// inverseOfPower is 2^-n in the scalar field.
func inverseOfPower(n int) *big.Int {
	power := new(big.Int).Lsh(big.NewInt(1), uint(n))
	return power.ModInverse(power, ecc.BN254.ScalarField())
}

// Bytes are the payload's bytes up to the payload limit or FixLength's length,
// each 0 to 255. They cost what Bits does: 8 constraints a byte and one per
// 31-byte chunk, once.
func (m *Message) Bytes() []frontend.Variable {
	bits := m.Bits()
	out := make([]frontend.Variable, len(bits)/8)
	for i := range out {
		out[i] = packBits(m.api, bits[8*i:8*i+8])
	}
	return out
}

// packBits is the number whose bits are given, most significant first.
func packBits(api frontend.API, bits []frontend.Variable) frontend.Variable {
	low := slices.Clone(bits)
	slices.Reverse(low)
	return api.FromBinary(low...)
}

// Uint is the big-endian number in size payload bytes from offset, at most 31.
// It costs nothing beyond Bits.
func (m *Message) Uint(offset, size int) (frontend.Variable, error) {
	bits, err := m.field(offset, size)
	if err != nil {
		return nil, err
	}
	return packBits(m.api, bits), nil
}

// Int is the big-endian two's complement number in size payload bytes from
// offset, at most 31; below zero it is a negative element of the field. It costs
// nothing beyond Bits.
func (m *Message) Int(offset, size int) (frontend.Variable, error) {
	bits, err := m.field(offset, size)
	if err != nil {
		return nil, err
	}
	wrap := new(big.Int).Lsh(big.NewInt(1), uint(8*size))
	return m.api.Sub(packBits(m.api, bits), m.api.Mul(bits[0], wrap)), nil
}

func (m *Message) field(offset, size int) ([]frontend.Variable, error) {
	if offset < 0 || size < 1 || size > chunkBytes || offset+size > m.length {
		return nil, fmt.Errorf("payload bytes %d to %d lie outside the limit of %d bytes", offset, offset+size, m.length)
	}
	return m.Bits()[8*offset : 8*(offset+size)], nil
}

// AssertEqual says that a equals b if the slot is used. It costs 2 constraints.
func (m *Message) AssertEqual(a, b frontend.Variable) {
	m.api.AssertIsEqual(m.api.Mul(m.Used, m.api.Sub(a, b)), 0)
}

// AssertAtMost says that v is 0 to limit if the slot is used. It costs 3 +
// 2·(bits of limit) constraints.
func (m *Message) AssertAtMost(v frontend.Variable, limit uint64) {
	AssertAtMost(m.api, m.api.Mul(m.Used, v), limit)
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
