package sdktest

import (
	"fmt"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/stretchr/testify/require"

	"github.com/gristmill-zk/gristmill/plugins/internal/resolve"
	"github.com/gristmill-zk/gristmill/plugins/sdk"
	"github.com/gristmill-zk/gristmill/wire"
)

// largeCircuit is how many constraints a circuit has at most to be probed with
// every mutation.
const largeCircuit = 1 << 17

// mutations are the ways to change a value. Zero and the negative find what a
// missing range or sign check leaves open.
var mutations = []func(v *fr.Element, random fr.Element){
	func(v *fr.Element, _ fr.Element) { one := fr.One(); v.Add(v, &one) },
	func(v *fr.Element, random fr.Element) { v.Add(v, &random) },
	func(v *fr.Element, _ fr.Element) { one := fr.One(); v.Sub(v, &one) },
	func(v *fr.Element, _ fr.Element) { v.Neg(v) },
	func(v *fr.Element, _ fr.Element) { v.SetZero() },
}

func (c *Circuit) large() bool { return c.system.GetNbConstraints() > largeCircuit }

func (c *Circuit) mutations() []func(v *fr.Element, random fr.Element) {
	if c.large() {
		return mutations[:2]
	}
	return mutations
}

// Probe changes each input of a good body's witness and each answer of a hint,
// and expects the circuit to refuse it. Binding is free in every circuit: any
// prover may prove. Other deliberate freedoms are named, in patterns of
// path.Match over the names of inputs and of Forgery; one that the circuit does
// constrain fails the test as well. Inputs of slots that the body leaves unused
// must be free altogether.
//
// An answer that can be replaced is a fault if an output changes with it,
// whoever asked for it. If none does, it is one only of the hints that are not
// gnark's own, and only if the body fills all slots: gnark's gadgets leave
// freedoms that do no harm, such as the inverse of zero, and so may whatever
// concerns an unused slot.
func (c *Circuit) Probe(t *testing.T, body *wire.Body, free ...string) {
	t.Helper()
	named := func(name string) bool {
		return slices.ContainsFunc(free, func(pattern string) bool { return matches(t, pattern, name) })
	}
	found := c.Free(t, body)
	for _, name := range found {
		if !named(name) {
			t.Errorf("the circuit does not notice a change of %s", name)
		}
	}
	forgeries := c.Forgeries(t, body)
	for _, f := range forgeries {
		found = append(found, f.Name())
		switch {
		case named(f.Name()):
		case c.blames(body, &f):
			t.Errorf("a hint's answer is not constrained (%s): %s", f.Name(), f)
		default:
			t.Logf("free, and no harm is seen in it (%s): %s", f.Name(), f)
		}
	}
	for _, pattern := range free {
		if !slices.ContainsFunc(found, func(name string) bool { return matches(t, pattern, name) }) {
			t.Errorf("%s is named as free but the circuit constrains it", pattern)
		}
	}
	if err := c.CheckUnused(t, body); err != nil {
		t.Error(err)
	}
}

// blames says whether a forgery is a fault of the circuit.
func (c *Circuit) blames(body *wire.Body, f *Forgery) bool {
	return len(f.Outputs) != 0 || (!f.gnarks() && len(body.Messages) == c.Project.BatchSize)
}

func matches(t *testing.T, pattern, name string) bool {
	t.Helper()
	ok, err := path.Match(pattern, name)
	require.NoError(t, err, pattern)
	return ok
}

// Free are the inputs of a good body's witness that can be changed without the
// circuit's notice, besides Binding and what is in unused slots. Hints answer to
// the changed input, or one of them goes on answering as if nothing had changed
// (in circuits up to largeCircuit).
func (c *Circuit) Free(t testing.TB, body *wire.Body) []string {
	t.Helper()
	good, err := c.Witness(body)
	require.NoError(t, err)
	s, err := c.resolver(good)
	require.NoError(t, err)
	keep := []string{""}
	for _, calls := range byHint(s.Calls()) {
		if !c.large() {
			keep = append(keep, calls[0].Hint)
		}
	}
	rng := rand.New(rand.NewPCG(1, 2))
	var free []string
	for i, name := range good.Names {
		if name == "Binding" || c.unused(name, len(body.Messages)) {
			continue
		}
		if c.accepts(s, 1+i, fr.NewElement(rng.Uint64()), keep) {
			free = append(free, name)
		}
	}
	return free
}

// accepts says whether the circuit takes any other value of an input, while the
// hint of some name keeps its answers.
func (c *Circuit) accepts(s *resolve.System, wire int, random fr.Element, keep []string) bool {
	good := s.Value(wire)
	for _, mutate := range c.mutations() {
		bad := good
		mutate(&bad, random)
		if bad.Equal(&good) {
			continue
		}
		for _, hint := range keep {
			if s.Try(resolve.Trial{Set: []resolve.Change{{Wire: wire, Value: bad}}, Keep: hint}).Accepted {
				return true
			}
		}
	}
	return false
}

// unused says whether an input is the platform's and of a slot after the used
// ones. Whether a slot is used is never free.
func (c *Circuit) unused(name string, used int) bool {
	for slot := used; slot < c.Project.BatchSize; slot++ {
		for _, group := range []string{"Slots", "Signatures", "P256"} {
			if strings.HasPrefix(name, fmt.Sprintf("%s_%d_", group, slot)) {
				return !strings.HasSuffix(name, "_Used")
			}
		}
	}
	return false
}

// CheckUnused puts other signed messages, of no sense to the team, into the
// slots that a good body leaves unused. Nil means that the outputs hold as before.
func (c *Circuit) CheckUnused(t testing.TB, body *wire.Body) error {
	t.Helper()
	used := len(body.Messages)
	if used == c.Project.BatchSize {
		return nil
	}
	good, err := c.Witness(body)
	require.NoError(t, err)

	fuller := *body
	fuller.Messages = slices.Clone(body.Messages)
	for i := used; i < c.Project.BatchSize; i++ {
		noise := make([]byte, c.Project.PayloadLimit)
		for k := range noise {
			noise[k] = 0xff - byte(i)
		}
		m := c.Message(t, 1000+i, 1<<40, noise)
		m.Project = body.Project
		require.NoError(t, c.Signer(t, 1000+i).Sign(Deployment, uint32(c.Project.PayloadLimit), &m))
		fuller.Messages = append(fuller.Messages, m)
	}
	p := *c.Project
	p.Assign = func(task sdk.Task) (sdk.Circuit, error) {
		task.Messages = task.Messages[:used]
		return c.Project.Assign(task)
	}
	noisy, err := sdk.NewWitness(&p, Deployment, &fuller, wire.Hash{31: 9}, wire.Address{19: 9})
	require.NoError(t, err)
	for i, name := range good.Names {
		if c.unused(name, used) {
			good.Values[i] = noisy.Values[i]
		}
	}
	if err := c.Solve(good); err != nil {
		return fmt.Errorf("what is in an unused slot is not free: %w", err)
	}
	return nil
}
