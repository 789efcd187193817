package enginetest

import (
	"bytes"
	"io"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/consensys/gnark-crypto/ecc/bn254"
	"github.com/consensys/gnark-crypto/ecc/bn254/fp"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/consensys/gnark/backend/groth16"
	groth16bn254 "github.com/consensys/gnark/backend/groth16/bn254"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gristmill-zk/gristmill/gpu"
	"github.com/gristmill-zk/gristmill/gpu/solver"
)

func proves(t *testing.T, build New) {
	e := engine(t, build, plenty)
	require.NotEmpty(t, e.Info().Name)
	require.Positive(t, e.Info().Parallel)
	for _, name := range provable {
		f := Get(t, name)
		proof, err := e.Prove(t.Context(), f.Request(t))
		require.NoError(t, err, name)
		require.NoError(t, f.Verify(proof), name)
		other, err := e.Prove(t.Context(), f.Request(t))
		require.NoError(t, err, name)
		require.NoError(t, f.Verify(other), name)
		require.NotEqual(t, proof.Ar, other.Ar, "%s: two blindings gave one proof", name)
	}
	stats := e.Stats()
	require.EqualValues(t, 2*len(provable), stats.Proofs)
	require.EqualValues(t, len(provable), stats.Loads)
	require.Positive(t, stats.ProveTime)
	require.Zero(t, stats.InFlight)
	require.Zero(t, stats.Failures)
	require.Zero(t, stats.Canceled)
}

// knownAnswer: the proof follows from key, solution and blinding alone.
func knownAnswer(t *testing.T, build New) {
	f := Get(t, "bits")
	request := f.Request(t)
	one, err := engine(t, build, plenty).Prove(t.Context(), request)
	require.NoError(t, err)
	other, err := engine(t, build, plenty).Prove(t.Context(), request)
	require.NoError(t, err)
	require.Equal(t, one, other)
	reference, err := Reference(f.PK.(*groth16bn254.ProvingKey), &request)
	require.NoError(t, err)
	require.Equal(t, reference, one)
}

// commitments: an engine's points are gnark's, and a proof needs all of them.
func commitments(t *testing.T, build New) {
	e := engine(t, build, plenty)
	for _, name := range []string{"bsb22", "bsb22 x2"} {
		f := Get(t, name)
		solved, err := solver.Solve(f.Circuit, f.Witness, solver.Options{Commit: func(index int, values fr.Vector) (bn254.G1Affine, error) {
			point, err := e.Commit(t.Context(), f.Key(), index, values)
			want, _ := f.Commit(index, values)
			require.Equal(t, want, point, "%s: commitment %d", name, index)
			return point, err
		}})
		require.NoError(t, err, name)
		request := f.Request(t)
		request.Solution = solved
		proof, err := e.Prove(t.Context(), request)
		require.NoError(t, err, name)
		require.NoError(t, f.Verify(proof), name)
		proof.Knowledge = bn254.G1Affine{}
		require.Error(t, f.Verify(proof), "%s: without its proof of knowledge", name)

		for what, spoil := range map[string]func(*gpu.Solution){
			"none":            func(s *gpu.Solution) { s.Commitments = nil },
			"one too many":    func(s *gpu.Solution) { s.Commitments = append(s.Commitments, s.Commitments[0]) },
			"a wire less":     func(s *gpu.Solution) { s.Commitments[0].Wires = s.Commitments[0].Wires[1:] },
			"a public wire":   func(s *gpu.Solution) { s.Commitments[0].Wires[0] = 0 },
			"a wire twice":    func(s *gpu.Solution) { s.Commitments[0].Wires[0] = s.Commitments[0].Wires[1] },
			"no such wire":    func(s *gpu.Solution) { s.Commitments[0].Challenge = uint32(len(s.W)) },
			"challenge twice": func(s *gpu.Solution) { s.Commitments[0].Challenge = s.Commitments[0].Wires[0] },
		} {
			request := f.Request(t)
			spoil(&request.Solution)
			_, err := e.Prove(t.Context(), request)
			require.ErrorIs(t, err, gpu.ErrBadSolution, "%s: %s", name, what)
		}
		for what, call := range map[string]func() error{
			"no such commitment": func() error { _, err := e.Commit(t.Context(), f.Key(), 7, make(fr.Vector, 2)); return err },
			"negative":           func() error { _, err := e.Commit(t.Context(), f.Key(), -1, make(fr.Vector, 2)); return err },
			"a value less":       func() error { _, err := e.Commit(t.Context(), f.Key(), 0, make(fr.Vector, 1)); return err },
			"not canonical": func() error {
				_, err := e.Commit(t.Context(), f.Key(), 0, fr.Vector{{0, 0, 0, ^uint64(0)}, {}})
				return err
			},
		} {
			require.ErrorIs(t, call(), gpu.ErrBadSolution, "%s: %s", name, what)
		}
	}
}

func leavesSolution(t *testing.T, build New) {
	e := engine(t, build, plenty)
	f := Get(t, "dense")
	request := f.Request(t)
	before := f.Solution()
	_, err := e.Prove(t.Context(), request)
	require.NoError(t, err)
	require.Equal(t, before, request.Solution, "the solution is only read, so it can be proved again")
}

// bytesOfProof: a proof's bytes go through gnark's decoder, which checks points
// and subgroups, and lie in the order that its Solidity verifier reads.
func bytesOfProof(t *testing.T, build New) {
	e := engine(t, build, plenty)
	for _, name := range []string{"dense", "bsb22", "bsb22 x2"} {
		f := Get(t, name)
		made, err := e.Prove(t.Context(), f.Request(t))
		require.NoError(t, err)
		for _, write := range []func(groth16.Proof, io.Writer) (int64, error){groth16.Proof.WriteTo, groth16.Proof.WriteRawTo} {
			var written bytes.Buffer
			_, err := write(gnarks(made), &written)
			require.NoError(t, err)
			read := new(groth16bn254.Proof)
			_, err = read.ReadFrom(&written)
			require.NoError(t, err, name)
			require.NoError(t, f.Verify(&gpu.Proof{Ar: read.Ar, Bs: read.Bs, Krs: read.Krs, Commitments: read.Commitments, Knowledge: read.CommitmentPok}), name)
		}
		points := made.Commitments
		if len(points) > 0 {
			points = append(points[:len(points):len(points)], made.Knowledge)
		}
		numbers := []fp.Element{made.Ar.X, made.Ar.Y, made.Bs.X.A1, made.Bs.X.A0, made.Bs.Y.A1, made.Bs.Y.A0, made.Krs.X, made.Krs.Y}
		for _, p := range points {
			numbers = append(numbers, p.X, p.Y)
		}
		var solidity []byte
		for i := range numbers {
			solidity = append(solidity, numbers[i].Marshal()...)
		}
		require.Equal(t, solidity, gnarks(made).MarshalSolidity(), name)
	}
}

// progress: every proof reports stages while it is made, and none later.
func progress(t *testing.T, build New) {
	e := build(t, plenty)
	var late atomic.Int64
	var wg sync.WaitGroup
	for i := range 6 {
		name := provable[i%len(provable)]
		request := Get(t, name).Request(t)
		wg.Go(func() {
			var returned atomic.Bool
			var stages sync.Map
			request.Progress = func(stage string) {
				if returned.Load() {
					late.Add(1)
				}
				stages.Store(stage, true)
			}
			_, err := e.Prove(t.Context(), request)
			returned.Store(true)
			assert.NoError(t, err, name)
			seen := 0
			stages.Range(func(stage, _ any) bool { seen++; return assert.NotEmpty(t, stage) })
			assert.GreaterOrEqual(t, seen, 2, "%s: stages", name)
		})
	}
	wg.Wait()
	require.NoError(t, e.Close())
	require.Zero(t, late.Load(), "progress after Prove returned")
}

// fingerprint: an engine says what it is, always the same, also closed.
func fingerprint(t *testing.T, build New) {
	e := build(t, plenty)
	info := e.Info()
	for what, said := range map[string]string{"name": info.Name, "device": info.Device, "ID": info.ID, "runtime": info.Runtime} {
		require.NotEmpty(t, said, what)
	}
	require.Positive(t, info.Parallel)
	require.EqualValues(t, plenty, info.Memory)
	require.Zero(t, e.Stats())
	_, err := e.Prove(t.Context(), Get(t, "single").Request(t))
	require.NoError(t, err)
	require.Equal(t, info, e.Info())
	require.NoError(t, e.Close())
	require.Equal(t, info, e.Info())
}
