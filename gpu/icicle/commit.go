//go:build icicle

package icicle

import (
	"context"
	"errors"
	"fmt"

	"github.com/consensys/gnark-crypto/ecc"
	"github.com/consensys/gnark-crypto/ecc/bn254"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr"

	"github.com/gristmill-zk/gristmill/gpu"
)

// Commit implements gpu.Engine.
func (e *Engine) Commit(ctx context.Context, key gpu.Key, index int, values fr.Vector) (point bn254.G1Affine, err error) {
	ctx, end, err := e.begin(ctx)
	if err != nil {
		return point, err
	}
	defer end()
	k, err := e.keys.Acquire(ctx, key)
	if err != nil {
		return point, err
	}
	defer e.keys.Release(key.ID)
	if err := k.CheckCommit(index, values); err != nil {
		return point, err
	}
	slot, err := e.takeSlot(ctx)
	if err != nil {
		return point, err
	}
	defer func() { e.slots <- slot }()
	staged := make([]fr.Element, 0, len(values)+1)
	staged = append(append(staged, values...), fr.One())
	defer clear(staged)
	err = e.dev.on(func() error {
		if err := slot.take(len(staged)); err != nil {
			return err
		}
		var err error
		point, err = k.commitments[index].basis.sumValues(staged, slot.work, slot.wires)
		return errors.Join(err, slot.wipe())
	})
	return point, err
}

// fold makes one proof of knowledge of those of the commitments.
func (p *prover) fold(proof *gpu.Proof) error {
	s := &p.req.Solution
	if len(s.Commitments) == 0 {
		return nil
	}
	challenge, err := s.FoldingChallenge()
	if err != nil {
		return err
	}
	for i := range s.Commitments {
		proof.Commitments = append(proof.Commitments, s.Commitments[i].Point)
	}
	if _, err := proof.Knowledge.Fold(p.knowledge, challenge, ecc.MultiExpConfig{NbTasks: 1}); err != nil {
		return fmt.Errorf("fold the proofs of knowledge: %w", err)
	}
	return nil
}
