package sdktest

import (
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/consensys/gnark/constraint/solver"
	"github.com/consensys/gnark/frontend"

	"github.com/gristmill-zk/gristmill/plugins/internal/resolve"
	"github.com/gristmill-zk/gristmill/plugins/sdk"
)

// A constraint system does not say where its hints were called. So the circuit
// is compiled once more with an api that notes it. gnark's builder calls some
// hints by itself, past any such api; of these nothing is known.

// whereHintsAreCalled are the lines that lead to a call, if all calls of its
// hint were noted.
func whereHintsAreCalled(p *sdk.Project, s *resolve.System) map[*resolve.Call][]string {
	notes := noteHints(p)
	counts := map[string]int{}
	for _, c := range s.Calls() {
		counts[c.Hint]++
	}
	where, next := map[*resolve.Call][]string{}, map[string]int{}
	for _, c := range s.Calls() {
		if lines := notes[c.Hint]; len(lines) == counts[c.Hint] {
			where[c] = lines[next[c.Hint]]
			next[c.Hint]++
		}
	}
	return where
}

// noteHints compiles the project and returns the lines of each hint's calls in
// order: what could be had of them if the project does not compile this way.
func noteHints(p *sdk.Project) map[string][][]string {
	notes := map[string][][]string{}
	noted := *p
	noted.New = func(batch int) sdk.Circuit { return &notedCircuit{Team: p.New(batch), notes: notes} }
	func() {
		defer func() { _ = recover() }() // of a gadget that wants gnark's own builder
		_, _, _ = sdk.Compile(&noted)
	}()
	return notes
}

// notedCircuit gives a team's circuit an api that notes.
type notedCircuit struct {
	Team  sdk.Circuit
	notes map[string][][]string
}

// Define implements sdk.Circuit.
func (c *notedCircuit) Define(api frontend.API, m *sdk.Messages) error {
	return c.Team.Define(&notingAPI{API: api, notes: c.notes}, m)
}

type notingAPI struct {
	frontend.API
	notes map[string][][]string
}

// NewHint implements frontend.API.
func (a *notingAPI) NewHint(f solver.Hint, n int, in ...frontend.Variable) ([]frontend.Variable, error) {
	return a.Compiler().NewHint(f, n, in...)
}

// Compiler implements frontend.API.
func (a *notingAPI) Compiler() frontend.Compiler {
	return &notingCompiler{Compiler: a.API.Compiler(), notes: a.notes}
}

// Commit implements frontend.Committer.
func (a *notingAPI) Commit(v ...frontend.Variable) (frontend.Variable, error) {
	committer, ok := a.API.(frontend.Committer)
	if !ok {
		return nil, errors.New("the builder does not commit")
	}
	return committer.Commit(v...)
}

type notingCompiler struct {
	frontend.Compiler
	notes map[string][][]string
}

// NewHint implements frontend.Compiler.
func (c *notingCompiler) NewHint(f solver.Hint, n int, in ...frontend.Variable) ([]frontend.Variable, error) {
	name := solver.GetHintName(f)
	c.notes[name] = append(c.notes[name], callers())
	return c.Compiler.NewHint(f, n, in...)
}

// store is how gnark's gadgets keep what they share within a circuit.
type store interface {
	SetKeyValue(key, value any)
	GetKeyValue(key any) any
}

// SetKeyValue and GetKeyValue are those of gnark's builder.
func (c *notingCompiler) SetKeyValue(key, value any) { c.Compiler.(store).SetKeyValue(key, value) }

// GetKeyValue is SetKeyValue's counterpart.
func (c *notingCompiler) GetKeyValue(key any) any { return c.Compiler.(store).GetKeyValue(key) }

// mostLines is how many lines are told of a call.
const mostLines = 3

// callers are the lines outside gnark and this package that lead here.
func callers() (lines []string) {
	var at [64]uintptr
	frames := runtime.CallersFrames(at[:runtime.Callers(2, at[:])])
	for more := true; more && len(lines) < mostLines; {
		var frame runtime.Frame
		frame, more = frames.Next()
		switch {
		case strings.Contains(frame.Function, "sdktest.(*notedCircuit).Define"):
			return lines
		case strings.HasPrefix(frame.Function, "github.com/consensys/gnark/"), strings.Contains(frame.Function, "/sdktest.(*noting"):
		default:
			lines = append(lines, fmt.Sprintf("%s:%d", filepath.Join(filepath.Base(filepath.Dir(frame.File)), filepath.Base(frame.File)), frame.Line))
		}
	}
	return lines
}
