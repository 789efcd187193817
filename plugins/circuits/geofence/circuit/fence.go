package circuit

import (
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"

	"github.com/gristmill-zk/gristmill/wire"
)

// Limits of a fence.
const (
	MinVertices = 3
	MaxVertices = 64
)

// ErrFence marks a polygon that can not be a fence.
var ErrFence = errors.New("no fence")

// shipped is the fence that the plugin is built with: put your own there.
//
//go:embed fence.geojson
var shipped []byte

// Fence is a simple polygon, convex or not, on the map whose axes are longitude
// and latitude. Its edges are straight on that map. A position on an edge is
// inside or outside by a half-open rule: it counts as if it lay a hair to the
// east and then to the north, so that of two fences with a common edge it is
// inside exactly one.
type Fence struct {
	// vertices go counter-clockwise, the first is not repeated.
	vertices []Position
}

// ParseFence reads a GeoJSON Polygon (RFC 7946) of one ring, degrees with at
// most seven decimals. Polygons with holes, that cross themselves, or that cross
// the 180th meridian are refused.
func ParseFence(text []byte) (*Fence, error) {
	var polygon struct {
		Type        string
		Coordinates [][][]json.Number
	}
	if err := json.Unmarshal(text, &polygon); err != nil {
		return nil, fmt.Errorf("%w: GeoJSON: %w", ErrFence, err)
	}
	if polygon.Type != "Polygon" {
		return nil, fmt.Errorf("%w: GeoJSON type is %q, must be Polygon", ErrFence, polygon.Type)
	}
	if n := len(polygon.Coordinates); n != 1 {
		return nil, fmt.Errorf("%w: polygon has %d rings, must have one: holes are not supported", ErrFence, n)
	}
	ring := polygon.Coordinates[0]
	var vertices []Position
	for i, pair := range ring {
		if len(pair) != 2 {
			return nil, fmt.Errorf("%w: vertex %d has %d coordinates, must have longitude and latitude", ErrFence, i, len(pair))
		}
		lon, err := parseDegrees(pair[0].String(), maxLon)
		if err != nil {
			return nil, fmt.Errorf("%w: vertex %d: longitude %w", ErrFence, i, err)
		}
		lat, err := parseDegrees(pair[1].String(), maxLat)
		if err != nil {
			return nil, fmt.Errorf("%w: vertex %d: latitude %w", ErrFence, i, err)
		}
		vertices = append(vertices, Position{Lat: lat, Lon: lon})
	}
	if n := len(vertices); n < 2 || vertices[0] != vertices[n-1] {
		return nil, fmt.Errorf("%w: the ring is not closed: its last vertex must be its first", ErrFence)
	}
	return NewFence(vertices[:len(vertices)-1])
}

// parseDegrees reads a decimal number of degrees as units of 1e-7, exactly.
func parseDegrees(text string, limit int64) (int32, error) {
	if len(text) > 20 || strings.ContainsAny(text, "eE") {
		return 0, fmt.Errorf("%q is no decimal number of at most 20 characters", text)
	}
	degrees, ok := new(big.Rat).SetString(text)
	if !ok {
		return 0, fmt.Errorf("%q is no decimal number", text)
	}
	units := degrees.Mul(degrees, big.NewRat(unitsPerDegree, 1))
	if !units.IsInt() {
		return 0, fmt.Errorf("%s has more than seven decimals", text)
	}
	if units.Num().CmpAbs(big.NewInt(limit)) > 0 {
		return 0, fmt.Errorf("%s is beyond %d degrees", text, limit/unitsPerDegree)
	}
	return int32(units.Num().Int64()), nil
}

// NewFence makes a fence of the vertices of a polygon in either direction.
func NewFence(vertices []Position) (*Fence, error) {
	n := len(vertices)
	if n < MinVertices || n > MaxVertices {
		return nil, fmt.Errorf("%w: polygon has %d vertices, must have %d to %d", ErrFence, n, MinVertices, MaxVertices)
	}
	west, east := vertices[0].Lon, vertices[0].Lon
	for i, v := range vertices {
		if !v.onGlobe() {
			return nil, fmt.Errorf("%w: vertex %d is not on the globe", ErrFence, i)
		}
		if j := slices.Index(vertices[:i], v); j >= 0 {
			return nil, fmt.Errorf("%w: vertices %d and %d are the same", ErrFence, j, i)
		}
		west, east = min(west, v.Lon), max(east, v.Lon)
	}
	if int64(east)-int64(west) > maxLon {
		return nil, fmt.Errorf("%w: polygon is wider than 180 degrees; split one that crosses the 180th meridian", ErrFence)
	}
	if i, j, ok := crossing(vertices); ok {
		return nil, fmt.Errorf("%w: edges %d and %d touch or cross each other", ErrFence, i, j)
	}
	f := &Fence{vertices: slices.Clone(vertices)}
	if f.area() < 0 {
		slices.Reverse(f.vertices)
	}
	return f, nil
}

// crossing finds two edges with a common point that is not a vertex between
// them. A polygon without is simple, and its area is not zero.
func crossing(v []Position) (i, j int, found bool) {
	n := len(v)
	for i := range n {
		a, b := v[i], v[(i+1)%n]
		for j := i + 1; j < n; j++ {
			c, d := v[j], v[(j+1)%n]
			switch {
			case j == i+1 && turn(a, b, d) == 0 && within(a, b, d), // folds back onto the edge
				j == i+1 && turn(c, d, a) == 0 && within(c, d, a),
				i == 0 && j == n-1 && turn(a, b, c) == 0 && within(a, b, c),
				i == 0 && j == n-1 && turn(c, d, b) == 0 && within(c, d, b):
				return i, j, true
			case j == i+1 || i == 0 && j == n-1:
				continue
			case touch(a, b, c, d):
				return i, j, true
			}
		}
	}
	return 0, 0, false
}

// touch says whether the segments ab and cd have a common point.
func touch(a, b, c, d Position) bool {
	abc, abd, cda, cdb := turn(a, b, c), turn(a, b, d), turn(c, d, a), turn(c, d, b)
	if abc*abd < 0 && cda*cdb < 0 {
		return true
	}
	return abc == 0 && within(a, b, c) || abd == 0 && within(a, b, d) ||
		cda == 0 && within(c, d, a) || cdb == 0 && within(c, d, b)
}

// turn is 1 if c lies left of the line from a to b, −1 if right, 0 if on it.
func turn(a, b, c Position) int { return cross(a, b, c).Sign() }

// cross is (b−a)×(c−a), exactly: 65 bits at most and a sign.
func cross(a, b, c Position) *big.Int {
	dx, dy := big.NewInt(int64(b.Lon)-int64(a.Lon)), big.NewInt(int64(b.Lat)-int64(a.Lat))
	ex, ey := big.NewInt(int64(c.Lon)-int64(a.Lon)), big.NewInt(int64(c.Lat)-int64(a.Lat))
	return dx.Sub(dx.Mul(dx, ey), dy.Mul(dy, ex))
}

// within says whether p lies in the box with the corners a and b.
func within(a, b, p Position) bool {
	return p.Lon >= min(a.Lon, b.Lon) && p.Lon <= max(a.Lon, b.Lon) &&
		p.Lat >= min(a.Lat, b.Lat) && p.Lat <= max(a.Lat, b.Lat)
}

// area is the sign of the polygon's: 1 for counter-clockwise.
func (f *Fence) area() int {
	sum := new(big.Int)
	for i := 1; i+1 < len(f.vertices); i++ {
		sum.Add(sum, cross(f.vertices[0], f.vertices[i], f.vertices[i+1]))
	}
	return sum.Sign()
}

// edge is from the lower vertex to the upper one; up says that the polygon goes
// that way. Horizontal edges decide nothing and are left out.
type edge struct {
	low, high Position
	up        bool
}

func (f *Fence) edges() []edge {
	var out []edge
	for i, a := range f.vertices {
		b := f.vertices[(i+1)%len(f.vertices)]
		switch {
		case a.Lat < b.Lat:
			out = append(out, edge{a, b, true})
		case a.Lat > b.Lat:
			out = append(out, edge{b, a, false})
		}
	}
	return out
}

// Contains says whether a position is inside: the edges to the east of it that
// the polygon climbs outnumber by one those that it descends.
func (f *Fence) Contains(p Position) bool {
	winding := 0
	for _, e := range f.edges() {
		if p.Lat < e.low.Lat || p.Lat >= e.high.Lat || turn(e.low, e.high, p) <= 0 {
			continue
		}
		if e.up {
			winding++
		} else {
			winding--
		}
	}
	return winding == 1
}

// ID is the public output that says which fence a proof is about:
// P2(number of vertices, each as (lon + 180°)·2^32 + (lat + 90°) in units of
// 1e-7 degrees), counter-clockwise from the southernmost vertex, of several the
// westernmost.
func (f *Fence) ID() fr.Element {
	start := 0
	for i, v := range f.vertices {
		s := f.vertices[start]
		if v.Lat < s.Lat || v.Lat == s.Lat && v.Lon < s.Lon {
			start = i
		}
	}
	elements := []fr.Element{fr.NewElement(uint64(len(f.vertices)))}
	for i := range f.vertices {
		v := f.vertices[(start+i)%len(f.vertices)]
		elements = append(elements, fr.NewElement(uint64(int64(v.Lon)+maxLon)<<32|uint64(int64(v.Lat)+maxLat)))
	}
	return wire.P2(elements...)
}
