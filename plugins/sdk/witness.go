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
			c.assignEmpty(i)
			continue
		}
		if err := c.assignMessage(i, &j.body.Messages[i]); err != nil {
			return nil, fmt.Errorf("%w: message %d: %w", ErrTask, i, err)
		}
	}
	return c, nil
}

func (c *platform) assignMessage(i int, m *wire.Message) error {
	if m.Key.Scheme != wire.SchemeEdDSABN254 {
		return fmt.Errorf("device signs with %s, the circuit takes %s", m.Key.Scheme, wire.SchemeEdDSABN254)
	}
	var key eddsa.PublicKey
	if _, err := key.SetBytes(m.Key.Bytes); err != nil {
		return fmt.Errorf("device key: %w", err)
	}
	chunks, err := wire.PayloadElements(m.Payload, uint32(c.shape.payloadLimit))
	if err != nil {
		return err
	}
	s := &c.Slots[i]
	s.Used, s.KeyX, s.KeyY = 1, key.A.X, key.A.Y
	s.Nonce, s.Time, s.PayloadBytes = m.Nonce, m.Time, len(m.Payload)
	for k := range s.Chunks {
		s.Chunks[k] = chunks[k]
	}
	if c.shape.unchecked {
		return nil
	}
	var sig eddsa.Signature
	if _, err := sig.SetBytes(m.Signature); err != nil {
		return fmt.Errorf("signature: %w", err)
	}
	c.Signatures[i] = signature{RX: sig.R.X, RY: sig.R.Y, S: sig.S[:]}
	return nil
}

// assignEmpty fills a slot that is not used with points of the curve: the
// points' own constraints hold in every slot.
func (c *platform) assignEmpty(i int) {
	base := edbn254.GetEdwardsCurve().Base
	s := &c.Slots[i]
	s.Used, s.KeyX, s.KeyY = 0, base.X, base.Y
	s.Nonce, s.Time, s.PayloadBytes = 0, 0, 0
	for k := range s.Chunks {
		s.Chunks[k] = frontend.Variable(0)
	}
	if !c.shape.unchecked {
		c.Signatures[i] = signature{RX: 0, RY: 1, S: 0}
	}
}
