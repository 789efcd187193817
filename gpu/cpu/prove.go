package cpu

import (
	"context"
	"math/big"
	"sync"

	"github.com/consensys/gnark-crypto/ecc/bn254"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"golang.org/x/sync/errgroup"

	"github.com/gristmill-zk/gristmill/gpu"
	"github.com/gristmill-zk/gristmill/gpu/internal/fixedbase"
)

// prover makes one proof:
//
//	Ar  = α + Σ wᵢ·Aᵢ + r·δ
//	Bs  = β + Σ wᵢ·Bᵢ + s·δ                       (in G2, and in G1 for Krs)
//	Krs = Σ wᵢ·Kᵢ + Σ hᵢ·Zᵢ + s·Ar + r·Bs₁ - rs·δ   (private wires that no commitment takes)
//
// where h are the coefficients of (A·B - C)/(Xⁿ-1).
//
// Each wire is taken apart into digits once, for all four sums that it is in.
// The engine hands out cores, so pieces of several proofs fill them together;
// the last sum waits for the quotient, the others do not.
type prover struct {
	engine   *Engine
	key      *residentKey
	tables   *tables
	request  *gpu.Request
	solution *gpu.Solution

	wires, quotients *fixedbase.Digits

	mu          sync.Mutex
	ar, bs1, zk bn254.G1Jac // the sums
	bs          bn254.G2Jac
}

func newProver(engine *Engine, key *residentKey, req *gpu.Request) *prover {
	return &prover{engine: engine, key: key, tables: key.use(), request: req, solution: &req.Solution}
}

func (p *prover) run(ctx context.Context) (*gpu.Proof, error) {
	defer p.clear()
	p.wires = fixedbase.NewDigits(len(p.solution.W), p.tables.shape.Window)
	if err := p.digits(ctx, p.wires, p.solution.W); err != nil {
		return nil, err
	}
	p.request.Reached("digits")
	var proof gpu.Proof
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return p.sumZK(ctx) })
	group.Go(func() error { return p.sumB2(ctx) })
	group.Go(func() error { return p.sumG1(ctx, "A", &p.ar, p.tables.a, p.key.WiresA) })
	group.Go(func() error { return p.sumG1(ctx, "B", &p.bs1, p.tables.b, p.key.WiresB) })
	group.Go(func() error { return p.knowledge(ctx, &proof) })
	if err := group.Wait(); err != nil {
		return nil, err
	}
	p.assemble(&proof)
	p.request.Reached("proof")
	return &proof, nil
}

// digits takes scalars apart, on all cores that are free.
func (p *prover) digits(ctx context.Context, to *fixedbase.Digits, scalars []fr.Element) error {
	return p.parts(ctx, p.parallel(len(scalars)), func(part, parts int) error {
		from := part * len(scalars) / parts
		to.Set(from, scalars[from:(part+1)*len(scalars)/parts])
		return nil
	})
}

// parallel is into how many parts work on n elements is worth being cut: each
// part of a sum has its own buckets, so there are no more of them than cores that
// the other proofs in flight leave idle.
func (p *prover) parallel(n int) int {
	return max(1, min(p.engine.cfg.Cores/max(1, len(p.engine.slots)), 1+n>>14))
}

// parts does work in parts, each on one core.
func (p *prover) parts(ctx context.Context, parts int, work func(part, parts int) error) error {
	group, ctx := errgroup.WithContext(ctx)
	for part := range parts {
		group.Go(func() error {
			return p.engine.job(ctx, 1, func() error { return work(part, parts) })
		})
	}
	return group.Wait()
}

// sumG1 is Σ wᵢ·Aᵢ or Σ wᵢ·Bᵢ, which are half of the work of the others: they get
// half as many parts.
func (p *prover) sumG1(ctx context.Context, stage string, to *bn254.G1Jac, table *fixedbase.Table[bn254.G1Affine], wires []uint32) error {
	defer p.request.Reached(stage)
	return p.parts(ctx, (p.parallel(table.Len())+1)/2, func(part, parts int) error {
		sum, err := fixedbase.G1(ctx, p.tables.shape, part, parts, fixedbase.Term[bn254.G1Affine]{Table: table, Digits: p.wires, Index: wires})
		p.mu.Lock()
		defer p.mu.Unlock()
		to.AddAssign(&sum)
		return err
	})
}

func (p *prover) sumB2(ctx context.Context) error {
	defer p.request.Reached("B in G2")
	return p.parts(ctx, p.parallel(p.tables.b2.Len()), func(part, parts int) error {
		sum, err := fixedbase.G2(ctx, p.tables.shape, part, parts, fixedbase.Term[bn254.G2Affine]{Table: p.tables.b2, Digits: p.wires, Index: p.key.WiresB})
		p.mu.Lock()
		defer p.mu.Unlock()
		p.bs.AddAssign(&sum)
		return err
	})
}

// sumZK is Σ hᵢ·Zᵢ + Σ wᵢ·Kᵢ, in the same buckets.
func (p *prover) sumZK(ctx context.Context) error {
	h, err := p.quotient(ctx)
	defer clear(h)
	if err != nil {
		return err
	}
	p.quotients = fixedbase.NewDigits(len(h), p.tables.shape.Window)
	if err := p.digits(ctx, p.quotients, h); err != nil {
		return err
	}
	p.request.Reached("quotient")
	defer p.request.Reached("K and Z")
	terms := []fixedbase.Term[bn254.G1Affine]{
		{Table: p.tables.z, Digits: p.quotients},
		{Table: p.tables.k, Digits: p.wires, Index: p.uncommitted()},
	}
	return p.parts(ctx, p.parallel(len(p.key.ZK)), func(part, parts int) error {
		sum, err := fixedbase.G1(ctx, p.tables.shape, part, parts, terms...)
		p.mu.Lock()
		defer p.mu.Unlock()
		p.zk.AddAssign(&sum)
		return err
	})
}

// uncommitted are the private wires that have a point in K: those that no
// commitment covers and that hold no challenge.
func (p *prover) uncommitted() []uint32 {
	if len(p.solution.Commitments) == 0 {
		return p.key.private
	}
	taken := map[uint32]bool{}
	for i := range p.solution.Commitments {
		c := &p.solution.Commitments[i]
		taken[c.Challenge] = true
		for _, wire := range c.Wires {
			taken[wire] = true
		}
	}
	wires := make([]uint32, 0, len(p.key.private))
	for _, wire := range p.key.private {
		if !taken[wire] {
			wires = append(wires, wire)
		}
	}
	return wires
}

// assemble makes the proof's points of the sums.
func (p *prover) assemble(proof *gpu.Proof) {
	k, blinding := p.key, p.request.Blinding
	p.ar.AddMixed(&k.Alpha)
	addTimes(&p.ar, &k.Delta, &blinding.R)
	proof.Ar.FromJacobian(&p.ar)

	var blind bn254.G2Jac
	blind.FromAffine(&k.DeltaG2)
	blind.ScalarMultiplication(&blind, blinding.S.BigInt(new(big.Int)))
	p.bs.AddAssign(&blind)
	p.bs.AddMixed(&k.BetaG2)
	proof.Bs.FromJacobian(&p.bs)

	var bs1 bn254.G1Affine
	p.bs1.AddMixed(&k.Beta)
	addTimes(&p.bs1, &k.Delta, &blinding.S)
	bs1.FromJacobian(&p.bs1)
	addTimes(&p.zk, &proof.Ar, &blinding.S)
	addTimes(&p.zk, &bs1, &blinding.R)
	var rs fr.Element
	rs.Mul(&blinding.R, &blinding.S).Neg(&rs)
	addTimes(&p.zk, &k.Delta, &rs)
	proof.Krs.FromJacobian(&p.zk)
}

// addTimes adds scalar·point to sum.
func addTimes(sum *bn254.G1Jac, point *bn254.G1Affine, scalar *fr.Element) {
	var term bn254.G1Jac
	term.FromAffine(point)
	term.ScalarMultiplication(&term, scalar.BigInt(new(big.Int)))
	sum.AddAssign(&term)
}

// clear overwrites what was made of the witness, except the buckets' sums of
// points, which are garbage by now.
func (p *prover) clear() {
	p.wires.Clear()
	p.quotients.Clear()
}
