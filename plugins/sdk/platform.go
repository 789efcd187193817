package sdk

import (
	"fmt"

	"github.com/consensys/gnark/frontend"

	"github.com/gristmill-zk/gristmill/wire"
)

// chunkBytes is how many payload bytes go into one field element.
const chunkBytes = 31

// platform is the whole circuit: the public inputs every task has, the
// messages, and the team's part. The order of the public fields is the order
// of the public inputs.
type platform struct {
	Binding        frontend.Variable `gnark:",public"`
	DataCommitment frontend.Variable `gnark:",public"`
	Team           Circuit

	DeploymentID frontend.Variable
	ProjectID    frontend.Variable
	Count        frontend.Variable
	Slots        []slot

	// One signature per slot in the field of the project's scheme, or none when
	// signatures are not checked.
	Signatures []signature
	P256       []p256Signature

	shape shape
}

// slot holds what the prover knows of one message.
type slot struct {
	Used                      frontend.Variable
	Key                       []frontend.Variable // what the device id hashes after the scheme's number
	Nonce, Time, PayloadBytes frontend.Variable
	Chunks                    []frontend.Variable
}

// shape is what fixes a circuit's size.
type shape struct {
	batch, payloadLimit int
	scheme              wire.Scheme
	unchecked           bool
}

func (s shape) chunks() int { return chunksFor(s.payloadLimit) }

func chunksFor(size int) int { return (size + chunkBytes - 1) / chunkBytes }

// newPlatform returns the circuit with its slices made and nothing assigned.
func newPlatform(p *Project, team Circuit) *platform {
	s := shape{
		batch: p.BatchSize, payloadLimit: p.PayloadLimit,
		scheme: p.deviceScheme(), unchecked: p.UncheckedSignatures,
	}
	c := &platform{Team: team, Slots: make([]slot, s.batch), shape: s}
	for i := range c.Slots {
		c.Slots[i] = newSlot(s)
	}
	switch {
	case s.unchecked:
	case s.scheme == wire.SchemeP256:
		c.P256 = make([]p256Signature, s.batch)
	default:
		c.Signatures = make([]signature, s.batch)
	}
	return c
}

// keyElements is how many elements a key has in either scheme: a point's
// coordinates, or the chunks of 33 bytes.
const keyElements = 2

func newSlot(s shape) slot {
	return slot{
		Key:    make([]frontend.Variable, keyElements),
		Chunks: make([]frontend.Variable, s.chunks()),
	}
}

// Define makes the platform's constraints, then the team's.
func (c *platform) Define(api frontend.API) error {
	outputs, err := publicFields(c.Team)
	if err != nil {
		return err
	}
	bindPublic(api, append([]frontend.Variable{c.Binding, c.DataCommitment}, outputs...))

	h, err := newHasher(api)
	if err != nil {
		return err
	}
	m, err := c.messages(api, h)
	if err != nil {
		return err
	}
	if err := c.Team.Define(api, m); err != nil {
		return fmt.Errorf("circuit: %w", err)
	}
	return nil
}

// bindPublic gives every public input a constraint of its own. Without one a
// verifying key has the point at infinity for it, and one proof would verify
// under any value; with it no other input's term can make up for a change.
// These are the first constraints of the circuit: see unboundOutputs.
func bindPublic(api frontend.API, inputs []frontend.Variable) {
	for _, v := range inputs {
		api.Mul(v, v)
	}
}

// verifier is a device scheme in the circuit.
type verifier interface {
	// verify says that the key is one of the scheme and, unless signatures are
	// not checked, that the message of slot i is signed by it.
	verify(m *Message, i int) error
}

func (c *platform) verifier(api frontend.API, h *hasher, projectBits []frontend.Variable) (verifier, error) {
	if c.shape.scheme == wire.SchemeP256 {
		return newP256Verifier(api, c, projectBits)
	}
	return newEdDSAVerifier(api, h, c.Signatures)
}

// messages checks the slots and returns the team's view of them.
func (c *platform) messages(api frontend.API, h *hasher) (*Messages, error) {
	m := &Messages{Project: c.ProjectID, Deployment: c.DeploymentID, Count: c.Count, api: api}
	v, err := c.verifier(api, h, api.ToBinary(c.ProjectID, 64))
	if err != nil {
		return nil, err
	}
	for i := range c.Slots {
		m.Items = append(m.Items, c.message(api, i))
	}
	c.assertCommitment(api, h, m)
	for i, msg := range m.Items {
		if err := v.verify(msg, i); err != nil {
			return nil, fmt.Errorf("slot %d: %w", i, err)
		}
	}
	return m, nil
}

// assertCommitment recomputes the digests of the messages and the data
// commitment. With the fields' ranges it costs 1,824 constraints per slot with
// eddsa-bn254 devices and 1,809 with p256 ones, for up to 31 payload bytes, 188
// for every 31 more, and 998 once.
func (c *platform) assertCommitment(api frontend.API, h *hasher, m *Messages) {
	prefix := h.start(wire.TagMessage(), c.DeploymentID, c.ProjectID)
	commitment := []frontend.Variable{wire.TagTask(), c.DeploymentID, c.ProjectID, c.Count}
	used := make([]frontend.Variable, len(m.Items))
	for i, msg := range m.Items {
		msg.hash(h, c.shape.scheme, prefix)
		used[i] = msg.Used
		commitment = append(commitment, api.Mul(msg.Used, msg.Digest))
	}
	assertPrefix(api, used, c.Count)
	api.AssertIsEqual(c.DataCommitment, h.sum(commitment...))
}

// message is slot i with each field in the range that it has in the message
// encoding.
func (c *platform) message(api frontend.API, i int) *Message {
	s := &c.Slots[i]
	m := &Message{
		Used: s.Used, Nonce: s.Nonce, Time: s.Time, PayloadLen: s.PayloadBytes, Chunks: s.Chunks,
		api: api, key: s.Key, limit: c.shape.payloadLimit, length: c.shape.payloadLimit,
		nonceBits: api.ToBinary(s.Nonce, 64), timeBits: api.ToBinary(s.Time, 64),
	}
	if c.shape.scheme == wire.SchemeP256 {
		m.exact = true
		api.AssertIsEqual(s.PayloadBytes, c.shape.payloadLimit)
	} else {
		AssertAtMost(api, s.PayloadBytes, uint64(c.shape.payloadLimit))
	}
	return m
}

// hash computes device id and digest.
func (m *Message) hash(h *hasher, scheme wire.Scheme, prefix hashState) {
	m.DeviceID = h.resume(h.start(int(scheme)), m.key...)
	m.Digest = h.resume(prefix, m.DeviceID, m.Nonce, m.Time, m.PayloadLen, h.sum(m.Chunks...))
}

// assertPrefix says that used is count ones (at least one) followed by zeroes.
func assertPrefix(api frontend.API, used []frontend.Variable, count frontend.Variable) {
	sum := frontend.Variable(0)
	for i, u := range used {
		api.AssertIsBoolean(u)
		if i > 0 {
			api.AssertIsEqual(api.Mul(u, api.Sub(1, used[i-1])), 0)
		}
		sum = api.Add(sum, u)
	}
	api.AssertIsEqual(used[0], 1)
	api.AssertIsEqual(sum, count)
}
