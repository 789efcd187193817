package sdk

import (
	"fmt"

	"github.com/consensys/gnark/frontend"
	"github.com/consensys/gnark/std/permutation/poseidon2"
)

// hasher is wire.P2 in a circuit. Unlike gnark's hasher it keeps no hidden
// state, so a common prefix is paid for once.
type hasher struct {
	api frontend.API
	p   *poseidon2.Permutation
}

// hashState is a hash under way.
type hashState struct{ v frontend.Variable }

func newHasher(api frontend.API) (*hasher, error) {
	p, err := poseidon2.NewPoseidon2(api)
	if err != nil {
		return nil, fmt.Errorf("poseidon2: %w", err)
	}
	return &hasher{api: api, p: p}, nil
}

func (h *hasher) start(elements ...frontend.Variable) hashState {
	state := hashState{0}
	for _, e := range elements {
		state.v = h.p.Compress(state.v, e)
	}
	return state
}

func (h *hasher) resume(s hashState, elements ...frontend.Variable) frontend.Variable {
	for _, e := range elements {
		s.v = h.p.Compress(s.v, e)
	}
	return s.v
}

func (h *hasher) sum(elements ...frontend.Variable) frontend.Variable {
	return h.start(elements...).v
}
