package conformance

import (
	"errors"
	"fmt"
	"math/big"

	"github.com/consensys/gnark-crypto/ecc/bn254"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"golang.org/x/crypto/sha3"

	"github.com/gristmill-zk/gristmill/internal/bsb22"
	"github.com/gristmill-zk/gristmill/plugins/internal/solution"
	"github.com/gristmill-zk/gristmill/plugins/proto"
)

// commitment is the gnark commitment of one call: what the plugin asks for, what
// it is answered, and whether its solution goes by both.
type commitment struct {
	of     *bsb22.Commitment // nil if the circuit uses none
	values fr.Vector         // that the plugin commits to; nil before it asked
	point  bn254.G1Affine
}

// answer looks at what the plugin asks for and returns the host's part. The true
// commitment takes the proving key, which no plugin has, so none can tell it from
// another point: a random one, new for each call, shows who does not listen.
func (c *commitment) answer(ask *proto.Commit, shared []byte) (*proto.SolveRequest, error) {
	switch {
	case c.of == nil:
		return nil, errors.New("the plugin asks for a commitment, and the circuit uses none")
	case c.values != nil:
		return nil, errors.New("the plugin asks for a commitment a second time")
	case ask.GetValues() != uint32(len(c.of.Wires)):
		return nil, fmt.Errorf("the plugin commits to %d values, the circuit to %d", ask.GetValues(), len(c.of.Wires))
	}
	values, err := solution.TakeCommitted(shared, len(c.of.Wires))
	if err != nil {
		return nil, err
	}
	c.values = values
	if c.point, err = randomPoint(); err != nil {
		return nil, err
	}
	x, y := c.point.X.Bytes(), c.point.Y.Bytes()
	return &proto.SolveRequest{Event: &proto.SolveRequest_Committed{
		Committed: &proto.Committed{Point: append(x[:], y[:]...)},
	}}, nil
}

// randomPoint is any of the group's but the one at infinity.
func randomPoint() (point bn254.G1Affine, err error) {
	var scalar fr.Element
	for scalar.IsZero() {
		if _, err := scalar.SetRandom(); err != nil {
			return point, fmt.Errorf("random point: %w", err)
		}
	}
	return *point.ScalarMultiplicationBase(scalar.BigInt(new(big.Int))), nil
}

// check compares a solution's wires with what was committed to and answered.
func (c *commitment) check(wires fr.Vector) error {
	if c.of == nil {
		return nil
	}
	if c.values == nil {
		return errors.New("the circuit uses a commitment, and the plugin did not ask for it")
	}
	for i, wire := range c.of.Wires {
		if !wires[wire].Equal(&c.values[i]) {
			return fmt.Errorf("wire %d is not the value that the plugin committed to", wire)
		}
	}
	if want := c.challenge(wires); !wires[c.of.Challenge].Equal(&want) {
		return fmt.Errorf("wire %d is not the challenge that follows from the host's point", c.of.Challenge)
	}
	return nil
}

// challenge is worked out here and not by what the SDK uses: it is judged.
func (c *commitment) challenge(wires fr.Vector) (challenge fr.Element) {
	h := sha3.NewLegacyKeccak256()
	x, y := c.point.X.Bytes(), c.point.Y.Bytes()
	h.Write(x[:])
	h.Write(y[:])
	for _, wire := range c.of.Public {
		word := wires[wire].Bytes()
		h.Write(word[:])
	}
	challenge.SetBytes(h.Sum(nil)) // reduces
	return challenge
}
