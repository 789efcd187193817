package sdk

import (
	"fmt"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	edbn254 "github.com/consensys/gnark-crypto/ecc/bn254/twistededwards"
	"github.com/consensys/gnark-crypto/ecc/bn254/twistededwards/eddsa"
	"github.com/consensys/gnark/frontend"

	"github.com/gristmill-zk/gristmill/wire"
)

// job is a task as the platform assigns it.
type job struct {
	deployment wire.Deployment
	body       wire.Body
	binding    fr.Element
	commitment fr.Element
}

// assign makes the whole assignment of a task whose data commitment was checked.
func (p *Project) assign(j *job) (*platform, error) {
	team, err := p.Assign(Task{
		Deployment: j.deployment, Project: j.body.Project,
		BatchSize: p.BatchSize, Messages: j.body.Messages,
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrTask, err)
	}
	c := newPlatform(p, team)
	c.Binding, c.DataCommitment = j.binding, j.commitment
	c.DeploymentID, c.ProjectID, c.Count = j.deployment.ID(), j.body.Project, len(j.body.Messages)
	for i := range c.Slots {
		if i >= len(j.body.Messages) {
			if err := c.assignEmpty(i, j); err != nil {
				return nil, err
			}
			continue
		}
		if err := c.assignMessage(i, &j.body.Messages[i]); err != nil {
			return nil, fmt.Errorf("%w: message %d: %w", ErrTask, i, err)
		}
	}
	return c, nil
}

// assignMessage fills slot i, whose slices are made.
func (c *platform) assignMessage(i int, m *wire.Message) error {
	if m.Key.Scheme != c.shape.scheme {
		return fmt.Errorf("device signs with %s, the circuit takes %s", m.Key.Scheme, c.shape.scheme)
	}
	if c.shape.scheme == wire.SchemeP256 && len(m.Payload) != c.shape.payloadLimit {
		return fmt.Errorf("payload has %d bytes, must have %d: a circuit for %s takes payloads of one length",
			len(m.Payload), c.shape.payloadLimit, c.shape.scheme)
	}
	key, err := m.Key.Elements()
	if err != nil {
		return fmt.Errorf("device key: %w", err)
	}
	chunks, err := wire.PayloadElements(m.Payload, uint32(c.shape.payloadLimit))
	if err != nil {
		return err
	}
	s := &c.Slots[i]
	s.Used, s.Nonce, s.Time, s.PayloadBytes = 1, m.Nonce, m.Time, len(m.Payload)
	for k := range s.Key {
		s.Key[k] = key[1+k]
	}
	for k := range s.Chunks {
		s.Chunks[k] = chunks[k]
	}
	switch {
	case c.shape.unchecked:
		return nil
	case c.shape.scheme == wire.SchemeP256:
		c.P256[i], err = assignP256(m)
	default:
		c.Signatures[i], err = assignEdDSA(m)
	}
	return err
}

func assignEdDSA(m *wire.Message) (signature, error) {
	var sig eddsa.Signature
	if _, err := sig.SetBytes(m.Signature); err != nil {
		return signature{}, fmt.Errorf("signature: %w", err)
	}
	return signature{RX: sig.R.X, RY: sig.R.Y, S: sig.S[:]}, nil
}

// assignEmpty fills a slot that is not used with what satisfies the constraints
// that hold in every slot.
func (c *platform) assignEmpty(i int, j *job) error {
	if c.shape.scheme == wire.SchemeP256 {
		return c.assignEmptyP256(i, j)
	}
	base := edbn254.GetEdwardsCurve().Base
	s := &c.Slots[i]
	s.Used, s.Key[0], s.Key[1] = 0, base.X, base.Y
	s.Nonce, s.Time, s.PayloadBytes = 0, 0, 0
	for k := range s.Chunks {
		s.Chunks[k] = frontend.Variable(0)
	}
	if !c.shape.unchecked {
		c.Signatures[i] = signature{RX: 0, RY: 1, S: 0}
	}
	return nil
}
