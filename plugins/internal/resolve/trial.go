package resolve

import (
	"container/heap"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/consensys/gnark/constraint"
)

// Trial is what a prover tries.
type Trial struct {
	// Set are wires of inputs or of hints' outputs with other values.
	Set []Change
	// Call is the one whose outputs are set; it is not asked again. May be nil.
	Call *Call
	// Keep names a hint whose answers stay as they are in all of its calls.
	// Empty: each answers to what it is asked.
	Keep string
	// Follow are wires, the best first, that may each be moved once where a
	// constraint would break, if it is linear in them.
	Follow []int
}

// Outcome is what became of a trial.
type Outcome struct {
	// Accepted says that the system is satisfied.
	Accepted bool
	// Broken is the constraint that can not be satisfied, if one can not.
	Broken int
	// Moved are those of Follow that had to move.
	Moved []Change
}

// Try makes a trial. The good solution stays as it is.
func (s *System) Try(t Trial) Outcome {
	defer s.restore()
	for _, c := range t.Set {
		s.set(c.Wire, c.Value)
	}
	follow := append([]int(nil), t.Follow...)
	var moved []Change
	for s.queue.Len() > 0 {
		st := &s.steps[s.queue.next()]
		s.work++
		if st.call != nil {
			s.work += len(st.call.inputs)
			s.ask(st.call, &t)
			continue
		}
		wire := int(st.solves)
		if wire == none {
			if s.holds(&st.row) {
				continue
			}
			wire, follow = s.choose(&st.row, follow)
		}
		value, ok := s.solve(&st.row, wire)
		if !ok {
			return Outcome{Broken: st.number}
		}
		if st.solves == none {
			moved = append(moved, Change{wire, value})
		}
		s.set(wire, value)
	}
	return Outcome{Accepted: true, Moved: moved}
}

// Work is how many constraints, and inputs of hints, all trials looked at.
func (s *System) Work() int { return s.work }

// set gives a wire a value and has its readers look at it.
func (s *System) set(wire int, v fr.Element) {
	if s.values[wire] == v {
		return
	}
	s.undone = append(s.undone, Change{wire, s.values[wire]})
	s.values[wire] = v
	for _, i := range s.readers[s.from[wire]:s.from[wire+1]] {
		s.queue.add(i)
	}
}

// restore takes all changes back.
func (s *System) restore() {
	for i := len(s.undone) - 1; i >= 0; i-- {
		s.values[s.undone[i].Wire] = s.undone[i].Value
	}
	s.undone = s.undone[:0]
	s.queue.clear()
}

func (s *System) ask(c *Call, t *Trial) {
	if c == t.Call || (t.Keep != "" && c.Hint == t.Keep) {
		return
	}
	if out, ok := s.answer(c); ok {
		for i, wire := range c.Outputs {
			s.set(wire, out[i])
		}
	}
}

func (s *System) holds(row *constraint.R1C) bool {
	a, _ := s.eval(row.L, none)
	b, _ := s.eval(row.R, none)
	c, _ := s.eval(row.O, none)
	return a.Mul(&a, &b).Equal(&c)
}

// choose takes the first wire of the list that a broken constraint is linear in
// and returns the list without it; none if there is no such wire.
func (s *System) choose(row *constraint.R1C, follow []int) (wire int, rest []int) {
	for i, wire := range follow {
		if _, ok := s.solve(row, wire); ok {
			rest = append(append(rest, follow[:i]...), follow[i+1:]...)
			return wire, rest
		}
	}
	return none, follow
}

// solve is the value of one wire that satisfies a constraint. A wire that may
// have any value stays as it is.
func (s *System) solve(row *constraint.R1C, wire int) (value fr.Element, ok bool) {
	if wire == none {
		return value, false
	}
	// (a + x·w)·(b + y·w) = c + z·w, and two of x, y, z are zero.
	a, x := s.eval(row.L, wire)
	b, y := s.eval(row.R, wire)
	c, z := s.eval(row.O, wire)
	var rest, factor fr.Element
	rest.Mul(&a, &b)
	rest.Sub(&c, &rest)
	switch {
	case y.IsZero() && z.IsZero():
		factor.Mul(&x, &b)
	case x.IsZero() && z.IsZero():
		factor.Mul(&y, &a)
	case x.IsZero() && y.IsZero():
		factor.Neg(&z)
	default:
		return value, false
	}
	switch {
	case factor.IsZero():
		return s.values[wire], rest.IsZero()
	case factor.IsOne(): // spares an inversion
		return rest, true
	}
	if negative := *new(fr.Element).Neg(&factor); negative.IsOne() {
		return *value.Neg(&rest), true
	}
	return *value.Div(&rest, &factor), true
}

// queue holds the steps to look at again, the earliest first, each once.
type queue struct {
	heap   ranks
	queued []bool
}

func (q *queue) Len() int { return len(q.heap) }

func (q *queue) add(i int32) {
	if !q.queued[i] {
		q.queued[i] = true
		heap.Push(&q.heap, i)
	}
}

func (q *queue) next() int32 {
	i := heap.Pop(&q.heap).(int32)
	q.queued[i] = false
	return i
}

func (q *queue) clear() {
	for _, i := range q.heap {
		q.queued[i] = false
	}
	q.heap = q.heap[:0]
}

// ranks implements heap.Interface.
type ranks []int32

func (r ranks) Len() int           { return len(r) }
func (r ranks) Less(i, k int) bool { return r[i] < r[k] }
func (r ranks) Swap(i, k int)      { r[i], r[k] = r[k], r[i] }
func (r *ranks) Push(v any)        { *r = append(*r, v.(int32)) }
func (r *ranks) Pop() any {
	last := (*r)[len(*r)-1]
	*r = (*r)[:len(*r)-1]
	return last
}
