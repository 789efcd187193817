package resolve

import (
	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/consensys/gnark/constraint"
)

// Names of the calls that have instructions of their own in place of a function.
const (
	// LookupHint looks up a table of gnark's logderivlookup.
	LookupHint = "github.com/consensys/gnark/std/lookup/logderivlookup.Lookup"
	// InverseHint inverts numbers; zero's inverse is zero.
	InverseHint = "github.com/consensys/gnark/frontend.BatchInvert"
)

// newLookup reads the instruction: its length, how many of the table's entries
// there are yet, the number of queries, and these.
func newLookup(b *constraint.BlueprintLookupHint[constraint.U64], inst constraint.Instruction) *Call {
	c := &Call{Hint: LookupHint, answer: lookUp, entries: make([]constraint.LinearExpression, inst.Calldata[1])}
	readExpressions(b.EntriesCalldata, c.entries)
	c.take(inst, inst.Calldata[2], inst.Calldata[3:])
	return c
}

// newInverse reads the instruction: its length, the number of queries, and these.
func newInverse(inst constraint.Instruction) *Call {
	c := &Call{Hint: InverseHint, answer: invert}
	c.take(inst, inst.Calldata[1], inst.Calldata[2:])
	return c
}

// take reads queries, each of which has an output.
func (c *Call) take(inst constraint.Instruction, n uint32, data []uint32) {
	c.inputs = make([]constraint.LinearExpression, n)
	readExpressions(data, c.inputs)
	for i := range c.inputs {
		c.Outputs = append(c.Outputs, int(inst.WireOffset)+i)
	}
}

// readExpressions reads as many expressions as there is room for, each after its
// length.
func readExpressions(data []uint32, into []constraint.LinearExpression) {
	for i := range into {
		terms := make(constraint.LinearExpression, data[0])
		for k := range terms {
			terms[k] = constraint.Term{CID: data[1+2*k], VID: data[2+2*k]}
		}
		into[i], data = terms, data[1+2*len(terms):]
	}
}

func lookUp(s *System, c *Call) ([]fr.Element, bool) {
	out := make([]fr.Element, len(c.inputs))
	for i := range out {
		at, _ := s.eval(c.inputs[i], none)
		if !at.IsUint64() || at.Uint64() >= uint64(len(c.entries)) {
			return nil, false
		}
		out[i], _ = s.eval(c.entries[at.Uint64()], none)
	}
	return out, true
}

func invert(s *System, c *Call) ([]fr.Element, bool) {
	in := make([]fr.Element, len(c.inputs))
	for i := range in {
		in[i], _ = s.eval(c.inputs[i], none)
	}
	return fr.BatchInvert(in), true
}
