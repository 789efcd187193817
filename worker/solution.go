package worker

import (
	"github.com/gristmill-zk/gristmill/gpu"
	"github.com/gristmill-zk/gristmill/plugins/host"
	"github.com/gristmill-zk/gristmill/wire"
)

// EngineSolution is a plugin's solution as engines take it; it shares the memory.
func EngineSolution(s *host.Solution) gpu.Solution {
	out := gpu.Solution{W: s.W, A: s.A, B: s.B, C: s.C, NbPublic: s.Public}
	if c := s.Commitment; c != nil {
		out.Commitments = []gpu.Commitment{{Wires: c.Wires, Challenge: c.Challenge, Point: c.Point}}
	}
	return out
}

// WireProof is an engine's proof, of a circuit with one commitment at most, in
// the words of the chain.
func WireProof(p *gpu.Proof) wire.Proof {
	points := wire.ProofPoints{A: p.Ar, B: p.Bs, C: p.Krs}
	if len(p.Commitments) > 0 {
		points.Commitment, points.Knowledge = p.Commitments[0], p.Knowledge
	}
	return wire.NewProof(points)
}
