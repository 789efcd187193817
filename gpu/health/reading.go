package health

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// Source reads the machine's devices.
type Source interface {
	// Name says where readings come from, for people.
	Name() string
	// Read returns a reading of each device, in the driver's order. It is safe
	// for concurrent use. Fails with one of this package's errors or the cause
	// of ctx.
	Read(ctx context.Context) ([]Reading, error)
}

// Fingerprint is what a device is. It changes only with the machine's hardware
// or driver.
type Fingerprint struct {
	// UUID names the card, wherever it is plugged in: "GPU-…".
	UUID string `json:"uuid"`
	// Index is the driver's number for it, which may change when the machine
	// starts anew.
	Index int    `json:"index"`
	Name  string `json:"name"`
	// PCI is the bus address as the driver writes it: "00000000:3B:00.0".
	PCI    string `json:"pci"`
	Driver string `json:"driver"`
	// ComputeCapability is the architecture, "9.0"; empty when the driver is too
	// old to say.
	ComputeCapability string `json:"compute_capability"`
	// MemoryTotal is in bytes, 0 when unknown.
	MemoryTotal int64 `json:"memory_total"`
}

// Reading is how a device is at one time.
type Reading struct {
	Fingerprint
	// Fake says that no device was read: somebody wrote the numbers.
	Fake bool `json:"fake"`
	// Fault is why the driver can not talk to the device; then little else is
	// known.
	Fault string `json:"fault,omitempty"`

	MemoryUsed        Value `json:"memory_used"`        // bytes
	Temperature       Value `json:"temperature"`        // °C, of the processor
	MemoryTemperature Value `json:"memory_temperature"` // °C
	Power             Value `json:"power"`              // W
	PowerLimit        Value `json:"power_limit"`        // W
	Utilization       Value `json:"utilization"`        // % of time with work
	// Error counts are since the driver was loaded.
	UncorrectedECC Value `json:"uncorrected_ecc"`
	CorrectedECC   Value `json:"corrected_ecc"`
	// RemapPending is 1 when memory rows wait for a reset to be replaced, and
	// RemapFailed when there are no more to replace them.
	RemapPending Value `json:"remap_pending"`
	RemapFailed  Value `json:"remap_failed"`
	// Throttle are the reasons for which the clock is below its highest; idle is
	// none.
	Throttle []Throttle `json:"throttle,omitempty"`
	// Xids are the events that the driver reported of the device, oldest first.
	// XidsKnown is false when the kernel's log can not be read.
	Xids      []Xid `json:"xids,omitempty"`
	XidsKnown bool  `json:"xids_known"`
}

// Label is a device's name for people; a fake one says so.
func (r *Reading) Label() string {
	name := r.Name
	if name == "" {
		name = "device at " + r.PCI
	}
	if r.Fake {
		return "FAKE " + name
	}
	return name
}

// Xid is an event that the driver reported in the kernel's log.
type Xid struct {
	Code int       `json:"code"`
	Text string    `json:"text"`
	At   time.Time `json:"at"`
}

// Throttle is a reason to run below the highest clock.
type Throttle string

// The reasons. Hardware ones are signs of trouble with cooling or power supply.
const (
	ThrottleSetting       Throttle = "application clocks"
	ThrottlePowerCap      Throttle = "power cap"
	ThrottleHardware      Throttle = "hardware slowdown"
	ThrottleSyncBoost     Throttle = "sync boost"
	ThrottleThermal       Throttle = "thermal slowdown"
	ThrottleHardwareHeat  Throttle = "hardware thermal slowdown"
	ThrottleHardwareBrake Throttle = "hardware power brake"
	ThrottleDisplay       Throttle = "display clocks"
)

// throttleBits are NVML's, from 2 on: 1 is idle.
var throttleBits = []struct {
	bit    uint64
	reason Throttle
}{
	{0x2, ThrottleSetting}, {0x4, ThrottlePowerCap}, {0x8, ThrottleHardware}, {0x10, ThrottleSyncBoost},
	{0x20, ThrottleThermal}, {0x40, ThrottleHardwareHeat}, {0x80, ThrottleHardwareBrake}, {0x100, ThrottleDisplay},
}

// ThrottleReasons are those of NVML's bits.
func ThrottleReasons(bits uint64) (reasons []Throttle) {
	for _, b := range throttleBits {
		if bits&b.bit != 0 {
			reasons = append(reasons, b.reason)
		}
	}
	return reasons
}

// Value is a number that may be unknown. In JSON it is a number or null.
type Value struct {
	Known bool
	V     float64
}

// Known is a known value.
func Known(v float64) Value { return Value{Known: true, V: v} }

// String is the number, or "unknown".
func (v Value) String() string {
	if !v.Known {
		return "unknown"
	}
	return strings.TrimSuffix(fmt.Sprintf("%.1f", v.V), ".0")
}

// MarshalJSON implements json.Marshaler.
func (v Value) MarshalJSON() ([]byte, error) {
	if !v.Known {
		return []byte("null"), nil
	}
	return json.Marshal(v.V)
}

// UnmarshalJSON implements json.Unmarshaler.
func (v *Value) UnmarshalJSON(raw []byte) error {
	*v = Value{}
	if string(raw) == "null" {
		return nil
	}
	v.Known = true
	return json.Unmarshal(raw, &v.V)
}
