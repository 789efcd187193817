package cpu

import (
	"context"
	"math/big"
	"runtime"

	"github.com/consensys/gnark-crypto/ecc/bn254"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"golang.org/x/sync/errgroup"

	"github.com/gristmill-zk/gristmill/gpu"
	"github.com/gristmill-zk/gristmill/gpu/internal/parallel"
)

// prover makes one proof:
//
//	Ar  = α + Σ wᵢ·Aᵢ + r·δ
//	Bs  = β + Σ wᵢ·Bᵢ + s·δ                       (in G2, and in G1 for Krs)
//	Krs = Σ wᵢ·Kᵢ + Σ hᵢ·Zᵢ + s·Ar + r·Bs₁ - rs·δ   (private wires that no commitment takes)
//
// where h are the coefficients of (A·B - C)/(Xⁿ-1).
type prover struct {
	key      *residentKey
	solution *gpu.Solution
	r, s     fr.Element
	tasks    int // goroutines for one transform or multi-exponentiation
	lanes    int // strands of work at once

	wireA, wireB []fr.Element // W where A and B have points
	scalars      []fr.Element // h, then the private part of W
}

func newProver(key *residentKey, req *gpu.Request, cfg Config) *prover {
	p := &prover{key: key, solution: &req.Solution, r: req.Blinding.R, s: req.Blinding.S, tasks: cfg.Cores, lanes: min(2, cfg.Cores)}
	if cfg.Cores < runtime.GOMAXPROCS(0) {
		p.tasks = max(1, cfg.Cores/(cfg.Parallel*p.lanes))
	}
	return p
}

func (p *prover) run(ctx context.Context) (*gpu.Proof, error) {
	defer p.clear()
	p.gather()
	var proof gpu.Proof
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(p.lanes)
	group.Go(func() error { return p.bs(ctx, &proof) })
	group.Go(func() error { return p.arKrs(ctx, &proof) })
	group.Go(func() error { return p.knowledge(ctx, &proof) })
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return &proof, nil
}

// gather copies the wires that have points in A and B.
func (p *prover) gather() {
	w := p.solution.W
	p.wireA, p.wireB = make([]fr.Element, len(p.key.WiresA)), make([]fr.Element, len(p.key.WiresB))
	for to, from := range map[*[]fr.Element][]uint32{&p.wireA: p.key.WiresA, &p.wireB: p.key.WiresB} {
		parallel.For(len(from), p.tasks, func(lo, hi int) {
			for i := lo; i < hi; i++ {
				(*to)[i] = w[from[i]]
			}
		})
	}
}

// clear overwrites the copies of the witness. The digits that gnark-crypto
// splits scalars into are out of reach: they go with the next collection.
func (p *prover) clear() {
	for _, v := range [][]fr.Element{p.wireA, p.wireB, p.scalars} {
		clear(v)
	}
	p.r.SetZero()
	p.s.SetZero()
}

func (p *prover) bs(ctx context.Context, proof *gpu.Proof) error {
	sum, err := sumG2(ctx, p.key.BG2, p.wireB, p.tasks)
	if err != nil {
		return err
	}
	var blind bn254.G2Jac
	blind.FromAffine(&p.key.DeltaG2)
	blind.ScalarMultiplication(&blind, p.s.BigInt(new(big.Int)))
	sum.AddAssign(&blind)
	sum.AddMixed(&p.key.BetaG2)
	proof.Bs.FromJacobian(&sum)
	return nil
}

func (p *prover) arKrs(ctx context.Context, proof *gpu.Proof) error {
	k := p.key
	ar, err := sumG1(ctx, k.A, p.wireA, p.tasks)
	if err != nil {
		return err
	}
	ar.AddMixed(&k.Alpha)
	addTimes(&ar, &k.Delta, &p.r)

	bs1, err := sumG1(ctx, k.B, p.wireB, p.tasks)
	if err != nil {
		return err
	}
	bs1.AddMixed(&k.Beta)
	addTimes(&bs1, &k.Delta, &p.s)

	if err := p.quotient(ctx); err != nil {
		return err
	}
	krs, err := p.sumZK(ctx)
	if err != nil {
		return err
	}
	var affine [2]bn254.G1Affine
	affine[0].FromJacobian(&ar)
	affine[1].FromJacobian(&bs1)
	addTimes(&krs, &affine[0], &p.s)
	addTimes(&krs, &affine[1], &p.r)
	var rs fr.Element
	rs.Mul(&p.r, &p.s).Neg(&rs)
	addTimes(&krs, &k.Delta, &rs)

	proof.Ar = affine[0]
	proof.Krs.FromJacobian(&krs)
	return nil
}

// addTimes adds scalar·point to sum.
func addTimes(sum *bn254.G1Jac, point *bn254.G1Affine, scalar *fr.Element) {
	var term bn254.G1Jac
	term.FromAffine(point)
	term.ScalarMultiplication(&term, scalar.BigInt(new(big.Int)))
	sum.AddAssign(&term)
}

// sumZK is Σ hᵢ·Zᵢ + Σ wᵢ·Kᵢ. One multi-exponentiation of both is cheaper than
// two, unless most wires are bits, which cost next to nothing by themselves.
func (p *prover) sumZK(ctx context.Context) (sum bn254.G1Jac, err error) {
	k := p.key
	h, wires := p.scalars[:k.SizeZ], p.scalars[k.SizeZ:]
	if !sparse(wires) {
		return sumG1(ctx, k.ZK, p.scalars, p.tasks)
	}
	if sum, err = sumG1(ctx, k.ZK[:k.SizeZ], h, p.tasks); err != nil {
		return sum, err
	}
	rest, err := sumG1(ctx, k.ZK[k.SizeZ:], wires, p.tasks)
	sum.AddAssign(&rest)
	return sum, err
}
