package enginetest

import (
	"bytes"
	"testing"

	"github.com/consensys/gnark-crypto/ecc/bn254"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr/fft"
	groth16bn254 "github.com/consensys/gnark/backend/groth16/bn254"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/gristmill-zk/gristmill/gpu"
)

// matchesReference: under any key, also of points that repeat, oppose each other
// and lie at infinity, and for any solution, also of nothing but zeros, ones or
// bits, the proof is the one that gnark-crypto computes.
func matchesReference(t *testing.T, build New) {
	e := engine(t, build, plenty)
	rapid.Check(t, func(t *rapid.T) {
		pk, request := drawKey(t), gpu.Request{}
		drawSolution(t, pk, &request)
		var dump bytes.Buffer
		require.NoError(t, pk.WriteDump(&dump))
		request.Key = BytesKey(dump.Bytes())
		want, err := Reference(pk, &request)
		require.NoError(t, err)
		got, err := e.Prove(t.Context(), request)
		require.NoError(t, err)
		require.Equal(t, want, got)
	})
}

// drawKey makes a key that belongs to no circuit: its points are drawn from a
// few multiples of the generators, with their opposites and infinity.
func drawKey(t *rapid.T) *groth16bn254.ProvingKey {
	wires := rapid.IntRange(2, 300).Draw(t, "wires")
	public := rapid.IntRange(1, wires).Draw(t, "public")
	pk := &groth16bn254.ProvingKey{Domain: *fft.NewDomain(1 << rapid.IntRange(1, 9).Draw(t, "domain"))}
	different := rapid.SampledFrom([]int{1, 2, 5, 1000}).Draw(t, "different points")
	random := drawNumbers(t, "points")
	multiples := make([]fr.Element, different+1)
	for i := range multiples[1:] {
		multiples[i+1].SetUint64(random(1<<20) + 1)
	}
	_, _, g1, g2 := bn254.Generators()
	pool1, pool2 := bn254.BatchScalarMultiplicationG1(&g1, multiples), bn254.BatchScalarMultiplicationG2(&g2, multiples)
	draw := func(finite bool) (p bn254.G1Affine, q bn254.G2Affine) {
		i := random(uint64(len(multiples)))
		if finite {
			i = 1 + random(uint64(different))
		}
		p, q = pool1[i], pool2[i]
		if random(2) == 0 {
			p.Neg(&p)
			q.Neg(&q)
		}
		return p, q
	}
	pk.G1.Alpha, _ = draw(true)
	pk.G1.Beta, pk.G2.Beta = draw(true)
	pk.G1.Delta, pk.G2.Delta = draw(true)
	infinite := rapid.SampledFrom([]uint64{0, 30, 95, 100}).Draw(t, "percent of A and B at infinity")
	pk.InfinityA, pk.InfinityB = make([]bool, wires), make([]bool, wires)
	for i := range wires {
		if pk.InfinityA[i] = random(100) < infinite; pk.InfinityA[i] {
			pk.NbInfinityA++
		} else {
			p, _ := draw(false)
			pk.G1.A = append(pk.G1.A, p)
		}
		if pk.InfinityB[i] = random(100) < infinite; pk.InfinityB[i] {
			pk.NbInfinityB++
		} else {
			p, q := draw(false)
			pk.G1.B, pk.G2.B = append(pk.G1.B, p), append(pk.G2.B, q)
		}
	}
	for range wires - public {
		p, _ := draw(false)
		pk.G1.K = append(pk.G1.K, p)
	}
	for range pk.Domain.Cardinality - 1 {
		p, _ := draw(false)
		pk.G1.Z = append(pk.G1.Z, p)
	}
	return pk
}

// drawSolution draws wires, and sides that hold, of values of one kind.
func drawSolution(t *rapid.T, pk *groth16bn254.ProvingKey, req *gpu.Request) {
	kind := rapid.SampledFrom([]string{"zeros", "ones", "minus ones", "bits", "few", "bytes", "any"}).Draw(t, "values")
	random := drawNumbers(t, "values")
	value := func() (v fr.Element) {
		switch kind {
		case "ones":
			v.SetOne()
		case "minus ones":
			v.SetInt64(-1)
		case "bits":
			if v.SetUint64(random(2)); random(50) == 0 {
				v.SetUint64(random(1 << 40)).Inverse(&v)
			}
		case "few":
			v.SetUint64(3 + random(3)).Inverse(&v)
		case "bytes":
			v.SetUint64(random(256))
		case "any":
			v.SetUint64(random(1 << 50)).Inverse(&v)
		}
		return v
	}
	s := &req.Solution
	s.NbPublic = len(pk.InfinityA) - len(pk.G1.K)
	s.W = make(fr.Vector, len(pk.InfinityA))
	s.W[0].SetOne()
	for i := range s.W[1:] {
		s.W[i+1] = value()
	}
	most := int(pk.Domain.Cardinality)
	n := rapid.IntRange(most/2+1, most).Draw(t, "constraints")
	s.A, s.B, s.C = make(fr.Vector, n), make(fr.Vector, n), make(fr.Vector, n)
	for i := range n {
		s.A[i], s.B[i] = value(), value()
		s.C[i].Mul(&s.A[i], &s.B[i])
	}
	req.Blinding.R.SetUint64(1 + random(1<<50)).Inverse(&req.Blinding.R)
	req.Blinding.S.SetUint64(1 + random(1<<50)).Inverse(&req.Blinding.S)
}

// drawNumbers draws a generator, because drawing each number would take longer
// than the proof.
func drawNumbers(t *rapid.T, what string) func(below uint64) uint64 {
	state := rapid.Uint64().Draw(t, "seed of "+what)
	return func(below uint64) uint64 {
		state = state*6364136223846793005 + 1442695040888963407
		return (state >> 33) * below >> 31
	}
}

// sizes: from the smallest domains up, real keys and proofs that verify.
func sizes(t *testing.T, build New) {
	e := engine(t, build, plenty)
	for _, size := range []struct {
		kind string
		log  int
		long bool
	}{
		{"dense", 4, false}, {"dense", 5, false}, {"dense", 7, false}, {"bits", 7, false}, {"bits", 8, false}, {"dense", 10, false},
		{"bits", 12, true}, {"dense", 14, true}, {"bits", 16, true},
	} {
		if size.long && testing.Short() {
			continue
		}
		f, err := Sized(size.kind, size.log)
		require.NoError(t, err)
		require.EqualValues(t, 1<<size.log, f.PK.(*groth16bn254.ProvingKey).Domain.Cardinality)
		request := f.Request(t)
		proof, err := e.Prove(t.Context(), request)
		require.NoError(t, err, "%s of 2^%d", size.kind, size.log)
		require.NoError(t, f.Verify(proof), "%s of 2^%d", size.kind, size.log)
		want, err := Reference(f.PK.(*groth16bn254.ProvingKey), &request)
		require.NoError(t, err)
		require.Equal(t, want, proof, "%s of 2^%d", size.kind, size.log)
	}
}
