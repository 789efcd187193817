package wire

import (
	"encoding/binary"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
)

const (
	messageVersion = 1
	// MaxPayload is the largest payload, and the largest limit a project may set.
	MaxPayload = 65536
	// MaxMessageSize is the longest encoding of a message.
	MaxMessageSize = 1 + 1 + 1 + 33 + 8 + 8 + 8 + 4 + MaxPayload + 1 + 65
)

// Message is what a device signs and sends.
//
// Encoding: version u8 = 1 ‖ scheme u8 ‖ keyLen u8 ‖ key ‖ project u64 ‖
// nonce u64 ‖ time u64 ‖ payloadLen u32 ‖ payload ‖ sigLen u8 ‖ signature.
type Message struct {
	Key DeviceKey
	// Project is the project's number on chain, from 1.
	Project uint64
	// Nonce rises with every message of the device in the project.
	Nonce uint64
	// Time is the device's clock, milliseconds since 1970.
	Time uint64
	// Payload is the project's own bytes, at most MaxPayload.
	Payload []byte
	// Signature is in the scheme's one accepted form.
	Signature []byte
}

// MarshalBinary returns the full encoding. It refuses lengths that do not
// belong to the scheme but checks neither key nor signature.
func (m *Message) MarshalBinary() ([]byte, error) {
	out, err := m.unsigned()
	if err != nil {
		return nil, err
	}
	if want := m.Key.Scheme.SignatureLen(); len(m.Signature) != want {
		return nil, reject(RejectBadSignature, "signature", "a signature of %s has %d bytes, this one %d",
			m.Key.Scheme, want, len(m.Signature))
	}
	out = append(out, uint8(len(m.Signature)))
	return append(out, m.Signature...), nil
}

// unsigned is the encoding up to and including the payload.
func (m *Message) unsigned() ([]byte, error) {
	if err := m.Key.checkShape(); err != nil {
		return nil, err
	}
	if len(m.Payload) > MaxPayload {
		return nil, reject(RejectPayloadTooLong, "payload", "payload has %d bytes, the most is %d", len(m.Payload), MaxPayload)
	}
	out := make([]byte, 0, 3+len(m.Key.Bytes)+28+len(m.Payload)+1+m.Key.Scheme.SignatureLen())
	out = append(out, messageVersion, uint8(m.Key.Scheme), uint8(len(m.Key.Bytes)))
	out = append(out, m.Key.Bytes...)
	out = binary.BigEndian.AppendUint64(out, m.Project)
	out = binary.BigEndian.AppendUint64(out, m.Nonce)
	out = binary.BigEndian.AppendUint64(out, m.Time)
	out = binary.BigEndian.AppendUint32(out, uint32(len(m.Payload)))
	return append(out, m.Payload...), nil
}

// UnmarshalBinary reads exactly one message. The result shares no memory with data.
func (m *Message) UnmarshalBinary(data []byte) error {
	r := &reader{rest: append([]byte(nil), data...)}
	decoded := readMessage(r)
	if err := r.end(); err != nil {
		return err
	}
	*m = decoded
	return nil
}

func readMessage(r *reader) (m Message) {
	r.version(messageVersion)
	m.Key.Scheme = Scheme(r.u8("scheme"))
	if r.err == nil && m.Key.Scheme.KeyLen() == 0 {
		r.err = reject(RejectUnknownScheme, "scheme", "no scheme has number %d", m.Key.Scheme)
	}
	keyLen := int(r.u8("key"))
	if r.err == nil && keyLen != m.Key.Scheme.KeyLen() {
		r.err = reject(RejectBadKey, "key", "a key of %s has %d bytes, this one %d", m.Key.Scheme, m.Key.Scheme.KeyLen(), keyLen)
	}
	m.Key.Bytes = r.take("key", keyLen)
	m.Project = r.u64("project")
	m.Nonce = r.u64("nonce")
	m.Time = r.u64("time")
	payloadLen := r.u32("payload")
	if r.err == nil && payloadLen > MaxPayload {
		r.err = reject(RejectPayloadTooLong, "payload", "payload has %d bytes, the most is %d", payloadLen, MaxPayload)
	}
	m.Payload = r.take("payload", int(payloadLen))
	sigLen := int(r.u8("signature"))
	if r.err == nil && sigLen != m.Key.Scheme.SignatureLen() {
		r.err = reject(RejectBadSignature, "signature", "a signature of %s has %d bytes, this one %d",
			m.Key.Scheme, m.Key.Scheme.SignatureLen(), sigLen)
	}
	m.Signature = r.take("signature", sigLen)
	return m
}

// ID is SHA-256 of the full encoding, signature included.
func (m *Message) ID() (Hash, error) {
	encoded, err := m.MarshalBinary()
	if err != nil {
		return Hash{}, err
	}
	return SHA256(encoded), nil
}

// Digest is P2(tagMessage, deploymentId, project, deviceId, nonce, time,
// payloadLen, P2(chunks of the payload zero-padded to payloadLimit)): what a
// circuit sees of the message, and what eddsa-bn254 signs. It does not cover
// the signature.
func (m *Message) Digest(d Deployment, payloadLimit uint32) (fr.Element, error) {
	device, err := m.Key.Elements()
	if err != nil {
		return fr.Element{}, err
	}
	return m.digest(d, payloadLimit, P2(device...))
}

func (m *Message) digest(d Deployment, payloadLimit uint32, device fr.Element) (fr.Element, error) {
	padded, err := PayloadElements(m.Payload, payloadLimit)
	if err != nil {
		return fr.Element{}, err
	}
	return P2(
		TagMessage(), d.ID(), uintElement(m.Project), device,
		uintElement(m.Nonce), uintElement(m.Time),
		uintElement(uint64(len(m.Payload))), P2(padded...),
	), nil
}

// SigningHash is the 32 bytes that the key's scheme signs: the digest for
// eddsa-bn254, the EIP-712 hash for secp256k1, and SHA-256 over tag, deployment
// id and the encoding without signature for p256 and ed25519.
func (m *Message) SigningHash(d Deployment, payloadLimit uint32) (Hash, error) {
	if err := checkPayloadLimit(m.Payload, payloadLimit); err != nil {
		return Hash{}, err
	}
	switch m.Key.Scheme {
	case SchemeEdDSABN254:
		digest, err := m.Digest(d, payloadLimit)
		return ElementHash(digest), err
	case SchemeSecp256k1:
		return m.typedDataHash(d), nil
	}
	encoded, err := m.unsigned()
	if err != nil {
		return Hash{}, err
	}
	id := d.IDBytes()
	return SHA256([]byte(tagMessageBytes), id[:], encoded), nil
}

// Verify checks the key, the payload's length against the project version's
// limit, and the signature.
func (m *Message) Verify(d Deployment, payloadLimit uint32) error {
	if err := m.checkLengths(payloadLimit); err != nil {
		return err
	}
	if m.Key.Scheme == SchemeEdDSABN254 {
		return m.verifyEdDSA(d, payloadLimit)
	}
	hash, err := m.SigningHash(d, payloadLimit)
	if err != nil {
		return err
	}
	switch m.Key.Scheme {
	case SchemeSecp256k1:
		return m.Key.verifySecp256k1(hash, m.Signature)
	case SchemeP256:
		return m.Key.verifyP256(hash, m.Signature)
	default:
		return m.Key.verifyEd25519(hash, m.Signature)
	}
}

func (m *Message) checkLengths(payloadLimit uint32) error {
	if err := checkPayloadLimit(m.Payload, payloadLimit); err != nil {
		return err
	}
	if err := m.Key.checkShape(); err != nil {
		return err
	}
	if len(m.Signature) != m.Key.Scheme.SignatureLen() {
		return reject(RejectBadSignature, "signature", "has %d bytes, not %d", len(m.Signature), m.Key.Scheme.SignatureLen())
	}
	return nil
}

// typedDataHash is the EIP-712 hash that secp256k1 signs.
func (m *Message) typedDataHash(d Deployment) Hash {
	typeHash := Keccak256([]byte(eip712MessageType))
	payload := Keccak256(m.Payload)
	return d.typedHash(Keccak256(typeHash[:], word(m.Project), word(m.Nonce), word(m.Time), payload[:]))
}
