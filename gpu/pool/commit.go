package pool

import (
	"context"
	"errors"
	"fmt"

	"github.com/consensys/gnark-crypto/ecc/bn254"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr"

	"github.com/gristmill-zk/gristmill/gpu"
)

// Commit makes the commitment number index of a key's circuit to values, in the
// middle of its solution: on the device that the proof would go to, and when
// that fails on another one, at last on the fallback. It takes no turn of a
// proof. It returns the ID of the device, for [Task.CommittedBy].
func (p *Pool) Commit(ctx context.Context, key gpu.Key, index int, values fr.Vector) (bn254.G1Affine, string, error) {
	ctx, end, err := p.begin(ctx)
	if err != nil {
		return bn254.G1Affine{}, "", err
	}
	defer end()
	var failed []failure
	for _, d := range p.committers(key.ID) {
		point, err := d.engine.Commit(ctx, key, index, values)
		switch {
		case err == nil:
			for _, f := range failed {
				p.fault(ctx, f.device, f.err)
			}
			return point, d.info.ID, nil
		case ctx.Err() != nil:
			return point, "", context.Cause(ctx)
		case !errors.Is(err, gpu.ErrDevice):
			return point, "", err
		}
		failed = append(failed, failure{d, err})
		p.cfg.Logger.ErrorContext(ctx, "a device failed a commitment", "device", d.info.ID, "engine", d.info.Name, "key", key.ID, "error", err)
	}
	if len(failed) == 0 {
		return bn254.G1Affine{}, "", fmt.Errorf("%w: every device is in quarantine or unfit for work, and there is no other engine", gpu.ErrDevice)
	}
	return bn254.G1Affine{}, "", failed[len(failed)-1].err
}

// committers are two devices and the fallback, as far as they are there.
func (p *Pool) committers(key gpu.KeyID) []*device {
	var list []*device
	first := p.prefer(key)
	if first != nil {
		list = append(list, first)
	}
	p.mu.Lock()
	for _, d := range p.devices {
		if d != first && d.usable() {
			list = append(list, d)
			break
		}
	}
	p.mu.Unlock()
	if p.fallback != nil {
		list = append(list, p.fallback)
	}
	return list
}

// wrongCommitment says whether a proof could not verify because a device made
// another commitment than the one to the values: the circuit's challenge follows
// from it, so no engine proves such a solution.
func (c *course) wrongCommitment(ctx context.Context) error {
	for i := range c.task.Solution.Commitments {
		commitment := &c.task.Solution.Commitments[i]
		values := c.task.Solution.Covered(commitment)
		point, err := c.pool.fallback.engine.Commit(ctx, c.task.Key, i, values)
		clear(values)
		if err != nil || point.Equal(&commitment.Point) {
			continue
		}
		err = fmt.Errorf("%w: it made another commitment than the one to its values", gpu.ErrDevice)
		for _, d := range c.pool.devices {
			if d.info.ID == c.task.CommittedBy {
				c.pool.fault(ctx, d, err)
			}
		}
		return fmt.Errorf("device %q: %w", c.task.CommittedBy, err)
	}
	return nil
}
