package wire

import (
	"encoding/binary"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
)

const (
	bodyVersion = 1
	bodyHeader  = 1 + 8 + 4 + 4
	// MaxBatch is the most messages a body may hold, whatever a project says.
	MaxBatch = 4096
	// MaxBodySize bounds what is read of a body: MaxBatch small messages or
	// about 500 of the largest.
	MaxBodySize = 32 << 20
	// minMessageSize is the shortest encoding of a message: secp256k1, no payload.
	minMessageSize = 3 + 20 + 28 + 1 + 65
)

// Body is an ordered batch of one project's messages, the data of one task.
//
// Encoding: version u8 = 1 ‖ project u64 ‖ projectVersion u32 ‖ count u32 ‖
// count × (len u32 ‖ message).
type Body struct {
	Project  uint64
	Version  uint32
	Messages []Message
}

// MarshalBinary returns the encoding that DataHash covers.
func (b *Body) MarshalBinary() ([]byte, error) {
	if err := b.check(); err != nil {
		return nil, err
	}
	out := []byte{bodyVersion}
	out = binary.BigEndian.AppendUint64(out, b.Project)
	out = binary.BigEndian.AppendUint32(out, b.Version)
	out = binary.BigEndian.AppendUint32(out, uint32(len(b.Messages)))
	for i := range b.Messages {
		encoded, err := b.Messages[i].MarshalBinary()
		if err != nil {
			return nil, within(indexed("messages", i), err)
		}
		out = binary.BigEndian.AppendUint32(out, uint32(len(encoded)))
		out = append(out, encoded...)
	}
	if len(out) > MaxBodySize {
		return nil, reject(RejectTooBig, "", "body has %d bytes, the most is %d", len(out), MaxBodySize)
	}
	return out, nil
}

// UnmarshalBinary reads exactly one body. It checks forms and that every
// message is of the body's project; signatures are Message.Verify's matter.
func (b *Body) UnmarshalBinary(data []byte) error {
	if len(data) > MaxBodySize {
		return reject(RejectTooBig, "", "body has %d bytes, the most is %d", len(data), MaxBodySize)
	}
	r := &reader{rest: data}
	r.version(bodyVersion)
	decoded := Body{Project: r.u64("project"), Version: r.u32("version")}
	count := r.u32("count")
	if r.err != nil {
		return r.err
	}
	if count == 0 || count > MaxBatch {
		return reject(RejectBadCount, "count", "%d messages, allowed are 1 to %d", count, MaxBatch)
	}
	if int(count) > len(r.rest)/(4+minMessageSize) {
		return reject(RejectTruncated, "messages", "%d messages do not fit into %d bytes", count, len(r.rest))
	}
	decoded.Messages = make([]Message, count)
	for i := range decoded.Messages {
		field := indexed("messages", i)
		encoded := r.take(field, int(min(r.u32(field), MaxBodySize)))
		if r.err != nil {
			return r.err
		}
		if err := decoded.Messages[i].UnmarshalBinary(encoded); err != nil {
			return within(field, err)
		}
	}
	if err := r.end(); err != nil {
		return err
	}
	if err := decoded.check(); err != nil {
		return err
	}
	*b = decoded
	return nil
}

func (b *Body) check() error {
	if n := len(b.Messages); n == 0 || n > MaxBatch {
		return reject(RejectBadCount, "count", "%d messages, allowed are 1 to %d", n, MaxBatch)
	}
	for i := range b.Messages {
		if got := b.Messages[i].Project; got != b.Project {
			return reject(RejectWrongProject, indexed("messages", i)+".project", "project %d in a body of project %d", got, b.Project)
		}
	}
	return nil
}

// DataHash names a body: SHA-256 of its encoding.
func DataHash(body []byte) Hash { return SHA256(body) }

// Commitment is the data commitment of the body's messages for a project
// version of the given batch size and payload limit.
func (b *Body) Commitment(d Deployment, batchSize, payloadLimit uint32) (fr.Element, error) {
	if err := b.check(); err != nil {
		return fr.Element{}, err
	}
	digests := make([]fr.Element, len(b.Messages))
	for i := range b.Messages {
		digest, err := b.Messages[i].Digest(d, payloadLimit)
		if err != nil {
			return fr.Element{}, within(indexed("messages", i), err)
		}
		digests[i] = digest
	}
	return CommitDigests(d, b.Project, batchSize, digests)
}

// CommitDigests is P2(tagTask, deploymentId, project, n, m_1 … m_N) with N the
// batch size, n the number of digests and 0 in every empty slot.
func CommitDigests(d Deployment, project uint64, batchSize uint32, digests []fr.Element) (fr.Element, error) {
	if batchSize > MaxBatch || len(digests) == 0 || uint64(len(digests)) > uint64(batchSize) {
		return fr.Element{}, reject(RejectBadCount, "count", "%d messages in a batch of %d", len(digests), batchSize)
	}
	elements := make([]fr.Element, 4+batchSize)
	elements[0] = TagTask()
	elements[1] = d.ID()
	elements[2] = uintElement(project)
	elements[3] = uintElement(uint64(len(digests)))
	copy(elements[4:], digests)
	return P2(elements...), nil
}
