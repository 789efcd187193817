package health

import (
	"fmt"
	"strings"
	"time"
)

// Defaults of Limits.
const (
	// DefaultMaxTemperature is where data centre cards begin to slow down.
	DefaultMaxTemperature = 90
	// DefaultMaxMemoryTemperature is below where HBM and GDDR begin to fail.
	DefaultMaxMemoryTemperature = 100
	// DefaultXidWindow is how long a grave event is held against a device that
	// did not have a reset since.
	DefaultXidWindow = time.Hour
)

// Limits are what a device may show and still be given work. The zero value has
// the defaults.
type Limits struct {
	// MaxTemperature is the processor's highest temperature in °C. Defaults to
	// DefaultMaxTemperature.
	MaxTemperature float64
	// MaxMemoryTemperature is the memory's, where the device tells. Defaults to
	// DefaultMaxMemoryTemperature.
	MaxMemoryTemperature float64
	// MaxUncorrectedECC is how many memory errors that could not be corrected
	// there may be since the driver was loaded. Defaults to 0: a proof with
	// such an error is wrong, and where there was one there will be others.
	MaxUncorrectedECC float64
	// MinFreeMemory is how many bytes must be free. It is meant for before an
	// engine takes its memory. Defaults to 0.
	MinFreeMemory int64
	// XidWindow is how far back grave events count. Defaults to
	// DefaultXidWindow; negative looks at none.
	XidWindow time.Duration
	// AllowSlowdown accepts a device that its hardware slows down, for heat or
	// for want of power.
	AllowSlowdown bool
}

// Code says what kind of reason a Reason is.
type Code string

// The codes.
const (
	CodeFault       Code = "fault"       // the driver can not talk to the device
	CodeTemperature Code = "temperature" // too hot
	CodeECC         Code = "ecc"         // memory errors, or rows that can not be replaced
	CodeXid         Code = "xid"         // a grave event
	CodeMemory      Code = "memory"      // too little is free
	CodeSlowdown    Code = "slowdown"    // the hardware slows it down
)

// Reason is why a device is not fit for work.
type Reason struct {
	Code Code   `json:"code"`
	Text string `json:"text"`
}

// String is the text.
func (r Reason) String() string { return r.Text }

// Sentence is all reasons in one line.
func Sentence(reasons []Reason) string {
	texts := make([]string, len(reasons))
	for i := range reasons {
		texts[i] = reasons[i].Text
	}
	return strings.Join(texts, "; ")
}

// graveXids are the events after which a device's results are not to be trusted
// or it does not answer any more, until a reset. Others, such as 13, 31, 43 and
// 45, come from programs, one that was killed included.
var graveXids = map[int]string{
	48:  "memory error that could not be corrected",
	62:  "microcontroller halted",
	64:  "memory row could not be replaced",
	79:  "fell off the bus",
	95:  "memory error that could not be contained",
	119: "system processor does not answer",
	120: "system processor failed",
	140: "memory error that was not recovered from",
}

// Healthy says whether a device is fit for work, and every reason why not. What
// is unknown is no reason.
func Healthy(r Reading, limits Limits) (bool, []Reason) {
	return healthyAt(r, limits, time.Now())
}

func healthyAt(r Reading, l Limits, now time.Time) (bool, []Reason) {
	l = l.withDefaults()
	var reasons []Reason
	add := func(code Code, format string, args ...any) {
		reasons = append(reasons, Reason{code, fmt.Sprintf(format, args...)})
	}
	if r.Fault != "" {
		add(CodeFault, "the driver can not talk to it: %s", r.Fault)
	}
	if r.Temperature.Known && r.Temperature.V > l.MaxTemperature {
		add(CodeTemperature, "%v °C, the limit is %g: check fans and air flow", r.Temperature, l.MaxTemperature)
	}
	if r.MemoryTemperature.Known && r.MemoryTemperature.V > l.MaxMemoryTemperature {
		add(CodeTemperature, "memory at %v °C, the limit is %g: check fans and air flow", r.MemoryTemperature, l.MaxMemoryTemperature)
	}
	if r.UncorrectedECC.Known && r.UncorrectedECC.V > l.MaxUncorrectedECC {
		add(CodeECC, "%v uncorrected memory errors, the limit is %g: reset the device, replace it if they come back", r.UncorrectedECC, l.MaxUncorrectedECC)
	}
	if r.RemapFailed.Known && r.RemapFailed.V > 0 {
		add(CodeECC, "bad memory rows can not be replaced any more: replace the device")
	}
	if free := float64(r.MemoryTotal) - r.MemoryUsed.V; r.MemoryTotal > 0 && r.MemoryUsed.Known && free < float64(l.MinFreeMemory) {
		add(CodeMemory, "%.0f MiB of memory are free, %d are needed: end what else uses the device", free/mib, l.MinFreeMemory/mib)
	}
	for _, x := range r.Xids {
		if what := graveXids[x.Code]; what != "" && now.Sub(x.At) <= l.XidWindow {
			add(CodeXid, "Xid %d (%s) %v ago: reset the device", x.Code, what, now.Sub(x.At).Round(time.Second))
		}
	}
	for _, t := range r.Throttle {
		if !l.AllowSlowdown && (t == ThrottleHardware || t == ThrottleHardwareHeat || t == ThrottleHardwareBrake) {
			add(CodeSlowdown, "%s: check cooling and power supply", t)
		}
	}
	return len(reasons) == 0, reasons
}

func (l Limits) withDefaults() Limits {
	if l.MaxTemperature == 0 {
		l.MaxTemperature = DefaultMaxTemperature
	}
	if l.MaxMemoryTemperature == 0 {
		l.MaxMemoryTemperature = DefaultMaxMemoryTemperature
	}
	if l.XidWindow == 0 {
		l.XidWindow = DefaultXidWindow
	}
	return l
}
