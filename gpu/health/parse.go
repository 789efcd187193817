package health

import (
	"encoding/csv"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
)

const mib = 1 << 20

// smiField is a field of nvidia-smi's --query-gpu.
type smiField struct {
	name string
	set  func(r *Reading, text string) error
}

// smiFields are what is asked for. A driver that does not know one is asked
// without it.
var smiFields = []smiField{
	{"index", func(r *Reading, s string) (err error) {
		r.Index, err = strconv.Atoi(s)
		return err
	}},
	{"uuid", word(func(r *Reading) *string { return &r.UUID })},
	{"name", word(func(r *Reading) *string { return &r.Name })},
	{"pci.bus_id", word(func(r *Reading) *string { return &r.PCI })},
	{"driver_version", word(func(r *Reading) *string { return &r.Driver })},
	{"compute_cap", word(func(r *Reading) *string { return &r.ComputeCapability })},
	{"memory.total", func(r *Reading, s string) error {
		v, err := number(s)
		r.MemoryTotal = int64(v * mib)
		return err
	}},
	{"memory.used", value(mib, func(r *Reading) *Value { return &r.MemoryUsed })},
	{"temperature.gpu", value(1, func(r *Reading) *Value { return &r.Temperature })},
	{"temperature.memory", value(1, func(r *Reading) *Value { return &r.MemoryTemperature })},
	{"power.draw", value(1, func(r *Reading) *Value { return &r.Power })},
	{"power.limit", value(1, func(r *Reading) *Value { return &r.PowerLimit })},
	{"utilization.gpu", value(1, func(r *Reading) *Value { return &r.Utilization })},
	{"ecc.errors.uncorrected.volatile.total", value(1, func(r *Reading) *Value { return &r.UncorrectedECC })},
	{"ecc.errors.corrected.volatile.total", value(1, func(r *Reading) *Value { return &r.CorrectedECC })},
	{"remapped_rows.pending", yesNo(func(r *Reading) *Value { return &r.RemapPending })},
	{"remapped_rows.failure", yesNo(func(r *Reading) *Value { return &r.RemapFailed })},
	// The old and the new name of one thing.
	{"clocks_throttle_reasons.active", throttle},
	{"clocks_event_reasons.active", throttle},
}

var fieldByName = func() map[string]smiField {
	m := map[string]smiField{}
	for _, f := range smiFields {
		m[f.name] = f
	}
	return m
}()

func word(at func(*Reading) *string) func(*Reading, string) error {
	return func(r *Reading, s string) error {
		*at(r) = s
		return nil
	}
}

func value(unit float64, at func(*Reading) *Value) func(*Reading, string) error {
	return func(r *Reading, s string) error {
		v, err := number(s)
		if err == nil {
			*at(r) = Known(v * unit)
		}
		return err
	}
}

func number(s string) (float64, error) {
	v, err := strconv.ParseFloat(s, 64)
	if err != nil || math.IsNaN(v) || math.IsInf(v, 0) || v < -1e3 || v > 1e12 {
		return 0, fmt.Errorf("%q is no number that can be", s)
	}
	return v, nil
}

func yesNo(at func(*Reading) *Value) func(*Reading, string) error {
	return func(r *Reading, s string) error {
		switch strings.ToLower(s) {
		case "yes", "1":
			*at(r) = Known(1)
		case "no", "0":
			*at(r) = Known(0)
		default:
			return fmt.Errorf("%q is neither yes nor no", s)
		}
		return nil
	}
}

func throttle(r *Reading, s string) error {
	bits, err := strconv.ParseUint(strings.TrimPrefix(s, "0x"), 16, 64)
	if err != nil {
		return fmt.Errorf("%q is no set of reasons", s)
	}
	r.Throttle = ThrottleReasons(bits)
	return nil
}

// absent says whether the tool has no value, and whether that is because the
// device does not answer.
func absent(s string) (bool, string) {
	inner, ok := strings.CutPrefix(s, "[")
	inner = strings.TrimSuffix(inner, "]")
	switch lower := strings.ToLower(inner); {
	case lower == "n/a" || lower == "not supported" || lower == "not found" || lower == "requested functionality has been deprecated" || inner == "":
		return true, ""
	case strings.Contains(lower, "insufficient permissions"):
		return true, ""
	case strings.Contains(lower, "gpu is lost") || strings.Contains(lower, "reset") || lower == "unknown error" || lower == "err!":
		return true, inner
	default:
		return ok, ""
	}
}

// lostDevice is how the tool speaks of a device that the driver can not open.
var lostDevice = regexp.MustCompile(`(?m)^Unable to determine the device handle for (?i:gpu ?)?([0-9A-Fa-f]{4,8}:[0-9A-Fa-f]{2}:[0-9A-Fa-f]{2}\.[0-9A-Fa-f]): (.*)$`)

// parse reads the tool's answer: a line for each device with as many values as
// fields were asked for. Devices that are lost are returned apart.
func parse(out string, fields []string) (readings, lost []Reading, err error) {
	for _, m := range lostDevice.FindAllStringSubmatch(out, -1) {
		lost = append(lost, Reading{Fingerprint: Fingerprint{Index: -1, PCI: m[1]}, Fault: strings.TrimSpace(m[2])})
	}
	for line := range strings.Lines(out) {
		if line = strings.TrimSpace(line); line == "" || strings.HasPrefix(line, "Unable to determine") {
			continue
		}
		r, err := parseLine(line, fields)
		if err != nil {
			return readings, lost, fmt.Errorf("%w: nvidia-smi says %q: %w", ErrUnreadable, firstLine(line), err)
		}
		readings = append(readings, r)
	}
	return readings, lost, nil
}

func parseLine(line string, fields []string) (Reading, error) {
	var r Reading
	reader := csv.NewReader(strings.NewReader(line))
	reader.TrimLeadingSpace, reader.LazyQuotes = true, true
	values, err := reader.Read()
	if err != nil {
		return r, err
	}
	if len(values) != len(fields) {
		return r, fmt.Errorf("%d values for %d fields", len(values), len(fields))
	}
	for i, name := range fields {
		text := strings.TrimSpace(values[i])
		missing, fault := absent(text)
		if fault != "" {
			r.Fault = fault
		}
		if missing {
			continue
		}
		if err := fieldByName[name].set(&r, text); err != nil {
			return r, fmt.Errorf("%s: %w", name, err)
		}
	}
	if r.UUID == "" && r.PCI == "" {
		return r, fmt.Errorf("a device without a name")
	}
	return r, nil
}
