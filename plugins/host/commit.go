package host

import (
	"context"
	"errors"
	"fmt"

	"github.com/consensys/gnark-crypto/ecc/bn254"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"google.golang.org/grpc"

	"github.com/gristmill-zk/gristmill/internal/bsb22"
	"github.com/gristmill-zk/gristmill/plugins/internal/solution"
	"github.com/gristmill-zk/gristmill/plugins/proto"
)

// committing is the commitment of one solve. The plugin says which values it
// commits to before it knows the challenge; in the end they must be the ones
// on the solution's wires, with the challenge that followed from them.
type committing struct {
	of     *bsb22.Commitment // nil if the circuit uses none
	shared *solution.Memory
	commit func(context.Context, fr.Vector) (bn254.G1Affine, error)

	values fr.Vector // the host's copy; nil before the plugin asked
	point  bn254.G1Affine
}

// answer makes the commitment that the plugin asks for.
func (c *committing) answer(ctx context.Context, ask *proto.Commit, stream grpc.BidiStreamingClient[proto.SolveRequest, proto.SolveResponse]) error {
	switch {
	case c.of == nil:
		return &coded{CodeBadSolution, errors.New("the plugin asks for a commitment, and the circuit uses none")}
	case c.values != nil:
		return &coded{CodeBadSolution, errors.New("the plugin asks for a commitment a second time")}
	case ask.GetValues() != uint32(len(c.of.Wires)):
		return &coded{CodeBadSolution, fmt.Errorf("the plugin commits to %d values, the circuit to %d", ask.GetValues(), len(c.of.Wires))}
	case c.commit == nil:
		return &coded{CodeCommit, errors.New("nothing was given to make the circuit's commitment with")}
	}
	values, err := solution.TakeCommitted(c.shared.Bytes, len(c.of.Wires))
	if err != nil {
		return &coded{CodeBadSolution, err}
	}
	c.values = values
	if c.point, err = c.commit(ctx, values); err != nil {
		return &coded{CodeCommit, err}
	}
	if c.point.IsInfinity() {
		return &coded{CodeBadSolution, errors.New("the plugin commits to nothing: its commitment is the point at infinity")}
	}
	// What can not be sent has its reason in what is received.
	_ = stream.Send(&proto.SolveRequest{Event: &proto.SolveRequest_Committed{
		Committed: &proto.Committed{Point: c.point.Marshal()},
	}})
	_ = stream.CloseSend()
	return nil
}

// check says whether a solution's wires are those that were committed to.
func (c *committing) check(wires fr.Vector) error {
	if c.of == nil {
		return nil
	}
	if c.values == nil {
		return errors.New("the circuit uses a commitment, and the plugin did not ask for it")
	}
	for i, wire := range c.of.Wires {
		if !wires[wire].Equal(&c.values[i]) {
			return fmt.Errorf("wire %d is not what the plugin committed to", wire)
		}
	}
	if !c.of.Holds(wires, &c.point) {
		return errors.New("the challenge does not follow from the commitment")
	}
	return nil
}

func (c *committing) result() *Commitment {
	if c.of == nil {
		return nil
	}
	return &Commitment{Wires: c.of.Wires, Challenge: c.of.Challenge, Point: c.point}
}

// clear overwrites the values, which are as secret as the witness.
func (c *committing) clear() { clear(c.values) }
