package circuit

import (
	"encoding/binary"
	"fmt"
)

// Form of a position. It is part of the circuit.
const (
	// PayloadSize is the length of an encoded position.
	PayloadSize = 9

	// Format is the first byte of every position.
	Format = 1

	offsetLat = 1
	offsetLon = 5
)

// Units are 1e-7 degrees, as satellite receivers report them: about 11 mm.
const (
	unitsPerDegree = 10_000_000
	maxLat         = 90 * unitsPerDegree
	maxLon         = 180 * unitsPerDegree
)

// Position is what a tracker sends, in units of 1e-7 degrees, north and east
// positive. One that is not on the globe is outside of every fence.
type Position struct {
	Lat, Lon int32
}

func (p Position) onGlobe() bool {
	return p.Lat >= -maxLat && p.Lat <= maxLat && p.Lon >= -maxLon && p.Lon <= maxLon
}

// Encode returns the payload:
//
//	format u8 = 1 ‖ lat i32 ‖ lon i32   (big-endian, two's complement)
func (p Position) Encode() []byte {
	out := make([]byte, 0, PayloadSize)
	out = append(out, Format)
	out = binary.BigEndian.AppendUint32(out, uint32(p.Lat))
	return binary.BigEndian.AppendUint32(out, uint32(p.Lon))
}

// ParsePosition reads a payload.
func ParsePosition(payload []byte) (Position, error) {
	if len(payload) != PayloadSize {
		return Position{}, fmt.Errorf("payload has %d bytes, a position has %d", len(payload), PayloadSize)
	}
	if payload[0] != Format {
		return Position{}, fmt.Errorf("payload format is %d, must be %d", payload[0], Format)
	}
	return Position{
		Lat: int32(binary.BigEndian.Uint32(payload[offsetLat:])),
		Lon: int32(binary.BigEndian.Uint32(payload[offsetLon:])),
	}, nil
}
