package circuit

import (
	"encoding/binary"
	"fmt"
)

// Limits of a reading. They are part of the circuit: a change of one makes
// another circuit, with keys of its own.
const (
	// PayloadSize is the length of an encoded reading in bytes.
	PayloadSize = 11

	// Format is the first byte of every reading.
	Format = 1

	// MinTemperature and MaxTemperature are what a sensor can measure, in
	// tenths of a kelvin.
	MinTemperature = 1500
	MaxTemperature = 4000

	// ColdLimit is the warmest that counts as cold: 8.0 °C in tenths of a kelvin.
	ColdLimit = 2811
)

// Offsets in the payload.
const (
	offsetTemperature = 1
	offsetTime        = 3
)

// Reading is what a sensor sends.
type Reading struct {
	Temperature uint16 // tenths of a kelvin
	TakenAt     uint64 // Unix milliseconds
}

// Encode returns the payload:
//
//	format u8 = 1 ‖ temperature u16 ‖ takenAt u64   (big-endian)
func (r Reading) Encode() []byte {
	out := make([]byte, 0, PayloadSize)
	out = append(out, Format)
	out = binary.BigEndian.AppendUint16(out, r.Temperature)
	return binary.BigEndian.AppendUint64(out, r.TakenAt)
}

// ParseReading reads a payload and says what is wrong with it, if anything is.
func ParseReading(payload []byte) (Reading, error) {
	if len(payload) != PayloadSize {
		return Reading{}, fmt.Errorf("payload has %d bytes, a reading has %d", len(payload), PayloadSize)
	}
	if payload[0] != Format {
		return Reading{}, fmt.Errorf("payload format is %d, must be %d", payload[0], Format)
	}
	r := Reading{
		Temperature: binary.BigEndian.Uint16(payload[offsetTemperature:]),
		TakenAt:     binary.BigEndian.Uint64(payload[offsetTime:]),
	}
	if r.Temperature < MinTemperature || r.Temperature > MaxTemperature {
		return Reading{}, fmt.Errorf("temperature is %d, must be %d to %d tenths of a kelvin", r.Temperature, MinTemperature, MaxTemperature)
	}
	return r, nil
}
