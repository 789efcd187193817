package enginetest

import (
	"testing"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/stretchr/testify/require"

	"github.com/gristmill-zk/gristmill/gpu"
)

func wrongSolution(t *testing.T, build New) {
	e := engine(t, build, plenty)
	f := Get(t, "dense")
	for name, spoil := range map[string]func(*gpu.Request){
		"nothing":             func(r *gpu.Request) { r.Solution = gpu.Solution{} },
		"no wires":            func(r *gpu.Request) { r.Solution.W = nil },
		"no constraints":      func(r *gpu.Request) { r.Solution.A, r.Solution.B, r.Solution.C = nil, nil, nil },
		"a wire less":         func(r *gpu.Request) { r.Solution.W = r.Solution.W[1:] },
		"a wire more":         func(r *gpu.Request) { r.Solution.W = append(r.Solution.W, fr.One()) },
		"A short":             func(r *gpu.Request) { r.Solution.A = r.Solution.A[1:] },
		"B short":             func(r *gpu.Request) { r.Solution.B = r.Solution.B[1:] },
		"C long":              func(r *gpu.Request) { r.Solution.C = append(r.Solution.C, fr.One()) },
		"another domain":      func(r *gpu.Request) { halve(&r.Solution) },
		"other public":        func(r *gpu.Request) { r.Solution.NbPublic++ },
		"negative public":     func(r *gpu.Request) { r.Solution.NbPublic = -1 },
		"constant is not one": func(r *gpu.Request) { r.Solution.W[0].SetUint64(2) },
		"W not canonical":     func(r *gpu.Request) { r.Solution.W[5] = fr.Element{1, 0, 0, ^uint64(0)} },
		"A not canonical":     func(r *gpu.Request) { r.Solution.A[0] = modulusLimbs() },
		"B not canonical":     func(r *gpu.Request) { r.Solution.B[len(r.Solution.B)-1] = modulusLimbs() },
		"C not canonical":     func(r *gpu.Request) { r.Solution.C[7] = modulusLimbs() },
		"no blinding":         func(r *gpu.Request) { r.Blinding = gpu.Blinding{} },
		"wild blinding":       func(r *gpu.Request) { r.Blinding.R = modulusLimbs() },
	} {
		request := f.Request(t)
		spoil(&request)
		_, err := e.Prove(t.Context(), request)
		require.ErrorIs(t, err, gpu.ErrBadSolution, name)
	}
	stats := e.Stats()
	require.NotZero(t, stats.Failures)
	require.Zero(t, stats.Proofs)
	require.Zero(t, stats.Canceled)
	for name, spoil := range map[string]func(*gpu.Solution){
		"wrong A":    func(s *gpu.Solution) { s.A[3].SetUint64(7) },
		"wrong C":    func(s *gpu.Solution) { s.C[len(s.C)-1].SetUint64(7) },
		"wrong wire": func(s *gpu.Solution) { s.W[len(s.W)-1].SetUint64(7) },
	} {
		request := f.Request(t)
		spoil(&request.Solution)
		proof, err := e.Prove(t.Context(), request)
		if err == nil {
			require.Error(t, f.Verify(proof), name)
		} else {
			require.ErrorIs(t, err, gpu.ErrBadSolution, name)
		}
	}
	proof, err := e.Prove(t.Context(), f.Request(t))
	require.NoError(t, err)
	require.NoError(t, f.Verify(proof), "the next good one goes through")
}

func halve(s *gpu.Solution) {
	n := len(s.A) / 4
	s.A, s.B, s.C = s.A[:n], s.B[:n], s.C[:n]
}

// modulusLimbs is the field's modulus, the least number that is not canonical.
func modulusLimbs() (e fr.Element) {
	q := fr.Modulus()
	for i := range e {
		e[i] = q.Uint64()
		q.Rsh(q, 64)
	}
	return e
}
