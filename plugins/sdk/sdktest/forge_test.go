package sdktest_test

import (
	"errors"
	"math/big"
	"testing"

	"github.com/consensys/gnark/constraint/solver"
	"github.com/consensys/gnark/frontend"
	"github.com/consensys/gnark/std/rangecheck"
	"github.com/stretchr/testify/require"

	"github.com/gristmill-zk/gristmill/plugins/sdk"
	"github.com/gristmill-zk/gristmill/plugins/sdk/sdktest"
)

// tens claims something about the first byte of the first message, in some way
// of asking hints.
type tens struct {
	Tens frontend.Variable `gnark:"tens,public"`

	state func(api frontend.API, c *tens, v frontend.Variable) error
}

func (c *tens) Define(api frontend.API, m *sdk.Messages) error {
	v, err := m.Items[0].Uint(0, 1)
	if err != nil {
		return err
	}
	return c.state(api, c, v)
}

func init() { solver.RegisterHint(divByTen, isTens, inverse) }

func divByTen(_ *big.Int, in, out []*big.Int) error {
	out[0].DivMod(in[0], big.NewInt(10), out[1])
	return nil
}

// isTens answers whether the second number is the tens of the first.
func isTens(_ *big.Int, in, out []*big.Int) error {
	if new(big.Int).Div(in[0], big.NewInt(10)).Cmp(in[1]) == 0 {
		out[0].SetUint64(1)
	}
	return nil
}

// inverse has no answer for zero.
func inverse(field *big.Int, in, out []*big.Int) error {
	if out[0].ModInverse(in[0], field) == nil {
		return errors.New("no inverse")
	}
	return nil
}

func tensProject(state func(api frontend.API, c *tens, v frontend.Variable) error) *sdk.Project {
	return &sdk.Project{
		Name: "tens", Version: "1", BatchSize: 1, PayloadLimit: 1, UncheckedSignatures: true,
		New: func(int) sdk.Circuit { return &tens{state: state} },
		Assign: func(t sdk.Task) (sdk.Circuit, error) {
			return &tens{Tens: t.Messages[0].Payload[0] / 10, state: state}, nil
		},
		Sample: func(int) []byte { return []byte{42} },
	}
}

// divide asks the hint; ranges says for quotient and rest whether they are bound.
func divide(equation, quotientRange, restRange bool) func(api frontend.API, c *tens, v frontend.Variable) error {
	return func(api frontend.API, c *tens, v frontend.Variable) error {
		out, err := api.NewHint(divByTen, 2, v)
		if err != nil {
			return err
		}
		if equation {
			api.AssertIsEqual(v, api.Add(api.Mul(out[0], 10), out[1]))
		}
		if quotientRange {
			sdk.AssertBits(api, out[0], 5)
		}
		if restRange {
			sdk.AssertAtMost(api, out[1], 9)
		}
		api.AssertIsEqual(c.Tens, out[0])
		return nil
	}
}

// Each of these but the sound one lets a prover claim other tens. Names of answers
// that change the output end in a star.
func TestForgedAnswersThatChangeAnOutput(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		state func(api frontend.API, c *tens, v frontend.Variable) error
		names []string
	}{
		"sound":         {divide(true, true, true), nil},
		"no constraint": {divide(false, false, true), []string{"hint:sdktest_test.divByTen:0*", "hint:sdktest_test.divByTen:1"}},
		// Only a quotient and a rest that are wrong together show these.
		"no range of the rest":     {divide(true, true, false), []string{"hint:sdktest_test.divByTen:0*"}},
		"no range of the quotient": {divide(true, false, true), []string{"hint:sdktest_test.divByTen:1*"}},
		"gnark's own hint": {func(api frontend.API, c *tens, v frontend.Variable) error {
			out, err := api.NewHint(solver.InvZeroHint, 1, v)
			if err != nil {
				return err
			}
			api.AssertIsEqual(c.Tens, api.Mul(out[0], v, 4))
			return nil
		}, []string{"hint:solver.InvZeroHint:0*"}},
		// Four bits hold more than nine, and the commitment follows what is forged.
		"too wide a range, checked with a commitment": {func(api frontend.API, c *tens, v frontend.Variable) error {
			out, err := api.NewHint(divByTen, 2, v)
			if err != nil {
				return err
			}
			check := rangecheck.New(api)
			check.Check(out[0], 5)
			check.Check(out[1], 4)
			api.AssertIsEqual(v, api.Add(api.Mul(out[0], 10), out[1]))
			api.AssertIsEqual(c.Tens, out[0])
			return nil
		}, []string{"hint:sdktest_test.divByTen:0*"}},
	} {
		c := sdktest.New(t, tensProject(test.state))
		body := c.Task(t, []byte{42})
		var names []string
		for _, f := range c.Forgeries(t, body) {
			said := f.Name()
			if len(f.Outputs) != 0 {
				said += "*"
			}
			names = append(names, said)
		}
		require.Equal(t, test.names, names, name)
		if name == "sound" {
			c.Probe(t, body)
		}
	}
}

// What is told of a forgery is enough to find it.
func TestForgeryInWords(t *testing.T) {
	t.Parallel()
	c := sdktest.New(t, tensProject(divide(false, false, true)))
	found := c.Forgeries(t, c.Task(t, []byte{42}))
	require.Len(t, found, 2)
	require.Regexp(t, `^output 0 of the hint github.com/gristmill-zk/gristmill/plugins/sdk/sdktest_test.divByTen `+
		`\(called at sdktest/forge_test.go:\d+, from sdktest/forge_test.go:\d+\) may be 5 instead of 4 \(calls like this: 1\), `+
		`and the outputs change: tens 5 instead of 4$`, found[0].String())
	require.Regexp(t, `^output 1 .* 3 instead of 2 .*, and no output changes$`, found[1].String())
}

// Answers that change nothing that a proof says: a fault if they are the team's,
// unless named; not if they are gnark's.
func TestForgedAnswersThatChangeNoOutput(t *testing.T) {
	t.Parallel()
	ask := func(hint solver.Hint) *sdk.Project {
		return tensProject(func(api frontend.API, c *tens, v frontend.Variable) error {
			if err := divide(true, true, true)(api, c, v); err != nil {
				return err
			}
			// As IsZero does it: with zero, any inverse will do.
			zero := api.Sub(v, 42)
			out, err := api.NewHint(hint, 1, zero)
			if err != nil {
				return err
			}
			api.AssertIsEqual(api.Mul(zero, api.Sub(1, api.Mul(zero, out[0]))), 0)
			return nil
		})
	}
	for hint, gnarks := range map[string]bool{"hint:sdktest_test.zeroInverse:0": false, "hint:solver.InvZeroHint:0": true} {
		p := ask(zeroInverse)
		if gnarks {
			p = ask(solver.InvZeroHint)
		}
		c := sdktest.New(t, p)
		body := c.Task(t, []byte{42})
		found := c.Forgeries(t, body)
		require.Len(t, found, 1, hint)
		require.Equal(t, hint, found[0].Name())
		require.Empty(t, found[0].Outputs)
		require.Equal(t, !gnarks, sdktest.Blames(c, body, &found[0]), hint)
		c.Probe(t, body, hint)
	}
}

func init() { solver.RegisterHint(zeroInverse) }

func zeroInverse(field *big.Int, in, out []*big.Int) error {
	if in[0].Sign() != 0 {
		out[0].ModInverse(in[0], field)
	}
	return nil
}

// A hint that says yes, whatever it is asked, lets an output be anything. It
// says yes to the right one, too: only a changed output shows it.
func TestAnswersThatAreKept(t *testing.T) {
	t.Parallel()
	c := sdktest.New(t, tensProject(func(api frontend.API, c *tens, v frontend.Variable) error {
		out, err := api.NewHint(isTens, 1, v, c.Tens)
		if err != nil {
			return err
		}
		api.AssertIsEqual(out[0], 1)
		api.AssertIsEqual(api.Mul(out[0], c.Tens), c.Tens)
		return nil
	}))
	body := c.Task(t, []byte{42})
	require.Empty(t, c.Forgeries(t, body))
	require.Equal(t, []string{"Team_tens"}, c.Free(t, body))
	// Every input was mutated with the hint's honest answer before, to no effect.
	w, err := c.Witness(body)
	require.NoError(t, err)
	sdktest.Set(t, w, "Team_tens", 5)
	require.Error(t, c.Solve(w))
}

// A hint that gives up does not speak for the constraints.
func TestHintThatHasNoAnswer(t *testing.T) {
	t.Parallel()
	c := sdktest.New(t, tensProject(func(api frontend.API, c *tens, v frontend.Variable) error {
		out, err := api.NewHint(inverse, 1, api.Sub(v, 42, api.Mul(c.Tens, 0), -1, api.Sub(c.Tens, 4)))
		if err != nil {
			return err
		}
		sdk.AssertBits(api, c.Tens, 4)
		api.AssertIsEqual(out[0], 1)
		return nil
	}))
	body := c.Task(t, []byte{42})
	w, err := c.Witness(body)
	require.NoError(t, err)
	sdktest.Set(t, w, "Team_tens", 5)
	require.ErrorContains(t, c.Solve(w), "no inverse")
	require.Equal(t, []string{"Team_tens"}, c.Free(t, body))
}
