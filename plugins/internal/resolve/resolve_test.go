package resolve_test

import (
	"math/big"
	"math/rand/v2"
	"path"
	"testing"

	"github.com/consensys/gnark-crypto/ecc"
	"github.com/consensys/gnark-crypto/ecc/bn254"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	cs "github.com/consensys/gnark/constraint/bn254"
	"github.com/consensys/gnark/constraint/solver"
	"github.com/consensys/gnark/frontend"
	fcs "github.com/consensys/gnark/frontend/cs"
	"github.com/consensys/gnark/frontend/cs/r1cs"
	"github.com/consensys/gnark/std/lookup/logderivlookup"
	"github.com/stretchr/testify/require"

	"github.com/gristmill-zk/gristmill/internal/bsb22"
	_ "github.com/gristmill-zk/gristmill/internal/quietgnark"
	"github.com/gristmill-zk/gristmill/plugins/internal/resolve"
)

// circuit has an instruction of each kind: constraints, hints, a table with its
// commitment, and a batch of inverses.
type circuit struct {
	Sum frontend.Variable `gnark:",public"`
	In  [4]frontend.Variable
}

const (
	sumWire   = 1
	firstWire = 2 // In[0]
)

func init() { solver.RegisterHint(half) }

func half(_ *big.Int, in, out []*big.Int) error {
	out[0].Rsh(in[0], 1)
	return nil
}

func (c *circuit) Define(api frontend.API) error {
	table := logderivlookup.New(api)
	for i := range 16 {
		table.Insert(i * i)
	}
	sum := frontend.Variable(0)
	for i, v := range c.In {
		square := table.Lookup(v)[0]
		api.AssertIsEqual(square, api.Mul(v, v))
		out, err := api.NewHint(half, 1, square)
		if err != nil {
			return err
		}
		odd := api.Sub(square, api.Mul(2, out[0]))
		api.AssertIsBoolean(odd)
		api.ToBinary(out[0], 8)
		sum = api.Add(sum, api.Select(odd, api.Inverse(api.Add(v, 1)), api.IsZero(api.Sub(v, i))))
	}
	api.AssertIsEqual(c.Sum, sum)
	return nil
}

func commit(values fr.Vector) (point bn254.G1Affine, err error) {
	raw, err := values.MarshalBinary()
	if err != nil {
		return point, err
	}
	return bn254.HashToG1(raw, []byte("resolve test"))
}

type fixture struct {
	system *cs.R1CS
	hint   solver.Option
	good   fr.Vector
}

// sumOf is the circuit's output, worked out apart from it.
func sumOf(in [4]uint64) (sum fr.Element) {
	for i, v := range in {
		var term fr.Element
		if v*v%2 == 1 {
			term.SetUint64(v + 1)
			term.Inverse(&term)
		} else if v == uint64(i) {
			term.SetOne()
		}
		sum.Add(&sum, &term)
	}
	return sum
}

func compile(t *testing.T) *fixture {
	t.Helper()
	ccs, err := frontend.Compile(ecc.BN254.ScalarField(), r1cs.NewBuilder, new(circuit))
	require.NoError(t, err)
	f := &fixture{system: ccs.(*cs.R1CS)}
	c, err := bsb22.Of(f.system)
	require.NoError(t, err)
	require.NotNil(t, c)
	f.hint = bsb22.Hint(c, commit)
	in := [4]uint64{2, 1, 2, 7}
	f.good, err = f.solve(append([]fr.Element{sumOf(in)}, fr.NewElement(2), fr.NewElement(1), fr.NewElement(2), fr.NewElement(7)))
	require.NoError(t, err)
	return f
}

// solve has gnark solve from nothing.
func (f *fixture) solve(inputs fr.Vector, opts ...solver.Option) (fr.Vector, error) {
	assignment := circuit{Sum: inputs[0]}
	for i := range assignment.In {
		assignment.In[i] = inputs[1+i]
	}
	full, err := frontend.NewWitness(&assignment, ecc.BN254.ScalarField())
	if err != nil {
		return nil, err
	}
	solved, err := f.system.Solve(full, append(opts, f.hint)...)
	if err != nil {
		return nil, err
	}
	return solved.(*cs.R1CSSolution).W, nil
}

// What is accepted after a change of inputs is what gnark's solver accepts.
func TestAgreesWithTheSolver(t *testing.T) {
	t.Parallel()
	f := compile(t)
	s, err := resolve.New(f.system, f.good, f.hint)
	require.NoError(t, err)
	rng := rand.New(rand.NewPCG(3, 4))
	accepted := 0
	for range 300 {
		var in [4]uint64
		inputs := fr.Vector{{}}
		for i := range in {
			in[i] = rng.Uint64N(18) // above 15 there is no entry
			inputs = append(inputs, fr.NewElement(in[i]))
		}
		inputs[0] = sumOf(in)
		if rng.IntN(3) == 0 {
			inputs[0].SetUint64(rng.Uint64N(3))
		}
		var trial resolve.Trial
		for i, v := range inputs {
			trial.Set = append(trial.Set, resolve.Change{Wire: sumWire + i, Value: v})
		}
		_, want := f.solve(inputs)
		got := s.Try(trial)
		require.Equal(t, want == nil, got.Accepted, "%v, %v", inputs, want)
		if got.Accepted {
			accepted++
		}
		require.True(t, s.Try(resolve.Trial{}).Accepted, "the good solution is as it was")
	}
	require.Greater(t, accepted, 30)
	require.Less(t, accepted, 270)
}

// Of the answers in the good solution only those are free that gnark's gadgets
// leave free: the inverse of zero, what hides a commitment, and the challenge, which
// no constraint but the verifier checks.
func TestForgedAnswers(t *testing.T) {
	t.Parallel()
	f := compile(t)
	s, err := resolve.New(f.system, f.good, f.hint)
	require.NoError(t, err)
	calls, free := map[string]int{}, map[string]int{}
	for _, c := range s.Calls() {
		name := path.Base(c.Hint)
		calls[name]++
		for _, wire := range c.Outputs {
			v, one := s.Value(wire), fr.One()
			v.Add(&v, &one)
			if s.Try(resolve.Trial{Set: []resolve.Change{{Wire: wire, Value: v}}, Call: c}).Accepted {
				free[name]++
			}
		}
	}
	require.Equal(t, 4, calls["resolve_test.half"])
	require.Equal(t, 4, calls["logderivlookup.Lookup"])
	require.NotZero(t, calls["frontend.BatchInvert"])
	delete(free, "hints.Randomize")
	require.Equal(t, map[string]int{"solver.InvZeroHint": 2, path.Base(solver.GetHintName(fcs.Bsb22CommitmentComputePlaceholder)): 1}, free)
}

// A constraint that would break is mended by the first wire that can, once.
func TestFollow(t *testing.T) {
	t.Parallel()
	f := compile(t)
	s, err := resolve.New(f.system, f.good, f.hint)
	require.NoError(t, err)
	// Another second message has another term.
	set := []resolve.Change{{Wire: firstWire + 1, Value: fr.NewElement(3)}}
	require.False(t, s.Try(resolve.Trial{Set: set}).Accepted)
	got := s.Try(resolve.Trial{Set: set, Follow: []int{sumWire}})
	require.True(t, got.Accepted)
	require.Equal(t, []resolve.Change{{Wire: sumWire, Value: sumOf([4]uint64{2, 3, 2, 7})}}, got.Moved)
	// The table has no say in it: its answers are kept and do not fit.
	require.False(t, s.Try(resolve.Trial{Set: set, Follow: []int{sumWire}, Keep: resolve.LookupHint}).Accepted)
}
