package sdktest

import (
	"fmt"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/consensys/gnark/constraint/solver"
	fcs "github.com/consensys/gnark/frontend/cs"
	"github.com/stretchr/testify/require"

	"github.com/gristmill-zk/gristmill/internal/bsb22"
	"github.com/gristmill-zk/gristmill/plugins/internal/resolve"
	"github.com/gristmill-zk/gristmill/plugins/sdk"
	"github.com/gristmill-zk/gristmill/wire"
)

// Forgery is an output of a hint that a prover can replace without the circuit's
// notice.
type Forgery struct {
	Hint   string   // the hint function
	Output int      // which of a call's outputs
	Where  []string // the circuit's lines that lead to the call, the innermost first; empty if not known

	Answer, Forged fr.Element // of the first such call
	Calls          int        // how many calls of this hint, from these lines, have it

	// Outputs are the outputs that become others with it, as "sum 9 instead of 3".
	// None: what a proof says stays as it was.
	Outputs []string
}

// Name is what Probe's patterns are compared with: hint:PACKAGE.FUNCTION:OUTPUT.
func (f Forgery) Name() string { return fmt.Sprintf("hint:%s:%d", path.Base(f.Hint), f.Output) }

// String says it in words.
func (f Forgery) String() string {
	where := "at a place that is not known"
	if len(f.Where) != 0 {
		where = "called at " + strings.Join(f.Where, ", from ")
	}
	effect := "no output changes"
	if len(f.Outputs) != 0 {
		effect = "the outputs change: " + strings.Join(f.Outputs, ", ")
	}
	return fmt.Sprintf("output %d of the hint %s (%s) may be %s instead of %s (calls like this: %d), and %s",
		f.Output, f.Hint, where, f.Forged.String(), f.Answer.String(), f.Calls, effect)
}

// gnarks are hints of gnark's own gadgets.
func (f Forgery) gnarks() bool { return strings.HasPrefix(f.Hint, "github.com/consensys/gnark/") }

// mostWork is how much a search for forgeries does, in constraints looked at:
// seconds. Circuits with few commitments to check at the end stay far below.
const mostWork = 10_000_000

// Forgeries replaces the hints' outputs in the solution of a good body, one at a
// time, and returns those that the circuit accepts. What other hints answer, the
// outputs, and the call's own other outputs follow the forged one as far as they
// can. In a circuit that is too large for all of them, each hint function has a
// part of them forged, chosen at random but the same ones each time.
func (c *Circuit) Forgeries(t testing.TB, body *wire.Body) []Forgery {
	t.Helper()
	w, err := c.Witness(body)
	require.NoError(t, err)
	s, err := c.resolver(w)
	require.NoError(t, err)
	f := &forger{
		circuit: c, witness: w, system: s, rng: rand.New(rand.NewPCG(1, 2)), team: teamWires(w),
		where: whereHintsAreCalled(c.Project, s), found: map[string]*Forgery{},
	}
	done, all := f.forgeAll(byHint(s.Calls()))
	if done < all {
		t.Logf("%d of the %d answers of hints were forged: the circuit is too large for all", done, all)
	}
	return f.sorted()
}

// resolver solves a witness and returns the system around the solution.
func (c *Circuit) resolver(w *sdk.Witness) (*resolve.System, error) {
	wires, err := c.solution(w)
	if err != nil {
		return nil, err
	}
	return resolve.New(c.system, wires, bsb22.Hint(c.commitment, commit))
}

// teamWires are the wires of the team's inputs, the outputs first. Those of a
// witness stand after the constant one in its order.
func teamWires(w *sdk.Witness) (wires []int) {
	for i, name := range w.Names {
		if strings.HasPrefix(name, teamPrefix) {
			wires = append(wires, 1+i)
		}
	}
	return wires
}

const teamPrefix = "Team_"

// byHint groups calls by their hint, in the order of the first calls. Those of
// gnark commitments are left out: one answer hides what is committed to and is
// meant to be random, the other is the verifier's to check.
func byHint(calls []*resolve.Call) (groups [][]*resolve.Call) {
	committing := solver.GetHintName(fcs.Bsb22CommitmentComputePlaceholder)
	at := map[string]int{}
	for _, call := range calls {
		if call.Hint == committing || strings.HasSuffix(call.Hint, "/internal/hints.Randomize") {
			continue
		}
		i, ok := at[call.Hint]
		if !ok {
			i = len(groups)
			at[call.Hint] = i
			groups = append(groups, nil)
		}
		groups[i] = append(groups[i], call)
	}
	return groups
}

// forger looks for forgeries of one solution.
type forger struct {
	circuit *Circuit
	witness *sdk.Witness
	system  *resolve.System
	rng     *rand.Rand
	team    []int
	where   map[*resolve.Call][]string
	found   map[string]*Forgery
}

// answer is one output of a call.
type answer struct {
	call, output int
}

// forgeAll takes an answer of each hint in turn until there is none left, or
// enough was done.
func (f *forger) forgeAll(hints [][]*resolve.Call) (done, all int) {
	answers := make([][]answer, len(hints))
	for i, calls := range hints {
		for k, c := range calls {
			for output := range c.Outputs {
				answers[i] = append(answers[i], answer{k, output})
			}
		}
		f.rng.Shuffle(len(answers[i]), func(a, b int) { answers[i][a], answers[i][b] = answers[i][b], answers[i][a] })
		all += len(answers[i])
	}
	for done < all && f.system.Work() < mostWork {
		for i, left := range answers {
			if len(left) != 0 {
				f.forge(hints[i], left[0])
				answers[i] = left[1:]
				done++
			}
		}
	}
	return done, all
}

// forge tries other values of one answer: those of mutations, and what the same
// hint answered in another call.
func (f *forger) forge(calls []*resolve.Call, a answer) {
	c, output := calls[a.call], a.output
	other := calls[(a.call+1)%len(calls)]
	good := f.system.Value(c.Outputs[output])
	var values []fr.Element
	for _, mutate := range f.circuit.mutations() {
		v := good
		mutate(&v, fr.NewElement(f.rng.Uint64()))
		values = append(values, v)
	}
	if output < len(other.Outputs) {
		values = append(values, f.system.Value(other.Outputs[output]))
	}
	siblings := slices.Delete(slices.Clone(c.Outputs), output, output+1)
	var found *Forgery
	for _, v := range values {
		if v == good {
			continue
		}
		// Two ways to make up for it: by the outputs alone, or first by what else
		// the same call answered.
		for _, follow := range [][]int{f.team, append(siblings, f.team...)} {
			result := f.system.Try(resolve.Trial{
				Set: []resolve.Change{{Wire: c.Outputs[output], Value: v}}, Call: c, Follow: follow,
			})
			if !result.Accepted {
				continue
			}
			changed := f.changed(result.Moved)
			if found == nil || (len(found.Outputs) == 0 && len(changed) != 0) {
				found = &Forgery{Hint: c.Hint, Output: output, Where: f.where[c], Calls: 1, Answer: good, Forged: v, Outputs: changed}
			}
		}
	}
	if found != nil {
		f.add(found)
	}
}

// add keeps what was found: the first of its kind and place, but rather one that
// changes an output.
func (f *forger) add(found *Forgery) {
	key := fmt.Sprint(found.Name(), found.Where)
	old, ok := f.found[key]
	switch {
	case !ok:
		f.found[key] = found
	case len(old.Outputs) == 0 && len(found.Outputs) != 0:
		found.Calls += old.Calls
		f.found[key] = found
	default:
		old.Calls++
	}
}

// changed says what became of the outputs.
func (f *forger) changed(moved []resolve.Change) (said []string) {
	for _, m := range moved {
		if i := m.Wire - 1; i < f.witness.Public {
			good := f.system.Value(m.Wire)
			said = append(said, fmt.Sprintf("%s %s instead of %s",
				strings.TrimPrefix(f.witness.Names[i], teamPrefix), m.Value.String(), good.String()))
		}
	}
	return said
}

func (f *forger) sorted() []Forgery {
	var all []Forgery
	for _, found := range f.found {
		all = append(all, *found)
	}
	slices.SortFunc(all, func(a, b Forgery) int {
		return strings.Compare(fmt.Sprint(a.Name(), a.Where), fmt.Sprint(b.Name(), b.Where))
	})
	return all
}
