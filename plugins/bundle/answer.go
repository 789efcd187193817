package bundle

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/big"
	"slices"

	"github.com/consensys/gnark-crypto/ecc"
	curve "github.com/consensys/gnark-crypto/ecc/bn254"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr/fft"
	groth16 "github.com/consensys/gnark/backend/groth16/bn254"

	"github.com/gristmill-zk/gristmill/internal/bsb22"
	"github.com/gristmill-zk/gristmill/internal/groth16vk"
)

// KnownAnswer proves the bundle's known answer, all wires of a public sample
// task, with its proving key and checks the proof with its verifying key. So a
// worker learns before it takes a task, and not from a lost one, that circuit and keys
// do not belong together. It costs about one proof.
func (b *Bundle) KnownAnswer(ctx context.Context) error {
	wires, err := b.knownWires()
	if err != nil {
		return err
	}
	rows, err := b.Rows()
	if err != nil {
		return err
	}
	pk, err := b.ProvingKey()
	if err != nil {
		return err
	}
	if err := b.checkSizes(pk, rows.Commitment); err != nil {
		return err
	}
	vk, err := b.VerifyingKey()
	if err != nil {
		return err
	}
	if err := b.checkVerifyingKeys(vk); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	a, bb, c := rows.Evaluate(wires)
	if i := FirstUnsatisfied(a, bb, c); i >= 0 {
		return blame(PartKnownAnswer, ErrMismatch, "constraint %d of the circuit is not satisfied", i)
	}
	proof, err := proveSample(pk, wires, rows.Commitment, a, bb, c)
	if err != nil {
		return blame(PartProvingKey, ErrMismatch, "the known answer can not be proven: %v", err)
	}
	words, err := groth16vk.EncodeProof(proof)
	if err != nil {
		return fmt.Errorf("bundle: %w", err)
	}
	if err := groth16vk.Verify(vk, words, wires[1:b.Manifest.Circuit.PublicWires]); err != nil {
		return blame(PartProvingKey, ErrMismatch, "its proof of the known answer does not verify: %v", err)
	}
	return nil
}

func (b *Bundle) knownWires() (fr.Vector, error) {
	if err := b.inspectPart(PartKnownAnswer, checkWiresShape); err != nil {
		return nil, err
	}
	var wires fr.Vector
	err := b.readPart(PartKnownAnswer, func(r io.Reader) error {
		_, err := wires.ReadFrom(r)
		return err
	})
	if err != nil {
		return nil, err
	}
	if uint64(len(wires)) != b.Manifest.Circuit.Wires {
		return nil, blame(PartKnownAnswer, ErrMismatch, "it has %d wires, the circuit %d", len(wires), b.Manifest.Circuit.Wires)
	}
	if !wires[0].IsOne() {
		return nil, blame(PartKnownAnswer, ErrMalformed, "its constant wire is not one")
	}
	return wires, nil
}

// checkSizes refuses a key of another circuit before a prover runs past the end
// of it.
func (b *Bundle) checkSizes(pk *groth16.ProvingKey, commitment *bsb22.Commitment) error {
	c := &b.Manifest.Circuit
	domain := ecc.NextPowerOfTwo(c.Constraints)
	var covered uint64 // wires that K has no point for
	if commitment != nil {
		covered = uint64(len(commitment.Wires)) + 1
	}
	for _, size := range []struct {
		name      string
		got, want uint64
	}{
		{"domain", pk.Domain.Cardinality, domain},
		{"A flags", uint64(len(pk.InfinityA)), c.Wires},
		{"B flags", uint64(len(pk.InfinityB)), c.Wires},
		{"A", uint64(len(pk.G1.A)) + count(pk.InfinityA), c.Wires},
		{"B", uint64(len(pk.G1.B)) + count(pk.InfinityB), c.Wires},
		{"B on G2", uint64(len(pk.G2.B)) + count(pk.InfinityB), c.Wires},
		{"A's count", pk.NbInfinityA, count(pk.InfinityA)},
		{"B's count", pk.NbInfinityB, count(pk.InfinityB)},
		{"K", uint64(len(pk.G1.K)) + covered, c.Wires - uint64(c.PublicWires)},
		{"Z", uint64(len(pk.G1.Z)), domain - 1},
		{"commitments", uint64(len(pk.CommitmentKeys)), uint64(c.Commitments)},
	} {
		if size.got != size.want {
			return blame(PartProvingKey, ErrMismatch, "%s has size %d, the circuit's is %d", size.name, size.got, size.want)
		}
	}
	for i := range pk.CommitmentKeys {
		key := &pk.CommitmentKeys[i]
		for _, basis := range [][]curve.G1Affine{key.Basis, key.BasisExpSigma} {
			if len(basis) != len(commitment.Wires) {
				return blame(PartProvingKey, ErrMismatch, "the commitment has size %d, the circuit's is %d", len(basis), len(commitment.Wires))
			}
		}
	}
	return nil
}

func count(flags []bool) (n uint64) {
	for _, f := range flags {
		if f {
			n++
		}
	}
	return n
}

// proveSample is Groth16's prover with both blinding factors 1: the sample is
// public, and this way every part of the key has to be right. It works from the
// wires, since solving needs the plugin's own hints.
func proveSample(pk *groth16.ProvingKey, wires fr.Vector, commitment *bsb22.Commitment, a, b, c fr.Vector) (*groth16.Proof, error) {
	proof := new(groth16.Proof)
	if commitment != nil {
		if err := commitSample(pk, wires, commitment, proof); err != nil {
			return nil, err
		}
	}
	wiresA, wiresB := without(wires, pk.InfinityA), without(wires, pk.InfinityB)
	private := uncommitted(wires, len(pk.G1.K), commitment)
	h := quotient(&pk.Domain, a, b, c)

	var ar, bs1, krs, tail curve.G1Jac
	var bs curve.G2Jac
	for _, m := range []struct {
		name string
		run  func() error
	}{
		{"A", func() error { _, err := ar.MultiExp(pk.G1.A, wiresA, ecc.MultiExpConfig{}); return err }},
		{"B", func() error { _, err := bs1.MultiExp(pk.G1.B, wiresB, ecc.MultiExpConfig{}); return err }},
		{"B on G2", func() error { _, err := bs.MultiExp(pk.G2.B, wiresB, ecc.MultiExpConfig{}); return err }},
		{"K", func() error { _, err := krs.MultiExp(pk.G1.K, private, ecc.MultiExpConfig{}); return err }},
		{"Z", func() error { _, err := tail.MultiExp(pk.G1.Z, h[:len(pk.G1.Z)], ecc.MultiExpConfig{}); return err }},
	} {
		if err := m.run(); err != nil {
			return nil, fmt.Errorf("%s: %w", m.name, err)
		}
	}
	ar.AddMixed(&pk.G1.Alpha)
	ar.AddMixed(&pk.G1.Delta)
	bs1.AddMixed(&pk.G1.Beta)
	bs1.AddMixed(&pk.G1.Delta)
	bs.AddMixed(&pk.G2.Beta)
	bs.AddMixed(&pk.G2.Delta)

	// C = Σ K + Σ Z + s·A + r·B − r·s·δ
	var minusDelta curve.G1Affine
	minusDelta.Neg(&pk.G1.Delta)
	krs.AddAssign(&tail)
	krs.AddAssign(&ar)
	krs.AddAssign(&bs1)
	krs.AddMixed(&minusDelta)

	proof.Ar.FromJacobian(&ar)
	proof.Bs.FromJacobian(&bs)
	proof.Krs.FromJacobian(&krs)
	return proof, nil
}

// commitSample makes a proof's commitment. The challenge among the wires must
// follow from it: they were solved under this key.
func commitSample(pk *groth16.ProvingKey, wires fr.Vector, c *bsb22.Commitment, proof *groth16.Proof) error {
	key, values := &pk.CommitmentKeys[0], c.Covered(wires)
	point, err := key.Commit(values)
	if err != nil {
		return fmt.Errorf("commitment: %w", err)
	}
	if !c.Holds(wires, &point) {
		return errors.New("its challenge does not follow from the commitment under this key")
	}
	proof.Commitments = []curve.G1Affine{point}
	if proof.CommitmentPok, err = key.ProveKnowledge(values); err != nil {
		return fmt.Errorf("commitment: %w", err)
	}
	return nil
}

// uncommitted are the private wires that K has points for: all that no
// commitment covers and that hold no challenge.
func uncommitted(wires fr.Vector, n int, c *bsb22.Commitment) fr.Vector {
	if c == nil {
		return wires[len(wires)-n:]
	}
	taken := append(slices.Clone(c.Wires), c.Challenge)
	out := make(fr.Vector, 0, n)
	for i := len(wires) - n - len(taken); i < len(wires); i++ {
		if len(taken) > 0 && int(taken[0]) == i {
			taken = taken[1:]
			continue
		}
		out = append(out, wires[i])
	}
	return out
}

func without(wires fr.Vector, infinity []bool) fr.Vector {
	out := make(fr.Vector, 0, len(wires))
	for i := range wires {
		if !infinity[i] {
			out = append(out, wires[i])
		}
	}
	return out
}

// quotient is (A·B − C)/Z over the domain. It overwrites its arguments.
func quotient(domain *fft.Domain, a, b, c fr.Vector) fr.Vector {
	n := int(domain.Cardinality)
	for _, v := range []*fr.Vector{&a, &b, &c} {
		*v = append(*v, make(fr.Vector, n-len(*v))...)
		domain.FFTInverse(*v, fft.DIF)
		domain.FFT(*v, fft.DIT, fft.OnCoset())
	}
	var z, one fr.Element
	one.SetOne()
	z.Exp(domain.FrMultiplicativeGen, big.NewInt(int64(n)))
	z.Sub(&z, &one).Inverse(&z)
	for i := range a {
		a[i].Mul(&a[i], &b[i]).Sub(&a[i], &c[i]).Mul(&a[i], &z)
	}
	domain.FFTInverse(a, fft.DIF, fft.OnCoset())
	return a
}
