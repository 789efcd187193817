package cpu

import (
	"context"
	"fmt"

	"github.com/consensys/gnark-crypto/ecc"
	"github.com/consensys/gnark-crypto/ecc/bn254"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr"

	"github.com/gristmill-zk/gristmill/gpu"
)

// Commit implements gpu.Engine.
func (e *Engine) Commit(ctx context.Context, key gpu.Key, index int, values fr.Vector) (bn254.G1Affine, error) {
	var point bn254.G1Affine
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
	sum, err := sumG1(ctx, k.Commitments[index].Basis, values, e.cfg.Cores)
	if err != nil {
		return point, err
	}
	point.FromJacobian(&sum)
	return point, nil
}

// knowledge proves that the values of the commitments are known: one point for
// each, folded into one.
func (p *prover) knowledge(ctx context.Context, proof *gpu.Proof) error {
	s := p.solution
	if len(s.Commitments) == 0 {
		return nil
	}
	fold, err := s.FoldingChallenge()
	if err != nil {
		return err
	}
	proof.Commitments = make([]bn254.G1Affine, len(s.Commitments))
	parts := make([]bn254.G1Affine, len(s.Commitments))
	for i := range s.Commitments {
		proof.Commitments[i] = s.Commitments[i].Point
		values := s.Covered(&s.Commitments[i])
		sum, err := sumG1(ctx, p.key.Commitments[i].BasisExpSigma, values, p.tasks)
		clear(values)
		if err != nil {
			return err
		}
		parts[i].FromJacobian(&sum)
	}
	if _, err := proof.Knowledge.Fold(parts, fold, ecc.MultiExpConfig{NbTasks: 1}); err != nil {
		return fmt.Errorf("fold the proofs of knowledge: %w", err)
	}
	return nil
}
