// Package circuit is the statement of the meter plugin: the total, the least
// and the greatest of a batch of signed energy readings, and how many count.
package circuit

import (
	"fmt"

	"github.com/consensys/gnark/frontend"

	"github.com/gristmill-zk/gristmill/plugins/sdk"
	"github.com/gristmill-zk/gristmill/wire"
)

// Defaults of the shipped plugin.
const (
	DefaultBatch = 4
	PayloadLimit = 31
)

// energyBits holds MaxEnergyWh.
const energyBits = 30

// Circuit has the outputs in the order in which they are settled on chain.
type Circuit struct {
	TotalWh frontend.Variable `gnark:"totalWh,public"`
	MinWh   frontend.Variable `gnark:"minWh,public"`
	MaxWh   frontend.Variable `gnark:"maxWh,public"`
	Count   frontend.Variable `gnark:"count,public"`
}

// Define states what the outputs are. That every message is signed by its
// device and belongs to the task's data is the SDK's part.
func (c *Circuit) Define(api frontend.API, m *sdk.Messages) error {
	energy, starts, ends := make([]frontend.Variable, len(m.Items)), make([]frontend.Variable, len(m.Items)), make([]frontend.Variable, len(m.Items))
	for i, msg := range m.Items {
		r, err := defineReading(api, msg)
		if err != nil {
			return fmt.Errorf("reading %d: %w", i, err)
		}
		energy[i], starts[i], ends[i] = r.energy, r.start, api.Add(r.start, r.period)
	}
	m.AssertDeviceOrder()
	total, count := frontend.Variable(0), frontend.Variable(0)
	// A reading that does not count is nothing to the sum and the greatest, and
	// the limit to the least.
	most, least := make([]frontend.Variable, len(energy)), make([]frontend.Variable, len(energy))
	for i, counts := range m.WithoutOverlap(starts, ends) {
		most[i] = api.Mul(counts, energy[i])
		least[i] = api.Add(most[i], api.Mul(api.Sub(1, counts), MaxEnergyWh))
		total, count = api.Add(total, most[i]), api.Add(count, counts)
	}
	m.AssertIsMin(c.MinWh, least, energyBits)
	m.AssertIsMax(c.MaxWh, most, energyBits)
	api.AssertIsEqual(c.TotalWh, total)
	api.AssertIsEqual(c.Count, count)
	return nil
}

// reading is a Reading inside the circuit.
type reading struct {
	energy, start, period frontend.Variable
}

// defineReading checks the payload's form and limits and returns the reading,
// which is all zero in a slot that is not used.
func defineReading(api frontend.API, m *sdk.Message) (r reading, err error) {
	if err := m.FixLength(PayloadSize); err != nil {
		return r, err
	}
	m.AssertEqual(m.Bytes()[0], Format)
	for _, field := range []struct {
		into         *frontend.Variable
		offset, size int
	}{{&r.energy, offsetEnergy, 8}, {&r.start, offsetStart, 8}, {&r.period, offsetPeriod, 4}} {
		if *field.into, err = m.Uint(field.offset, field.size); err != nil {
			return r, err
		}
	}
	sdk.AssertNotAbove(api, r.energy, MaxEnergyWh)
	sdk.AssertNotAbove(api, r.period, MaxPeriodMs)
	// The period is at least 1, and 0 in a slot that is not used.
	api.AssertIsDifferent(api.Add(r.period, api.Sub(1, m.Used)), 0)
	return r, nil
}

// Assign computes the outputs of a task.
func Assign(t sdk.Task) (sdk.Circuit, error) {
	if err := checkOrder(t.Messages); err != nil {
		return nil, err
	}
	c := tally{ended: map[string]end{}}
	for i, msg := range t.Messages {
		r, err := ParseReading(msg.Payload)
		if err != nil {
			return nil, fmt.Errorf("message %d: %w", i, err)
		}
		c.add(string(msg.Key.Bytes), r)
	}
	return &Circuit{TotalWh: c.total, MinWh: c.low, MaxWh: c.high, Count: c.count}, nil
}

// tally adds up the readings that count.
type tally struct {
	total, low, high, count uint64
	ended                   map[string]end // of each device's last reading that counts
}

// end is a time up to which a device's energy is counted. It may not fit 64 bits.
type end struct {
	start, period uint64
}

// add leaves out a reading of a time that is counted already.
func (c *tally) add(device string, r Reading) {
	last := c.ended[device]
	if r.PeriodStart < last.start || r.PeriodStart-last.start < last.period {
		return
	}
	c.ended[device] = end{r.PeriodStart, uint64(r.PeriodMs)}
	if c.count == 0 {
		c.low = r.EnergyWh
	}
	c.total, c.low, c.high, c.count = c.total+r.EnergyWh, min(c.low, r.EnergyWh), max(c.high, r.EnergyWh), c.count+1
}

// checkOrder finds the device whose nonces or times do not rise.
func checkOrder(messages []wire.Message) error {
	last := map[string]int{}
	for i, msg := range messages {
		device := string(msg.Key.Bytes)
		before, seen := last[device]
		last[device] = i
		if !seen {
			continue
		}
		earlier := &messages[before]
		if msg.Nonce <= earlier.Nonce {
			return fmt.Errorf("message %d: nonce %d of the device is not above %d of message %d", i, msg.Nonce, earlier.Nonce, before)
		}
		if msg.Time < earlier.Time {
			return fmt.Errorf("message %d: time %d of the device is before %d of message %d", i, msg.Time, earlier.Time, before)
		}
	}
	return nil
}

// Project is the plugin as it is shipped.
func Project() *sdk.Project {
	return &sdk.Project{
		Name:         "meter",
		Version:      "1.2.0",
		BatchSize:    DefaultBatch,
		PayloadLimit: PayloadLimit,
		New:          func(int) sdk.Circuit { return &Circuit{} },
		Assign:       Assign,
		Sample:       sample,
	}
}

func sample(i int) []byte {
	return Reading{EnergyWh: 1000 + uint64(i), PeriodStart: 1_700_000_000_000, PeriodMs: 900_000}.Encode()
}
