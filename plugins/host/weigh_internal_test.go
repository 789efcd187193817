package host

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/stretchr/testify/require"
)

func TestWeighedIsADotProduct(t *testing.T) {
	t.Parallel()
	largest := fr.NewElement(0)
	one := fr.One()
	largest.Sub(&largest, &one)
	limbs := fr.Element{0xf0000000, 0, 0, 0} // as they lie, few
	v := make(fr.Vector, 5000)
	v.MustSetRandom()
	weights, elements := make([]uint64, len(v)), make(fr.Vector, len(v))
	for i := range v {
		weights[i] = rand.Uint64()
		switch i % 10 {
		case 0:
			weights[i], v[i] = math.MaxUint64, largest
		case 1:
			weights[i], v[i] = 0, largest
		case 2:
			weights[i], v[i] = math.MaxUint64, limbs
		}
		elements[i].SetUint64(weights[i])
	}
	for _, n := range []int{0, 1, 10, len(v)} {
		part := v[:n]
		want := part.InnerProduct(elements[:n])
		var first, rest weighed
		first.add(v[:n/3], weights)
		rest.add(v[n/3:n], weights[n/3:])
		first.join(&rest)
		require.Equal(t, want, first.element(), "%d elements", n)
	}
}
