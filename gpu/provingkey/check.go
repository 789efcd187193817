package provingkey

import (
	"fmt"
	"runtime"

	"github.com/consensys/gnark-crypto/ecc"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr"

	"github.com/gristmill-zk/gristmill/gpu"
	"github.com/gristmill-zk/gristmill/gpu/internal/parallel"
)

// Check refuses with gpu.ErrBadSolution what does not fit the key.
func (k *Key) Check(req *gpu.Request) error {
	s := &req.Solution
	refuse := func(format string, args ...any) error {
		return fmt.Errorf("%w: %s", gpu.ErrBadSolution, fmt.Sprintf(format, args...))
	}
	if len(s.W) != k.Wires {
		return refuse("%d wires, the key has %d", len(s.W), k.Wires)
	}
	if s.NbPublic != k.Public() {
		return refuse("%d public wires, the key has %d", s.NbPublic, k.Public())
	}
	if len(s.B) != len(s.A) || len(s.C) != len(s.A) {
		return refuse("sides of %d, %d and %d constraints", len(s.A), len(s.B), len(s.C))
	}
	if n := uint64(len(s.A)); n == 0 || ecc.NextPowerOfTwo(n) != k.Cardinality {
		return refuse("%d constraints do not fill the key's domain of %d", n, k.Cardinality)
	}
	if !s.W[0].IsOne() {
		return refuse("the first wire is not one")
	}
	if req.Blinding.R.IsZero() || req.Blinding.S.IsZero() {
		return refuse("the blinding was not drawn")
	}
	for name, v := range map[string][]fr.Element{
		"W": s.W, "A": s.A, "B": s.B, "C": s.C, "blinding": {req.Blinding.R, req.Blinding.S},
	} {
		if err := canonicalElements(name, v); err != nil {
			return err
		}
	}
	return k.checkCommitments(s)
}

// CheckCommit refuses with gpu.ErrBadSolution values that commitment number
// index of the key cannot take.
func (k *Key) CheckCommit(index int, values fr.Vector) error {
	covered := k.counts().covered
	if index < 0 || index >= len(covered) {
		return fmt.Errorf("%w: commitment %d, the key has %d", gpu.ErrBadSolution, index, len(covered))
	}
	if want := covered[index]; len(values) != want {
		return fmt.Errorf("%w: commitment %d covers %d wires, not %d", gpu.ErrBadSolution, index, want, len(values))
	}
	return canonicalElements("the committed values", values)
}

func canonicalElements(what string, v []fr.Element) error {
	if i := parallel.FirstBad(len(v), runtime.GOMAXPROCS(0), func(i int) bool { return below((*[4]uint64)(&v[i]), &order) }); i >= 0 {
		return fmt.Errorf("%w: element %d of %s is not canonical", gpu.ErrBadSolution, i, what)
	}
	return nil
}

// checkCommitments: the covered wires of each commitment fit its key, are
// private, and no wire is taken twice.
func (k *Key) checkCommitments(s *gpu.Solution) error {
	covered := k.counts().covered
	if len(s.Commitments) != len(covered) {
		return fmt.Errorf("%w: %d commitments, the key has %d", gpu.ErrBadSolution, len(s.Commitments), len(covered))
	}
	taken := map[uint32]bool{}
	for i := range s.Commitments {
		c := &s.Commitments[i]
		if len(c.Wires) != covered[i] {
			return fmt.Errorf("%w: commitment %d covers %d wires, the key has points for %d", gpu.ErrBadSolution, i, len(c.Wires), covered[i])
		}
		for _, wire := range append(c.Wires[:len(c.Wires):len(c.Wires)], c.Challenge) {
			if int64(wire) < int64(s.NbPublic) || int64(wire) >= int64(len(s.W)) || taken[wire] {
				return fmt.Errorf("%w: commitment %d takes wire %d, which is not private or taken already", gpu.ErrBadSolution, i, wire)
			}
			taken[wire] = true
		}
	}
	return nil
}

// order has the limbs of the scalar field's modulus, the lowest first.
var order = func() (limbs [fr.Limbs]uint64) {
	q := fr.Modulus()
	for i := range limbs {
		limbs[i] = q.Uint64()
		q.Rsh(q, 64)
	}
	return limbs
}()
