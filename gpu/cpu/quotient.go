package cpu

import (
	"context"
	"fmt"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr/fft"
	"golang.org/x/sync/errgroup"

	"github.com/gristmill-zk/gristmill/gpu"
	"github.com/gristmill-zk/gristmill/gpu/internal/parallel"
)

// quotient returns the coefficients of H = (A·B - C)/(Xⁿ-1), in the bit-reversed
// order of Z. The caller clears them, also after an error.
//
// On the coset gX of the domain Xⁿ-1 is the constant gⁿ-1. There A·B is taken
// point by point; interpolating it gives A·B mod (Xⁿ-gⁿ), from which C is
// subtracted as coefficients: C has degree below n, so it needs no trip to the
// coset and back. H has degree n-2, so the last coefficient must come out as
// zero; it does not if A∘B = C is broken in any one constraint.
func (p *prover) quotient(ctx context.Context) ([]fr.Element, error) {
	k, s := p.key, p.solution
	n := int(k.Cardinality)
	cores := max(1, (p.engine.cfg.Cores+1)/3) // for each of the three transforms
	a, b, c := make([]fr.Element, n), make([]fr.Element, n), make([]fr.Element, n)
	defer clear(b)
	defer clear(c)

	group, inner := errgroup.WithContext(ctx)
	transform := func(v []fr.Element, values fr.Vector, toCoset bool) {
		group.Go(func() error {
			return p.engine.job(inner, cores, func() error {
				copy(v, values)
				k.domain.FFTInverse(v, fft.DIF, fft.WithNbTasks(cores))
				if toCoset && inner.Err() == nil {
					k.domain.FFT(v, fft.DIT, fft.OnCoset(), fft.WithNbTasks(cores))
				}
				return nil
			})
		})
	}
	transform(a, s.A, true)
	transform(b, s.B, true)
	transform(c, s.C, false)
	if err := group.Wait(); err != nil {
		return a, err
	}
	p.request.Reached("transforms")
	err := p.engine.job(ctx, cores, func() error {
		parallel.For(n, cores, func(from, to int) {
			for i := from; i < to; i++ {
				a[i].Mul(&a[i], &b[i])
			}
		})
		k.domain.FFTInverse(a, fft.DIF, fft.OnCoset(), fft.WithNbTasks(cores))
		parallel.For(n, cores, func(from, to int) {
			for i := from; i < to; i++ {
				a[i].Sub(&a[i], &c[i]).Mul(&a[i], &k.vanishing)
			}
		})
		return nil
	})
	if err == nil && !a[n-1].IsZero() {
		err = fmt.Errorf("%w: A∘B = C does not hold", gpu.ErrBadSolution)
	}
	if err != nil {
		return a, err
	}
	return a[:n-1], nil
}
