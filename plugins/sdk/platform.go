package sdk

import (
	"fmt"

	tedwards "github.com/consensys/gnark-crypto/ecc/twistededwards"
	"github.com/consensys/gnark/frontend"
	"github.com/consensys/gnark/std/algebra/native/twistededwards"

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
	Signatures   []signature // one per slot, or none when they are not checked

	shape shape
}

// slot holds what the prover knows of one message.
type slot struct {
	Used                      frontend.Variable
	KeyX, KeyY                frontend.Variable
	Nonce, Time, PayloadBytes frontend.Variable
	Chunks                    []frontend.Variable
}

// signature is an EdDSA signature over BabyJubjub.
type signature struct {
	RX, RY, S frontend.Variable
}

// shape is what fixes a circuit's size.
type shape struct {
	batch, payloadLimit int
	unchecked           bool
}

func (s shape) chunks() int { return (s.payloadLimit + chunkBytes - 1) / chunkBytes }

// newPlatform returns the circuit with its slices made and nothing assigned.
func newPlatform(p *Project, team Circuit) *platform {
	s := shape{batch: p.BatchSize, payloadLimit: p.PayloadLimit, unchecked: p.UncheckedSignatures}
	c := &platform{Team: team, Slots: make([]slot, s.batch), shape: s}
	for i := range c.Slots {
		c.Slots[i].Chunks = make([]frontend.Variable, s.chunks())
	}
	if !s.unchecked {
		c.Signatures = make([]signature, s.batch)
	}
	return c
}

// Define makes the platform's constraints, then the team's.
func (c *platform) Define(api frontend.API) error {
	outputs, err := publicFields(c.Team)
	if err != nil {
		return err
	}
	bindPublic(api, append([]frontend.Variable{c.Binding, c.DataCommitment}, outputs...))

	curve, err := twistededwards.NewEdCurve(api, tedwards.BN254)
	if err != nil {
		return fmt.Errorf("edwards curve: %w", err)
	}
	h, err := newHasher(api)
	if err != nil {
		return err
	}
	m, err := c.messages(api, curve, h)
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

// messages checks the slots and returns the team's view of them.
func (c *platform) messages(api frontend.API, curve twistededwards.Curve, h *hasher) (*Messages, error) {
	m := &Messages{Project: c.ProjectID, Deployment: c.DeploymentID, Count: c.Count, api: api}
	prefix := h.start(wire.TagMessage(), c.DeploymentID, c.ProjectID)
	commitment := []frontend.Variable{wire.TagTask(), c.DeploymentID, c.ProjectID, c.Count}

	api.ToBinary(c.ProjectID, 64)
	used := make([]frontend.Variable, len(c.Slots))
	for i := range c.Slots {
		msg := c.message(api, curve, h, prefix, i)
		m.Items = append(m.Items, msg)
		used[i] = msg.Used
		commitment = append(commitment, api.Mul(msg.Used, msg.Digest))
	}
	assertPrefix(api, used, c.Count)
	api.AssertIsEqual(c.DataCommitment, h.sum(commitment...))

	for i := range c.Signatures {
		if err := assertSignature(curve, h, m.Items[i], c.Signatures[i]); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// message computes the digest of slot i from its fields, each of which has the
// range it has in the message encoding.
func (c *platform) message(api frontend.API, curve twistededwards.Curve, h *hasher, prefix hashState, i int) *Message {
	s := &c.Slots[i]
	key := twistededwards.Point{X: s.KeyX, Y: s.KeyY}
	curve.AssertIsOnCurve(key)
	api.ToBinary(s.Nonce, 64)
	api.ToBinary(s.Time, 64)
	assertAtMost(api, s.PayloadBytes, c.shape.payloadLimit)

	device := h.sum(int(wire.SchemeEdDSABN254), s.KeyX, s.KeyY)
	payload := h.sum(s.Chunks...)
	return &Message{
		Used: s.Used, DeviceID: device, Nonce: s.Nonce, Time: s.Time, PayloadLen: s.PayloadBytes,
		Digest: h.resume(prefix, device, s.Nonce, s.Time, s.PayloadBytes, payload),
		Chunks: s.Chunks,
		api:    api, key: key, limit: c.shape.payloadLimit,
	}
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
