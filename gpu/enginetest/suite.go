package enginetest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"

	"github.com/consensys/gnark-crypto/ecc"
	"github.com/consensys/gnark-crypto/ecc/bn254"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/consensys/gnark/frontend"
	"github.com/stretchr/testify/require"

	"github.com/gristmill-zk/gristmill/gpu"
	"github.com/gristmill-zk/gristmill/gpu/solver"
)

// New makes an engine with the given budget for keys in bytes, at least two
// proofs at once.
type New func(t testing.TB, memory int64) gpu.Engine

const plenty = 1 << 30

// Run runs the suite. The keys of its circuits are small: it says nothing
// about speed.
func Run(t *testing.T, build New) {
	for name, test := range map[string]func(*testing.T, New){
		"Proves":           proves,
		"KnownAnswer":      knownAnswer,
		"Commitments":      commitments,
		"WrongKey":         wrongKey,
		"DamagedKey":       damagedKey,
		"UnreadableKey":    unreadableKey,
		"WrongSolution":    wrongSolution,
		"LeavesSolution":   leavesSolution,
		"Concurrent":       concurrent,
		"Cancel":           cancel,
		"EvictsUnderPress": evictsUnderPressure,
		"BudgetTooSmall":   budgetTooSmall,
		"Evict":            evict,
		"Close":            closeEngine,
		"CloseInFlight":    closeInFlight,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, build)
		})
	}
}

type made struct {
	*Fixture
	err error
}

// fixtures are made once for all tests of a process: their set-up takes longer
// than the tests.
var fixtures = func() map[string]func() made {
	field := ecc.BN254.ScalarField()
	fixture := func(circuit, assignment frontend.Circuit) func() made {
		return sync.OnceValue(func() made {
			f, err := NewFixture(circuit, assignment)
			return made{f, err}
		})
	}
	dense, words, largest := &chain{N: 300}, &bits{Words: make([]frontend.Variable, 9)}, &chain{N: 1<<13 - 2}
	return map[string]func() made{
		"dense":    fixture(dense, dense.assign(3, field)),
		"zeros":    fixture(dense, dense.assign(0, field)),
		"bits":     fixture(words, words.assign(0xdeadbeef12345)),
		"no bits":  fixture(words, words.assign(0)),
		"all bits": fixture(words, words.assign(1<<wordBits-1)),
		"single":   fixture(&single{}, &single{P: 35, A: 5, B: 7}),
		"idle":     fixture(&idle{}, (&idle{}).assign()),
		"large":    fixture(largest, largest.assign(7, field)),
		"bsb22":    fixture(&committed{N: 1}, (&committed{}).assign()),
		"bsb22 x2": fixture(&committed{N: 2}, (&committed{}).assign()),
	}
}()

// Provable are the names of the fixtures that an engine can prove.
var provable = []string{"dense", "zeros", "bits", "no bits", "all bits", "single", "idle", "large", "bsb22", "bsb22 x2"}

// Get is one of the suite's fixtures by name.
func Get(t testing.TB, name string) *Fixture {
	t.Helper()
	f := fixtures[name]()
	require.NoError(t, f.err)
	return f.Fixture
}

func engine(t *testing.T, build New, memory int64) gpu.Engine {
	t.Helper()
	e := build(t, memory)
	t.Cleanup(func() { require.NoError(t, e.Close()) })
	return e
}

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
	require.Zero(t, stats.InFlight)
	require.Zero(t, stats.Failures)
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

// wrongKey: an engine cannot know whose solution it is when the sizes agree,
// but then the proof must not verify.
func wrongKey(t *testing.T, build New) {
	e := engine(t, build, plenty)
	request := Get(t, "dense").Request(t)
	request.Key = Get(t, "bits").Key()
	_, err := e.Prove(t.Context(), request)
	require.ErrorIs(t, err, gpu.ErrBadSolution)

	twin := &chain{N: 300}
	other, err := NewFixture(twin, twin.assign(3, ecc.BN254.ScalarField()))
	require.NoError(t, err)
	request = other.Request(t)
	request.Key = Get(t, "dense").Key()
	proof, err := e.Prove(t.Context(), request)
	require.NoError(t, err)
	require.Error(t, other.Verify(proof))
	require.NoError(t, Get(t, "dense").Verify(proof), "it is a proof under the key that was named")
}

func damagedKey(t *testing.T, build New) {
	e := engine(t, build, plenty)
	good := Get(t, "single").Dump
	load := func(dump []byte) error { return e.Load(t.Context(), BytesKey(dump)) }
	for _, n := range []int{0, 1, 7, 8, 15, 16, 17, 100, 600, 640, len(good) / 2, len(good) - 1} {
		require.ErrorIs(t, load(good[:n]), gpu.ErrBadKey, "cut to %d of %d bytes", n, len(good))
	}
	require.ErrorIs(t, load(append(append([]byte{}, good...), 0)), gpu.ErrBadKey, "a byte more")
	require.ErrorIs(t, load(make([]byte, len(good))), gpu.ErrBadKey, "zeros")
	for i := range good {
		if i == domainFlag {
			continue // says whether gnark would precompute, which no engine has to heed
		}
		for _, flip := range []byte{1, 0x80, 0xff} {
			bad := append([]byte{}, good...)
			bad[i] ^= flip
			err := load(bad)
			require.True(t, errors.Is(err, gpu.ErrBadKey) || errors.Is(err, gpu.ErrUnsupported) || errors.Is(err, gpu.ErrBudget),
				"byte %d of %d flipped by %#x: %v", i, len(good), flip, err)
		}
	}
	require.NoError(t, load(good))
}

// domainFlag is where a dump says whether gnark precomputes: after the marker,
// the cardinality and five elements.
const domainFlag = 8 + 8 + 5*32

func unreadableKey(t *testing.T, build New) {
	e := engine(t, build, plenty)
	f := Get(t, "dense")
	broken := errors.New("disk on fire")

	key := f.Key()
	key.Open = func() (io.ReadCloser, error) { return nil, broken }
	require.ErrorIs(t, e.Load(t.Context(), key), broken)

	for _, after := range []int64{0, 3, 700, key.Size / 2, key.Size} {
		key.Open = func() (io.ReadCloser, error) {
			whole, err := f.Key().Open()
			return io.NopCloser(io.MultiReader(io.LimitReader(whole, after), failing{broken})), err
		}
		require.ErrorIs(t, e.Load(t.Context(), key), broken, "after %d bytes", after)
	}
	require.NoError(t, e.Load(t.Context(), f.Key()), "a failed load must not block the key")
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

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

func leavesSolution(t *testing.T, build New) {
	e := engine(t, build, plenty)
	f := Get(t, "dense")
	request := f.Request(t)
	before := f.Solution()
	_, err := e.Prove(t.Context(), request)
	require.NoError(t, err)
	require.Equal(t, before, request.Solution, "the solution is only read, so it can be proved again")
}

func concurrent(t *testing.T, build New) {
	e := engine(t, build, plenty)
	var wg sync.WaitGroup
	failures := make(chan error, len(provable)*3)
	for i := range cap(failures) {
		f := Get(t, provable[i%len(provable)])
		request := f.Request(t)
		wg.Go(func() {
			proof, err := e.Prove(t.Context(), request)
			if err == nil {
				err = f.Verify(proof)
			}
			failures <- err
		})
	}
	wg.Wait()
	close(failures)
	for err := range failures {
		require.NoError(t, err)
	}
	require.EqualValues(t, len(provable), e.Stats().Loads, "each key is read once")
}

func cancel(t *testing.T, build New) {
	e := engine(t, build, plenty)
	f := Get(t, "large")
	why := fmt.Errorf("the task was withdrawn")
	ctx, stop := context.WithCancelCause(t.Context())
	stop(why)
	_, err := e.Prove(ctx, f.Request(t))
	require.ErrorIs(t, err, why)

	ctx, stop = context.WithCancelCause(t.Context())
	require.NoError(t, e.Load(ctx, f.Key()))
	ended := make(chan error, 1)
	request := f.Request(t)
	go func() {
		_, err := e.Prove(ctx, request)
		ended <- err
	}()
	for e.Stats().InFlight == 0 {
		if len(ended) > 0 {
			break
		}
	}
	stop(why)
	if err := <-ended; err != nil { // it may have been done before
		require.ErrorIs(t, err, why)
	}
	require.NotZero(t, e.Stats().Canceled)
	require.Zero(t, e.Stats().InFlight)
	proof, err := e.Prove(t.Context(), f.Request(t))
	require.NoError(t, err)
	require.NoError(t, f.Verify(proof))
}

// keyBytes is what the engine takes for a fixture's key.
func keyBytes(t *testing.T, build New, f *Fixture) int64 {
	t.Helper()
	e := engine(t, build, plenty)
	require.NoError(t, e.Load(t.Context(), f.Key()))
	return e.Stats().KeyBytes
}

func evictsUnderPressure(t *testing.T, build New) {
	names := []string{"dense", "zeros", "bits"}
	largest := int64(0)
	for _, name := range names {
		largest = max(largest, keyBytes(t, build, Get(t, name)))
	}
	e := engine(t, build, largest)
	var wg sync.WaitGroup
	failures := make(chan error, 12)
	for i := range cap(failures) {
		f := Get(t, names[i%len(names)])
		request := f.Request(t)
		wg.Go(func() {
			proof, err := e.Prove(t.Context(), request)
			if err == nil {
				err = f.Verify(proof)
			}
			failures <- err
		})
	}
	wg.Wait()
	close(failures)
	for err := range failures {
		require.NoError(t, err)
	}
	stats := e.Stats()
	require.LessOrEqual(t, stats.KeyBytes, largest)
	require.NotZero(t, stats.Evictions)
	require.EqualValues(t, stats.Loads, stats.Evictions+uint64(stats.Keys))
}

func budgetTooSmall(t *testing.T, build New) {
	f := Get(t, "dense")
	e := engine(t, build, keyBytes(t, build, f)-1)
	require.ErrorIs(t, e.Load(t.Context(), f.Key()), gpu.ErrBudget)
	_, err := e.Prove(t.Context(), f.Request(t))
	require.ErrorIs(t, err, gpu.ErrBudget)
	require.NoError(t, e.Load(t.Context(), Get(t, "single").Key()))
}

func evict(t *testing.T, build New) {
	e := engine(t, build, plenty)
	f := Get(t, "dense")
	require.ErrorIs(t, e.Evict(f.Key().ID), gpu.ErrNotLoaded)
	require.NoError(t, e.Load(t.Context(), f.Key()))
	require.NoError(t, e.Load(t.Context(), f.Key()))
	require.EqualValues(t, 1, e.Stats().Loads)
	require.NoError(t, e.Evict(f.Key().ID))
	require.Zero(t, e.Stats().KeyBytes)
	proof, err := e.Prove(t.Context(), f.Request(t))
	require.NoError(t, err)
	require.NoError(t, f.Verify(proof))
	require.EqualValues(t, 2, e.Stats().Loads)
}

func closeEngine(t *testing.T, build New) {
	e := build(t, plenty)
	f := Get(t, "dense")
	require.NoError(t, e.Load(t.Context(), f.Key()))
	require.NoError(t, e.Close())
	require.NoError(t, e.Close())
	_, err := e.Prove(t.Context(), f.Request(t))
	require.ErrorIs(t, err, gpu.ErrClosed)
	require.ErrorIs(t, e.Load(t.Context(), f.Key()), gpu.ErrClosed)
	require.ErrorIs(t, e.Evict(f.Key().ID), gpu.ErrClosed)
	require.Zero(t, e.Stats().KeyBytes)
	require.NotEmpty(t, e.Info().Name)
}

// closeInFlight: a proof ends with ErrClosed or whole, never hangs or crashes.
func closeInFlight(t *testing.T, build New) {
	e := build(t, plenty)
	f := Get(t, "large")
	ended := make(chan error, 6)
	for range cap(ended) {
		request := f.Request(t)
		go func() {
			proof, err := e.Prove(t.Context(), request)
			if err == nil {
				err = f.Verify(proof)
			}
			ended <- err
		}()
	}
	require.NoError(t, e.Close())
	require.Zero(t, e.Stats().InFlight, "Close waits")
	for range cap(ended) {
		if err := <-ended; err != nil {
			require.ErrorIs(t, err, gpu.ErrClosed)
		}
	}
}
