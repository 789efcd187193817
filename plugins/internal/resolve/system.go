// Package resolve solves a constraint system again after a few wires of a good
// solution were changed, and says whether what follows from the change still
// satisfies it.
//
// gnark's solver always begins from nothing. Here only what depends on a changed
// wire is worked out again, in the solver's order, until a constraint breaks or
// nothing is left: a probe that changes each of a circuit's wires in turn needs
// no more than that. A hint that has no answer to what it is asked keeps the
// answer it gave before, as a prover with something to hide would.
package resolve

import (
	"fmt"
	"math/big"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/consensys/gnark/constraint"
	cs "github.com/consensys/gnark/constraint/bn254"
	"github.com/consensys/gnark/constraint/solver"
)

// none stands for no wire.
const none = -1

// System is a constraint system with a good solution. It is not safe for
// concurrent use.
type System struct {
	system *cs.R1CS
	hints  map[solver.HintID]solver.Hint
	values fr.Vector

	steps []step  // in an order in which each finds solved what it reads
	calls []*Call // in the order in which the circuit makes them
	// The steps that read wire w are readers[from[w]:from[w+1]].
	from    []int
	readers []int32

	queue  queue
	undone []Change
	work   int
}

// step is either a constraint or a call.
type step struct {
	row    constraint.R1C
	number int   // of the constraint
	solves int32 // the wire that the constraint gives its value, or none
	call   *Call // nil for a constraint
}

// Call is one use of a hint. Its outputs are whatever the prover says.
type Call struct {
	Hint    string // the hint function's name
	id      solver.HintID
	Outputs []int // wires
	inputs  []constraint.LinearExpression
	entries []constraint.LinearExpression // of the table, for a lookup

	// answer is what gives the outputs if it is not the hint function.
	answer func(*System, *Call) ([]fr.Element, bool)
}

// Change is a wire's other value.
type Change struct {
	Wire  int
	Value fr.Element
}

// New takes a system, all wires of a solution, and the hints it was made with.
func New(system *cs.R1CS, wires fr.Vector, opts ...solver.Option) (*System, error) {
	config, err := solver.NewConfig(opts...)
	if err != nil {
		return nil, fmt.Errorf("resolve: %w", err)
	}
	s := &System{system: system, hints: config.HintFunctions, values: append(fr.Vector(nil), wires...)}
	known := make([]bool, len(wires))
	for w := range system.GetNbPublicVariables() + system.GetNbSecretVariables() {
		known[w] = true
	}
	at := make([]*Call, len(system.Instructions))
	for _, level := range system.Levels {
		for _, i := range level {
			st, err := s.step(system.Instructions[i], known)
			if err != nil {
				return nil, err
			}
			s.steps = append(s.steps, st)
			at[i] = st.call
		}
	}
	for _, call := range at {
		if call != nil {
			s.calls = append(s.calls, call)
		}
	}
	s.index()
	s.queue.queued = make([]bool, len(s.steps))
	return s, nil
}

// step reads one instruction and notes which wires are known after it.
func (s *System) step(packed constraint.PackedInstruction, known []bool) (step, error) {
	inst := packed.Unpack(&s.system.System)
	st := step{solves: none, number: int(packed.ConstraintOffset)}
	switch b := s.system.Blueprints[packed.BlueprintID].(type) {
	case constraint.BlueprintR1C:
		b.DecompressR1C(&st.row, inst)
		st.solves = unknown(&st.row, known)
		if st.solves != none {
			known[st.solves] = true
		}
		return st, nil
	case constraint.BlueprintHint:
		var h constraint.HintMapping
		b.DecompressHint(&h, inst)
		st.call = &Call{Hint: s.system.MHintsDependencies[h.HintID], id: h.HintID, inputs: h.Inputs}
		for w := h.OutputRange.Start; w < h.OutputRange.End; w++ {
			st.call.Outputs = append(st.call.Outputs, int(w))
		}
	case *constraint.BlueprintLookupHint[constraint.U64]:
		st.call = newLookup(b, inst)
	case *constraint.BlueprintBatchInverse[constraint.U64]:
		st.call = newInverse(inst)
	default:
		return st, fmt.Errorf("resolve: the circuit has instructions of the kind %T", b)
	}
	for _, w := range st.call.Outputs {
		known[w] = true
	}
	return st, nil
}

// sides are a constraint's L, R and O.
func sides(row *constraint.R1C) [3]constraint.LinearExpression {
	return [3]constraint.LinearExpression{row.L, row.R, row.O}
}

// unknown is the one wire of a constraint that is not known before it.
func unknown(row *constraint.R1C, known []bool) int32 {
	for _, side := range sides(row) {
		for _, t := range side {
			if !t.IsConstant() && !known[t.VID] {
				return int32(t.VID)
			}
		}
	}
	return none
}

// reads visits each wire that a step reads, some more than once.
func (st *step) reads(visit func(wire uint32)) {
	expression := func(l constraint.LinearExpression) {
		for _, t := range l {
			if !t.IsConstant() && int32(t.VID) != st.solves {
				visit(t.VID)
			}
		}
	}
	if st.call == nil {
		for _, side := range sides(&st.row) {
			expression(side)
		}
		return
	}
	for _, in := range st.call.inputs {
		expression(in)
	}
	for _, entry := range st.call.entries {
		expression(entry)
	}
}

// index finds the readers of each wire.
func (s *System) index() {
	s.from = make([]int, len(s.values)+1)
	for i := range s.steps {
		s.steps[i].reads(func(w uint32) { s.from[w+1]++ })
	}
	for w := range s.values {
		s.from[w+1] += s.from[w]
	}
	s.readers = make([]int32, s.from[len(s.values)])
	next := append([]int(nil), s.from...)
	for i := range s.steps {
		s.steps[i].reads(func(w uint32) {
			s.readers[next[w]] = int32(i)
			next[w]++
		})
	}
}

// Calls are the circuit's uses of hints.
func (s *System) Calls() []*Call { return s.calls }

// Value is a wire's in the good solution.
func (s *System) Value(wire int) fr.Element { return s.values[wire] }

// Readers are the numbers of the constraints that a wire stands in, but the one
// that gives it its value.
func (s *System) Readers(wire int) (constraints []int) {
	for _, i := range s.readers[s.from[wire]:s.from[wire+1]] {
		if s.steps[i].call == nil {
			constraints = append(constraints, s.steps[i].number)
		}
	}
	return constraints
}

// eval is the value of a linear expression without the term of one wire, and
// that term's coefficient.
func (s *System) eval(l constraint.LinearExpression, without int) (sum, coefficient fr.Element) {
	var term fr.Element
	for _, t := range l {
		c := &s.system.Coefficients[t.CID]
		switch {
		case t.IsConstant():
			sum.Add(&sum, c)
		case int(t.VID) == without:
			coefficient.Add(&coefficient, c)
		case t.CID == constraint.CoeffIdOne:
			sum.Add(&sum, &s.values[t.VID])
		case t.CID == constraint.CoeffIdMinusOne:
			sum.Sub(&sum, &s.values[t.VID])
		default:
			sum.Add(&sum, term.Mul(c, &s.values[t.VID]))
		}
	}
	return sum, coefficient
}

// answer runs a hint on the wires as they are. ok is false if it has no answer.
func (s *System) answer(c *Call) (out []fr.Element, ok bool) {
	defer func() {
		if recover() != nil {
			out, ok = nil, false
		}
	}()
	if c.answer != nil {
		return c.answer(s, c)
	}
	in, answers := make([]*big.Int, len(c.inputs)), make([]*big.Int, len(c.Outputs))
	for i := range in {
		v, _ := s.eval(c.inputs[i], none)
		in[i] = v.BigInt(new(big.Int))
	}
	for i := range answers {
		answers[i] = new(big.Int)
	}
	if err := s.hints[c.id](s.system.Field(), in, answers); err != nil {
		return nil, false
	}
	out = make([]fr.Element, len(answers))
	for i := range out {
		out[i].SetBigInt(answers[i])
	}
	return out, true
}
