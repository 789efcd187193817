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

	"github.com/gristmill-zk/gristmill/plugins/sdk"
	"github.com/gristmill-zk/gristmill/wire"
)

// largeCircuit is how many constraints a circuit has at most to be probed with
// every mutation.
const largeCircuit = 1 << 17

// mutations are the ways to change an input. Zero and the negative find what a
// missing range or sign check leaves open.
var mutations = []func(v *fr.Element, random fr.Element){
	func(v *fr.Element, _ fr.Element) { one := fr.One(); v.Add(v, &one) },
	func(v *fr.Element, random fr.Element) { v.Add(v, &random) },
	func(v *fr.Element, _ fr.Element) { v.Neg(v) },
	func(v *fr.Element, _ fr.Element) { v.SetZero() },
}

// Probe changes each input of a good body's witness and expects the circuit to
// refuse it. Binding is free in every circuit: any prover may prove. Other
// deliberate freedoms are named, in patterns of path.Match; one that the circuit
// does constrain fails the test as well. Inputs of slots that the body leaves
// unused must be free altogether.
func (c *Circuit) Probe(t *testing.T, body *wire.Body, free ...string) {
	t.Helper()
	found := c.Free(t, body)
	for _, name := range found {
		if !slices.ContainsFunc(free, func(pattern string) bool { return matches(t, pattern, name) }) {
			t.Errorf("the circuit does not notice a change of %s", name)
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

func matches(t *testing.T, pattern, name string) bool {
	t.Helper()
	ok, err := path.Match(pattern, name)
	require.NoError(t, err, pattern)
	return ok
}

// Free are the inputs of a good body's witness that can be changed without the
// circuit's notice, besides Binding and what is in unused slots.
func (c *Circuit) Free(t testing.TB, body *wire.Body) []string {
	t.Helper()
	good, err := c.Witness(body)
	require.NoError(t, err)
	require.NoError(t, c.Solve(good))
	rng := rand.New(rand.NewPCG(1, 2))
	var free []string
	for i, name := range good.Names {
		if name == "Binding" || c.unused(name, len(body.Messages)) {
			continue
		}
		if c.accepts(good, i, fr.NewElement(rng.Uint64())) {
			free = append(free, name)
		}
	}
	return free
}

// accepts says whether the circuit takes any other value of input i.
func (c *Circuit) accepts(good *sdk.Witness, i int, random fr.Element) bool {
	tried := mutations
	if c.system.GetNbConstraints() > largeCircuit {
		tried = tried[:2]
	}
	for _, mutate := range tried {
		bad := *good
		bad.Values = slices.Clone(good.Values)
		mutate(&bad.Values[i], random)
		if !bad.Values[i].Equal(&good.Values[i]) && c.Solve(&bad) == nil {
			return true
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
