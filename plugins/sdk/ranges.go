package sdk

import (
	"math/bits"

	"github.com/consensys/gnark/frontend"
)

// assertAtMost says that v is 0 to limit.
func assertAtMost(api frontend.API, v frontend.Variable, limit int) {
	assertBelow(api, v, uint64(limit))
}

// assertBelow says that v is 0 to limit: both v and limit−v have as many bits
// as limit. The field is far larger, so neither can wrap around.
func assertBelow(api frontend.API, v frontend.Variable, limit uint64) {
	n := max(bits.Len64(limit), 1)
	api.ToBinary(v, n)
	api.ToBinary(api.Sub(limit, v), n)
}
