package wire

import (
	"sync"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr/poseidon2"
)

// chunkSize is how many bytes go into one field element: the most that always
// stay below the modulus.
const chunkSize = 31

var (
	permutation = sync.OnceValue(poseidon2.NewDefaultPermutation)
	tagMessage  = sync.OnceValue(func() fr.Element { return fieldTag("message") })
	tagTask     = sync.OnceValue(func() fr.Element { return fieldTag("task") })
)

// TagMessage is the first element of every message digest.
func TagMessage() fr.Element { return tagMessage() }

// TagTask is the first element of every data commitment.
func TagTask() fr.Element { return tagTask() }

func fieldTag(name string) fr.Element {
	return reduce(Keccak256([]byte("gristmill " + name + " v1")))
}

// P2 is Poseidon2 over field elements as gnark-crypto's
// bn254/fr/poseidon2.NewMerkleDamgardHasher and gnark's std/hash/poseidon2
// compute it: width 2, chaining value 0, no padding. It equals the library
// hasher's output but spares the encoding of every state.
func P2(elements ...fr.Element) fr.Element {
	var state fr.Element
	p := permutation()
	var pair [2]fr.Element
	for i := range elements {
		pair[0], pair[1] = state, elements[i]
		// The only error is a buffer that does not have two elements.
		_ = p.Permutation(pair[:])
		state.Add(&pair[1], &elements[i])
	}
	return state
}

// Chunks cuts data into 31-byte big-endian field elements; the last is
// zero-padded on the right. Empty data has no elements.
func Chunks(data []byte) []fr.Element {
	out := make([]fr.Element, (len(data)+chunkSize-1)/chunkSize)
	for i := range out {
		var word [32]byte
		copy(word[1:], data[i*chunkSize:min((i+1)*chunkSize, len(data))])
		out[i].SetBytes(word[:])
	}
	return out
}

// PayloadElements are the field elements of a payload zero-padded to limit
// bytes: ⌈limit/31⌉ of them whatever the payload's length is.
func PayloadElements(payload []byte, limit uint32) ([]fr.Element, error) {
	if err := checkPayloadLimit(payload, limit); err != nil {
		return nil, err
	}
	padded := make([]byte, limit)
	copy(padded, payload)
	return Chunks(padded), nil
}

func checkPayloadLimit(payload []byte, limit uint32) error {
	if limit == 0 || limit > MaxPayload {
		return reject(RejectMalformed, "payloadLimit", "limit is %d, allowed are 1 to %d bytes", limit, MaxPayload)
	}
	if uint64(len(payload)) > uint64(limit) {
		return reject(RejectPayloadTooLong, "payload", "payload has %d bytes, the project allows %d", len(payload), limit)
	}
	return nil
}

// Element reads h as a canonical big-endian field element.
func (h Hash) Element() (fr.Element, error) {
	var e fr.Element
	if err := e.SetBytesCanonical(h[:]); err != nil {
		return fr.Element{}, reject(RejectNotField, "", "%s is not below the scalar field's modulus", h)
	}
	return e, nil
}

// ElementHash is the canonical 32-byte big-endian form of e.
func ElementHash(e fr.Element) Hash { return e.Bytes() }

// reduce takes a digest modulo the scalar field.
func reduce(h Hash) fr.Element {
	var e fr.Element
	e.SetBytes(h[:])
	return e
}

func uintElement(v uint64) fr.Element {
	var e fr.Element
	e.SetUint64(v)
	return e
}
