package circuit

import (
	"encoding/binary"
	"fmt"
)

// Limits of a reading. They are part of the circuit.
const (
	// PayloadSize is the length of an encoded reading.
	PayloadSize = 21

	// Format is the first byte of every reading.
	Format = 1

	// MaxEnergyWh is the most one reading may report: 1 GWh.
	MaxEnergyWh = 1_000_000_000

	// MaxPeriodMs is the longest period of one reading: a day.
	MaxPeriodMs = 86_400_000
)

// Offsets in the payload.
const (
	offsetEnergy = 1
	offsetStart  = 9
	offsetPeriod = 17
)

// Reading is what a meter sends: how much energy flowed in a period.
type Reading struct {
	EnergyWh    uint64 // at most MaxEnergyWh
	PeriodStart uint64 // Unix milliseconds
	PeriodMs    uint32 // 1 to MaxPeriodMs
}

// Encode returns the payload:
//
//	format u8 = 1 ‖ energyWh u64 ‖ periodStart u64 ‖ periodMs u32   (big-endian)
func (r Reading) Encode() []byte {
	out := make([]byte, 0, PayloadSize)
	out = append(out, Format)
	out = binary.BigEndian.AppendUint64(out, r.EnergyWh)
	out = binary.BigEndian.AppendUint64(out, r.PeriodStart)
	return binary.BigEndian.AppendUint32(out, r.PeriodMs)
}

// ParseReading reads a payload and checks the limits.
func ParseReading(payload []byte) (Reading, error) {
	if len(payload) != PayloadSize {
		return Reading{}, fmt.Errorf("payload has %d bytes, a reading has %d", len(payload), PayloadSize)
	}
	if payload[0] != Format {
		return Reading{}, fmt.Errorf("payload format is %d, must be %d", payload[0], Format)
	}
	r := Reading{
		EnergyWh:    binary.BigEndian.Uint64(payload[offsetEnergy:]),
		PeriodStart: binary.BigEndian.Uint64(payload[offsetStart:]),
		PeriodMs:    binary.BigEndian.Uint32(payload[offsetPeriod:]),
	}
	if r.EnergyWh > MaxEnergyWh {
		return Reading{}, fmt.Errorf("energyWh is %d, at most %d", r.EnergyWh, uint64(MaxEnergyWh))
	}
	if r.PeriodMs < 1 || r.PeriodMs > MaxPeriodMs {
		return Reading{}, fmt.Errorf("periodMs is %d, must be 1 to %d", r.PeriodMs, MaxPeriodMs)
	}
	return r, nil
}
