//go:build icicle

package icicle

import (
	"context"
	"errors"
	"fmt"
	"math/big"

	"github.com/consensys/gnark-crypto/ecc/bn254"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"golang.org/x/sync/errgroup"

	"github.com/gristmill-zk/gristmill/gpu"
)

// prover makes one proof:
//
//	Ar  = α + Σ wᵢ·Aᵢ + r·δ
//	Bs  = β + Σ wᵢ·Bᵢ + s·δ                       (in G2, and in G1 for Krs)
//	Krs = Σ wᵢ·Kᵢ + Σ hᵢ·Zᵢ + s·Ar + r·Bs₁ - rs·δ   (private wires that no commitment takes)
//
// where h are the coefficients of (A·B - C)/(Xⁿ-1). The four sums over wires and
// the commitments' are one strand, the quotient and its sum the other.
type prover struct {
	dev     *device
	key     *residentKey
	slot    *slot
	req     *gpu.Request
	scalars []fr.Element // on the host

	ar, bs1, k, h bn254.G1Jac
	bs            bn254.G2Jac
	knowledge     []bn254.G1Affine
}

// scalarsOnDevice is the size of a proof's work buffer: the scalars, the three
// sides of the constraints, and the values of one commitment at a time.
func (k *residentKey) scalarsOnDevice() int {
	covered := 0
	for i := range k.commitments {
		covered = max(covered, k.commitments[i].basis.n)
	}
	return k.scalars + 3*int(k.Cardinality) + covered
}

// gather lays out the scalars as the key's sets read them, in buf if it is large
// enough.
func (k *residentKey) gather(s *gpu.Solution, buf []fr.Element) []fr.Element {
	if cap(buf) < k.scalars {
		buf = make([]fr.Element, 0, k.scalars)
	}
	buf = append(buf[:0], s.W...)
	buf = append(buf, fr.One())
	for _, wires := range k.picked {
		for _, wire := range wires {
			buf = append(buf, s.W[wire])
		}
		buf = append(buf, fr.One())
	}
	if len(k.commitments) > 0 {
		buf = append(s.AppendUncommitted(buf), fr.One())
	}
	return buf
}

func (p *prover) run(ctx context.Context) (proof *gpu.Proof, err error) {
	if err := p.dev.on(func() error { return p.slot.take(p.key.scalarsOnDevice()) }); err != nil {
		return nil, err
	}
	// The roots stay until the streams are empty, which wiping waits for.
	roots := p.dev.roots()
	roots.mu.RLock()
	defer roots.mu.RUnlock()
	defer func() {
		if wiped := p.dev.on(p.slot.wipe); wiped != nil {
			proof, err = nil, errors.Join(err, wiped)
		}
	}()
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return p.dev.on(func() error { return p.sumWires(ctx) }) })
	group.Go(func() error { return p.dev.on(func() error { return p.sumQuotient(ctx) }) })
	if err := group.Wait(); err != nil {
		return nil, err
	}
	p.req.Reached("sums")
	return p.assemble()
}

// stage is a piece of a strand, between two looks at whether it should go on.
type stage struct {
	name string
	do   func() error
}

// stages does them in order until one fails or ctx ends.
func (p *prover) stages(ctx context.Context, stages ...stage) error {
	for _, s := range stages {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := s.do(); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		p.req.Reached(s.name)
	}
	return nil
}

func (p *prover) sumWires(ctx context.Context) error {
	k, st, on := p.key, p.slot.wires, p.slot.work
	stages := []stage{
		{"upload wires", func() error { return upload(on, p.scalars, st) }},
		{"convert wires", func() error { return on.plainScalars(len(p.scalars), st) }},
		{"sum B in G2", func() (err error) { p.bs, err = k.b2.sumG2(on, st); return err }},
		{"sum A", func() (err error) { p.ar, err = k.a.sumG1(on, st); return err }},
		{"sum B", func() (err error) { p.bs1, err = k.b.sumG1(on, st); return err }},
		{"sum K", func() (err error) { p.k, err = k.k.sumG1(on, st); return err }},
	}
	covered := on.at((k.scalars + 3*int(k.Cardinality)) * fr.Bytes)
	for i := range k.commitments {
		stages = append(stages, stage{"prove knowledge", func() error {
			values := append(p.req.Solution.Covered(&p.req.Solution.Commitments[i]), fr.One())
			defer clear(values)
			point, err := k.commitments[i].knowledge.sumValues(values, covered, st)
			p.knowledge = append(p.knowledge, point)
			return err
		}})
	}
	return p.stages(ctx, stages...)
}

// sumValues is a sum over scalars that are on the host, the last of them one.
func (s *set) sumValues(values []fr.Element, work buffer, st stream) (point bn254.G1Affine, err error) {
	if s.n == 0 {
		return point, nil
	}
	if err := upload(work, values, st); err != nil {
		return point, err
	}
	if err := work.plainScalars(len(values), st); err != nil {
		return point, err
	}
	sum, err := s.sumG1(work, st)
	point.FromJacobian(&sum)
	return point, err
}

// sumQuotient evaluates A and B on the coset gX of the domain, where Xⁿ-1 is
// -2, as g is a root of unity of twice its order. Interpolating A·B there gives
// A·B mod (Xⁿ+1), which is C - 2H. C is subtracted as coefficients. Only A is
// taken out of Montgomery form: R·(A·B) and R·C leave the factor R, and -2R is
// taken off the sum.
//
// H has degree n-2, so the last coefficient must come out as zero; it does not
// if A∘B = C is broken in any one constraint.
func (p *prover) sumQuotient(ctx context.Context) error {
	k, s, st := p.key, &p.req.Solution, p.slot.quotient
	n := int(k.Cardinality)
	if n == 1 {
		var ab fr.Element
		if ab.Mul(&s.A[0], &s.B[0]); ab != s.C[0] {
			return errBroken
		}
		return nil
	}
	root, err := rootOfUnity(logOf(k.Cardinality) + 1)
	if err != nil {
		return err
	}
	coset, one := plain(root), [4]uint64{1}
	a := p.slot.work.at(k.scalars * fr.Bytes)
	b, c := a.at(n*fr.Bytes), a.at(2*n*fr.Bytes)
	last := a.at((n - 1) * fr.Bytes)
	return p.stages(ctx,
		stage{"upload sides", func() error {
			return errors.Join(padded(a, s.A, n, st), padded(b, s.B, n, st), padded(c, s.C, n, st))
		}},
		stage{"transform sides", func() error {
			return inTurn(
				func() error { return a.plainScalars(n, st) },
				func() error { return a.transform(n, 2, true, naturalToMixed, &one, st) },
				func() error { return a.transform(n, 2, false, mixedToNatural, &coset, st) },
				func() error { return a.mul(b, n, st) },
				func() error { return a.transform(n, 1, true, naturalToReversed, &coset, st) },
				func() error { return c.transform(n, 1, true, naturalToReversed, &one, st) },
				func() error { return a.sub(c, n, st) },
			)
		}},
		stage{"quotient", func() error {
			highest, err := last.download(st)
			if err == nil && !highest.IsZero() {
				err = errBroken
			}
			return err
		}},
		stage{"sum Z", func() (err error) {
			if err := upload(last, one[:], st); err != nil {
				return err
			}
			p.h, err = k.z.sumG1(a, st)
			p.h.ScalarMultiplication(&p.h, quotientScale)
			return err
		}},
	)
}

// inTurn does what is queued on one stream, until queuing fails.
func inTurn(steps ...func() error) error {
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

var errBroken = fmt.Errorf("%w: A∘B = C does not hold", gpu.ErrBadSolution)

// quotientScale is -1/(2R).
var quotientScale = func() *big.Int {
	var e fr.Element
	e.SetBigInt(new(big.Int).Lsh(big.NewInt(1), 257))
	e.Neg(&e).Inverse(&e)
	return e.BigInt(new(big.Int))
}()

// padded uploads values and zeros after them up to n.
func padded(to buffer, values fr.Vector, n int, st stream) error {
	if err := upload(to, values, st); err != nil {
		return err
	}
	return to.at(len(values)*fr.Bytes).zero((n-len(values))*fr.Bytes, st)
}

// assemble adds the key's single points and the blinding, and folds the proofs
// of knowledge.
func (p *prover) assemble() (*gpu.Proof, error) {
	k, r, s := p.key, &p.req.Blinding.R, &p.req.Blinding.S
	p.ar.AddMixed(&k.Alpha)
	addTimes(&p.ar, &k.Delta, r)
	p.bs1.AddMixed(&k.Beta)
	addTimes(&p.bs1, &k.Delta, s)

	var deltaG2 bn254.G2Jac
	deltaG2.FromAffine(&k.DeltaG2)
	deltaG2.ScalarMultiplication(&deltaG2, s.BigInt(new(big.Int)))
	p.bs.AddAssign(&deltaG2)
	p.bs.AddMixed(&k.BetaG2)

	var proof gpu.Proof
	var bs1 bn254.G1Affine
	proof.Ar.FromJacobian(&p.ar)
	bs1.FromJacobian(&p.bs1)
	proof.Bs.FromJacobian(&p.bs)
	krs := p.k
	krs.AddAssign(&p.h)
	addTimes(&krs, &proof.Ar, s)
	addTimes(&krs, &bs1, r)
	var rs fr.Element
	rs.Mul(r, s).Neg(&rs)
	addTimes(&krs, &k.Delta, &rs)
	proof.Krs.FromJacobian(&krs)
	return &proof, p.fold(&proof)
}

// addTimes adds scalar·point to sum.
func addTimes(sum *bn254.G1Jac, point *bn254.G1Affine, scalar *fr.Element) {
	var term bn254.G1Jac
	term.FromAffine(point)
	term.ScalarMultiplication(&term, scalar.BigInt(new(big.Int)))
	sum.AddAssign(&term)
}
