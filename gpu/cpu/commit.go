package cpu

import (
	"context"
	"fmt"

	"github.com/consensys/gnark-crypto/ecc"
	"github.com/consensys/gnark-crypto/ecc/bn254"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"golang.org/x/sync/errgroup"

	"github.com/gristmill-zk/gristmill/gpu"
	"github.com/gristmill-zk/gristmill/gpu/internal/fixedbase"
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
	return e.commit(ctx, k.Commitments[index].Basis, values)
}

// commit is Σ valueᵢ·basisᵢ.
func (e *Engine) commit(ctx context.Context, basis []bn254.G1Affine, values []fr.Element) (point bn254.G1Affine, err error) {
	shape := fixedbase.BestShape(len(basis), 1, 1)
	digits := fixedbase.NewDigits(len(values), shape.Window)
	defer digits.Clear()
	digits.Set(0, values)
	term := fixedbase.Term[bn254.G1Affine]{Table: fixedbase.Plain(basis), Digits: digits}
	parts := min(e.cfg.Cores, 1+len(basis)>>14)
	sums := make([]bn254.G1Jac, parts)
	group, inner := errgroup.WithContext(ctx)
	for part := range parts {
		group.Go(func() error {
			return e.job(inner, 1, func() (err error) {
				sums[part], err = fixedbase.G1(inner, shape, part, parts, term)
				return err
			})
		})
	}
	if err := group.Wait(); err != nil {
		return point, err
	}
	for part := range sums[1:] {
		sums[0].AddAssign(&sums[part+1])
	}
	return *point.FromJacobian(&sums[0]), nil
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
		parts[i], err = p.engine.commit(ctx, p.key.Commitments[i].BasisExpSigma, values)
		clear(values)
		if err != nil {
			return err
		}
	}
	if _, err := proof.Knowledge.Fold(parts, fold, ecc.MultiExpConfig{NbTasks: 1}); err != nil {
		return fmt.Errorf("fold the proofs of knowledge: %w", err)
	}
	p.request.Reached("knowledge")
	return nil
}
