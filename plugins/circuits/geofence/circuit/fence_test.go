package circuit

import (
	"fmt"
	"math/big"
	"testing"

	"github.com/consensys/gnark-crypto/ecc"
	"github.com/consensys/gnark/frontend"
	"github.com/consensys/gnark/frontend/cs/r1cs"
	"github.com/stretchr/testify/require"
)

// comb is a fence that is not convex: two teeth upwards, a gap between them.
var comb = []Position{
	{Lat: 0, Lon: 0}, {Lat: 0, Lon: 50}, {Lat: 40, Lon: 50}, {Lat: 40, Lon: 30},
	{Lat: 10, Lon: 25}, {Lat: 40, Lon: 20}, {Lat: 40, Lon: 0},
}

func fence(t testing.TB, vertices []Position) *Fence {
	t.Helper()
	f, err := NewFence(vertices)
	require.NoError(t, err)
	return f
}

// parity is another way to tell: whether a ray to the east from a point a hair
// north-east crosses an odd number of edges, with fractions instead of cross
// products.
func parity(vertices []Position, p Position) bool {
	odd := false
	for i, a := range vertices {
		b := vertices[(i+1)%len(vertices)]
		if (a.Lat <= p.Lat) == (b.Lat <= p.Lat) {
			continue
		}
		// Where the edge crosses the position's latitude.
		at := big.NewRat(int64(p.Lat)-int64(a.Lat), int64(b.Lat)-int64(a.Lat))
		at.Mul(at, big.NewRat(int64(b.Lon)-int64(a.Lon), 1)).Add(at, big.NewRat(int64(a.Lon), 1))
		if at.Cmp(big.NewRat(int64(p.Lon), 1)) > 0 {
			odd = !odd
		}
	}
	return odd
}

// insideCircuit is the circuit's test alone, for a position.
type insideCircuit struct {
	Lat, Lon, Inside frontend.Variable
	fence            *Fence
}

func (c *insideCircuit) Define(api frontend.API) error {
	api.AssertIsEqual(c.Inside, c.fence.contains(api, c.Lat, c.Lon))
	return nil
}

// decide compiles the test for a fence and returns what the circuit says.
func decide(t testing.TB, f *Fence) func(t testing.TB, p Position) bool {
	t.Helper()
	ccs, err := frontend.Compile(ecc.BN254.ScalarField(), r1cs.NewBuilder, &insideCircuit{fence: f})
	require.NoError(t, err)
	solves := func(t testing.TB, p Position, inside int) bool {
		w, err := frontend.NewWitness(&insideCircuit{Lat: p.Lat, Lon: p.Lon, Inside: inside}, ecc.BN254.ScalarField())
		require.NoError(t, err)
		_, err = ccs.Solve(w)
		return err == nil
	}
	return func(t testing.TB, p Position) bool {
		t.Helper()
		inside := solves(t, p, 1)
		require.NotEqual(t, inside, solves(t, p, 0), "%v must be inside or outside", p)
		return inside
	}
}

func TestEdgesAndVertices(t *testing.T) {
	t.Parallel()
	square := fence(t, []Position{{Lat: 0, Lon: 0}, {Lat: 0, Lon: 10}, {Lat: 10, Lon: 10}, {Lat: 10, Lon: 0}})
	circuit := decide(t, square)
	for p, inside := range map[Position]bool{
		{Lat: 5, Lon: 5}: true, {Lat: 0, Lon: 0}: true, {Lat: 0, Lon: 5}: true, {Lat: 5, Lon: 0}: true,
		{Lat: 10, Lon: 5}: false, {Lat: 5, Lon: 10}: false, {Lat: 10, Lon: 10}: false,
		{Lat: 0, Lon: 10}: false, {Lat: 10, Lon: 0}: false, {Lat: -1, Lon: 5}: false, {Lat: 5, Lon: 11}: false,
		{Lat: 5, Lon: -1 << 31}: false, {Lat: 1<<31 - 1, Lon: 5}: false, {Lat: -1 << 31, Lon: 1<<31 - 1}: false,
	} {
		require.Equal(t, inside, square.Contains(p), "%v", p)
		require.Equal(t, inside, circuit(t, p), "%v in the circuit", p)
	}
}

// Every point of a grid around a fence that is not convex, in either direction.
func TestFenceThatIsNotConvex(t *testing.T) {
	t.Parallel()
	f := fence(t, comb)
	circuit := decide(t, f)
	reversed := make([]Position, len(comb))
	for i, v := range comb {
		reversed[len(comb)-1-i] = v
	}
	back := fence(t, reversed)
	require.Equal(t, f.ID(), back.ID(), "the direction does not matter")
	rotated := fence(t, append(append([]Position{}, comb[3:]...), comb[:3]...))
	require.Equal(t, f.ID(), rotated.ID(), "nor does the first vertex")
	for lat := int32(-5); lat <= 45; lat += 5 {
		for lon := int32(-5); lon <= 55; lon += 5 {
			p := Position{Lat: lat, Lon: lon}
			want := parity(comb, p)
			require.Equal(t, want, f.Contains(p), "%v", p)
			require.Equal(t, want, back.Contains(p), "%v", p)
			require.Equal(t, want, circuit(t, p), "%v in the circuit", p)
		}
	}
}

// Neighbours that share an edge share no position and leave no gap.
func TestFencesWithACommonEdge(t *testing.T) {
	t.Parallel()
	west := fence(t, []Position{{Lat: 0, Lon: 0}, {Lat: 0, Lon: 10}, {Lat: 20, Lon: 14}, {Lat: 20, Lon: 0}})
	east := fence(t, []Position{{Lat: 0, Lon: 10}, {Lat: 0, Lon: 20}, {Lat: 20, Lon: 20}, {Lat: 20, Lon: 14}})
	for lat := range int32(20) {
		for lon := range int32(20) {
			p := Position{Lat: lat, Lon: lon}
			require.NotEqual(t, west.Contains(p), east.Contains(p), "%v", p)
		}
	}
}

// The largest fence there is does not overflow anything.
func TestFenceOfHalfTheGlobe(t *testing.T) {
	t.Parallel()
	vertices := []Position{{Lat: -maxLat, Lon: -maxLon}, {Lat: -maxLat, Lon: 0}, {Lat: maxLat, Lon: 0}, {Lat: maxLat - 1, Lon: -maxLon}}
	f := fence(t, vertices)
	circuit := decide(t, f)
	for _, lat := range []int32{-1 << 31, -maxLat, -1, 0, maxLat - 1, maxLat, 1<<31 - 1} {
		for _, lon := range []int32{-1 << 31, -maxLon, -1, 0, maxLon, 1<<31 - 1} {
			p := Position{Lat: lat, Lon: lon}
			require.Equal(t, parity(vertices, p), f.Contains(p), "%v", p)
			require.Equal(t, parity(vertices, p), circuit(t, p), "%v in the circuit", p)
		}
	}
}

func FuzzContains(f *testing.F) {
	polygon := fence(f, comb)
	circuit := decide(f, polygon)
	for _, v := range comb {
		f.Add(v.Lat, v.Lon)
	}
	f.Fuzz(func(t *testing.T, lat, lon int32) {
		p := Position{Lat: lat, Lon: lon}
		require.Equal(t, parity(comb, p), polygon.Contains(p))
		require.Equal(t, parity(comb, p), circuit(t, p))
	})
}

// Whatever polygon is taken for a fence, all three agree about its positions.
func FuzzFence(f *testing.F) {
	f.Add([]byte{0, 0, 0, 9, 9, 9, 9, 0}, int8(4), int8(4))
	f.Add([]byte{0, 0, 9, 9, 0, 9, 9, 0}, int8(4), int8(4))
	f.Add([]byte{0, 0, 0, 50, 40, 50, 10, 25, 40, 0}, int8(20), int8(25))
	f.Fuzz(func(t *testing.T, corners []byte, lat, lon int8) {
		var vertices []Position
		for ; len(corners) >= 2 && len(vertices) <= MaxVertices; corners = corners[2:] {
			vertices = append(vertices, Position{Lat: int32(int8(corners[0])), Lon: int32(int8(corners[1]))})
		}
		polygon, err := NewFence(vertices)
		if err != nil {
			require.ErrorIs(t, err, ErrFence)
			return
		}
		p := Position{Lat: int32(lat), Lon: int32(lon)}
		require.Equal(t, parity(vertices, p), polygon.Contains(p))
		require.Equal(t, parity(vertices, p), decide(t, polygon)(t, p))
	})
}

func FuzzParseFence(f *testing.F) {
	f.Add(shipped)
	f.Fuzz(func(t *testing.T, text []byte) {
		if _, err := ParseFence(text); err != nil {
			require.ErrorIs(t, err, ErrFence)
		}
	})
}

func TestFencesAreRefusedByName(t *testing.T) {
	t.Parallel()
	ring := func(coordinates string) string {
		return fmt.Sprintf(`{"type":"Polygon","coordinates":[[%s]]}`, coordinates)
	}
	for text, reason := range map[string]string{
		`{"type":"Point"}`: `type is "Point"`,
		`[1]`:              "GeoJSON",
		`{"type":"Polygon","coordinates":[[],[]]}`:  "has 2 rings, must have one: holes",
		ring(`[0,0],[1,0],[1,1]`):                   "not closed",
		ring(`[0,0],[1,0],[0,0]`):                   "has 2 vertices, must have 3 to 64",
		ring(`[0,0],[1,0,5],[1,1],[0,0]`):           "vertex 1 has 3 coordinates",
		ring(`[0,0],[180.1,0],[1,1],[0,0]`):         "vertex 1: longitude 180.1 is beyond 180 degrees",
		ring(`[0,0],[1,90.0000001],[1,1],[0,0]`):    "latitude 90.0000001 is beyond 90",
		ring(`[0,0],[1,0.00000001],[1,1],[0,0]`):    "more than seven decimals",
		ring(`[0,0],[1,1e1],[1,1],[0,0]`):           "no decimal number",
		ring(`[-91,0],[91,0],[91,1],[-91,0]`):       "wider than 180 degrees",
		ring(`[0,0],[1,1],[1,0],[0,1],[0,0]`):       "edges 0 and 2 touch or cross",
		ring(`[0,0],[1,0],[1,0],[0,1],[0,0]`):       "vertices 1 and 2 are the same",
		ring(`[0,0],[2,0],[1,0],[1,1],[0,0]`):       "edges 0 and 1 touch",
		ring(`[0,0],[1,0],[2,0],[0,0]`):             "touch",
		ring(`[0,0],[2,0],[2,2],[1,0],[0,2],[0,0]`): "edges 0 and 2 touch",
	} {
		_, err := ParseFence([]byte(text))
		require.ErrorIs(t, err, ErrFence, text)
		require.ErrorContains(t, err, reason, text)
	}
}
