package bundle

import (
	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/consensys/gnark/constraint"
	cs "github.com/consensys/gnark/constraint/bn254"

	"github.com/gristmill-zk/gristmill/internal/bsb22"
)

// Rows are the constraints (L·w)·(R·w) = O·w of a circuit.
type Rows struct {
	constraints []constraint.R1C
	coeffs      []fr.Element
	wires       int

	// Commitment is the circuit's, nil if it uses none.
	Commitment *bsb22.Commitment
}

// Rows reads the constraint system and lists its constraints.
func (b *Bundle) Rows() (rows *Rows, err error) {
	system, err := b.Circuit()
	if err != nil {
		return nil, err
	}
	// A constraint system may be well formed and yet name what it does not have.
	defer func() {
		if p := recover(); p != nil {
			rows, err = nil, blame(PartCircuit, ErrMalformed, "%v", p)
		}
	}()
	return listRows(system, int(b.Manifest.Circuit.Wires))
}

func listRows(system *cs.R1CS, wires int) (*Rows, error) {
	commitment, err := bsb22.Of(system)
	if err != nil {
		return nil, blame(PartCircuit, ErrMalformed, "%v", err)
	}
	rows := &Rows{constraints: system.GetR1Cs(), coeffs: system.Coefficients, wires: wires, Commitment: commitment}
	if len(rows.constraints) != system.GetNbConstraints() {
		return nil, blame(PartCircuit, ErrMalformed, "it has %d constraints and lists %d",
			system.GetNbConstraints(), len(rows.constraints))
	}
	for i := range rows.constraints {
		c := &rows.constraints[i]
		for _, side := range []constraint.LinearExpression{c.L, c.R, c.O} {
			for _, t := range side {
				if t.CoeffID() >= len(rows.coeffs) || t.WireID() >= wires {
					return nil, blame(PartCircuit, ErrMalformed, "constraint %d names a wire or coefficient it does not have", i)
				}
			}
		}
	}
	return rows, nil
}

// Len is the number of constraints.
func (r *Rows) Len() int { return len(r.constraints) }

// Evaluate computes L·w, R·w and O·w. The results have room for nothing more.
func (r *Rows) Evaluate(wires fr.Vector) (a, b, c fr.Vector) {
	n := len(r.constraints)
	a, b, c = make(fr.Vector, n), make(fr.Vector, n), make(fr.Vector, n)
	for i := range r.constraints {
		a[i] = r.evaluate(r.constraints[i].L, wires)
		b[i] = r.evaluate(r.constraints[i].R, wires)
		c[i] = r.evaluate(r.constraints[i].O, wires)
	}
	return a, b, c
}

func (r *Rows) evaluate(l constraint.LinearExpression, wires fr.Vector) (sum fr.Element) {
	var term fr.Element
	for _, t := range l {
		term.Mul(&r.coeffs[t.CoeffID()], &wires[t.WireID()])
		sum.Add(&sum, &term)
	}
	return sum
}

// Combine adds up the constraints, each weighted by one element of weights, and
// returns the three sums as coefficients of the wires: for any wires w,
// Σ weights·(L·w) = Σ l·w, and so on.
func (r *Rows) Combine(weights fr.Vector) (l, rr, o fr.Vector) {
	l, rr, o = make(fr.Vector, r.wires), make(fr.Vector, r.wires), make(fr.Vector, r.wires)
	var term fr.Element
	add := func(out fr.Vector, side constraint.LinearExpression, weight *fr.Element) {
		for _, t := range side {
			term.Mul(&r.coeffs[t.CoeffID()], weight)
			out[t.WireID()].Add(&out[t.WireID()], &term)
		}
	}
	for i := range r.constraints {
		add(l, r.constraints[i].L, &weights[i])
		add(rr, r.constraints[i].R, &weights[i])
		add(o, r.constraints[i].O, &weights[i])
	}
	return l, rr, o
}

// FirstUnsatisfied is the first i with a[i]·b[i] ≠ c[i], or -1. The vectors are
// of one length.
func FirstUnsatisfied(a, b, c fr.Vector) int {
	const block = 1024 // stays in the processor's cache
	products := make(fr.Vector, min(block, len(a)))
	defer clear(products)
	for from := 0; from < len(a); from += block {
		to := min(from+block, len(a))
		part := products[:to-from]
		part.Mul(a[from:to], b[from:to])
		for i := range part {
			if part[i] != c[from+i] {
				return from + i
			}
		}
	}
	return -1
}
