package cpu

import (
	"context"
	"fmt"
	"sync"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr/fft"

	"github.com/gristmill-zk/gristmill/gpu"
	"github.com/gristmill-zk/gristmill/gpu/internal/parallel"
)

// quotient sets scalars to the coefficients of H = (A·B - C)/(Xⁿ-1), in the
// bit-reversed order of Z, followed by the private wires that no commitment takes.
//
// On the coset gX of the domain Xⁿ-1 is the constant gⁿ-1. There A·B is taken
// point by point; interpolating it gives A·B mod (Xⁿ-gⁿ), from which C is
// subtracted as coefficients: C has degree below n, so it needs no trip to the
// coset and back. H has degree n-2, so the last coefficient must come out as
// zero; it does not if A∘B = C is broken in any one constraint.
func (p *prover) quotient(ctx context.Context) error {
	k, s := p.key, p.solution
	n := int(k.Cardinality)
	p.scalars = make([]fr.Element, len(k.ZK)+1)[:n]
	a, b, c := p.scalars, make([]fr.Element, n), make([]fr.Element, n)
	defer clear(b)
	defer clear(c)

	p.both(func() { p.toCoset(a, s.A) }, func() { p.toCoset(b, s.B) })
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	p.both(func() {
		parallel.For(n, p.tasks, func(from, to int) {
			for i := from; i < to; i++ {
				a[i].Mul(&a[i], &b[i])
			}
		})
		k.domain.FFTInverse(a, fft.DIF, fft.OnCoset(), fft.WithNbTasks(p.tasks))
	}, func() {
		copy(c, s.C)
		k.domain.FFTInverse(c, fft.DIF, fft.WithNbTasks(p.tasks))
	})
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}

	parallel.For(n, p.tasks, func(from, to int) {
		for i := from; i < to; i++ {
			a[i].Sub(&a[i], &c[i]).Mul(&a[i], &k.vanishing)
		}
	})
	if !a[n-1].IsZero() {
		return fmt.Errorf("%w: A∘B = C does not hold", gpu.ErrBadSolution)
	}
	p.scalars = s.AppendUncommitted(p.scalars[:n-1])
	return nil
}

// toCoset evaluates on the coset the polynomial that has the given values on
// the domain.
func (p *prover) toCoset(to, values []fr.Element) {
	copy(to, values)
	p.key.domain.FFTInverse(to, fft.DIF, fft.WithNbTasks(p.tasks))
	p.key.domain.FFT(to, fft.DIT, fft.OnCoset(), fft.WithNbTasks(p.tasks))
}

// both does two pieces of work, at once where the engine may.
func (p *prover) both(f, g func()) {
	if p.lanes == 1 {
		f()
		g()
		return
	}
	var wg sync.WaitGroup
	wg.Go(f)
	g()
	wg.Wait()
}
