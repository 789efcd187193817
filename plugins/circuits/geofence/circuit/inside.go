package circuit

import (
	"math/big"

	"github.com/consensys/gnark/frontend"

	"github.com/gristmill-zk/gristmill/plugins/sdk"
)

// coordinateBits holds every difference of two 32-bit numbers.
const coordinateBits = 32

// contains is Fence.Contains in the circuit, for any 32-bit coordinates. The
// fence is constant, so a vertex's latitude costs one comparison and an edge
// another; nothing else does but a product for each edge.
func (f *Fence) contains(api frontend.API, lat, lon frontend.Variable) frontend.Variable {
	reached := map[int32]frontend.Variable{} // 1 if the position is not south of a latitude
	notSouth := func(latitude int32) frontend.Variable {
		if _, ok := reached[latitude]; !ok {
			reached[latitude] = sdk.IsAtLeast(api, lat, latitude, coordinateBits)
		}
		return reached[latitude]
	}
	winding := frontend.Variable(0)
	for _, e := range f.edges() {
		// Whoever reached the upper end reached the lower one.
		between := api.Sub(notSouth(e.low.Lat), notSouth(e.high.Lat))
		left := api.Mul(between, e.leftOf(api, lat, lon))
		if e.up {
			winding = api.Add(winding, left)
		} else {
			winding = api.Sub(winding, left)
		}
	}
	// It is 0 or 1 already, because the polygon is simple.
	api.AssertIsBoolean(winding)
	return winding
}

// leftOf is 1 if the position lies left of the line through the edge, upwards.
func (e *edge) leftOf(api frontend.API, lat, lon frontend.Variable) frontend.Variable {
	dx, dy := int64(e.high.Lon)-int64(e.low.Lon), int64(e.high.Lat)-int64(e.low.Lat)
	product := api.Sub(
		api.Mul(dx, api.Sub(lat, e.low.Lat)),
		api.Mul(dy, api.Sub(lon, e.low.Lon)),
	)
	return sdk.IsAtLeast(api, product, 1, crossBits(dx, dy))
}

// crossBits is how many bits the cross product of an edge with a position may
// have, less one: coordinates differ by less than 2^32.
func crossBits(dx, dy int64) int {
	sum := new(big.Int).Add(new(big.Int).Abs(big.NewInt(dx)), new(big.Int).Abs(big.NewInt(dy)))
	return sum.BitLen() + coordinateBits
}
