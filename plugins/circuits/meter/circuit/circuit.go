// Package circuit is the statement of the meter plugin: the total, the least
// and the greatest of a batch of signed energy readings, and how many they are.
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
	energy := make([]frontend.Variable, len(m.Items))
	total := frontend.Variable(0)
	for i, msg := range m.Items {
		var err error
		if energy[i], err = defineReading(api, msg); err != nil {
			return fmt.Errorf("reading %d: %w", i, err)
		}
		total = api.Add(total, energy[i])
	}
	m.AssertDeviceOrder()
	m.AssertIsMin(c.MinWh, energy, energyBits)
	m.AssertIsMax(c.MaxWh, energy, energyBits)
	api.AssertIsEqual(c.TotalWh, total)
	api.AssertIsEqual(c.Count, m.Count)
	return nil
}

// defineReading checks the payload's form and limits and returns its energy,
// which is zero in a slot that is not used.
func defineReading(api frontend.API, m *sdk.Message) (frontend.Variable, error) {
	if err := m.FixLength(PayloadSize); err != nil {
		return nil, err
	}
	m.AssertEqual(m.Bytes()[0], Format)
	energy, err := m.Uint(offsetEnergy, 8)
	if err != nil {
		return nil, err
	}
	period, err := m.Uint(offsetPeriod, 4)
	if err != nil {
		return nil, err
	}
	sdk.AssertNotAbove(api, energy, MaxEnergyWh)
	sdk.AssertNotAbove(api, period, MaxPeriodMs)
	// The period is at least 1, and 0 in a slot that is not used.
	api.AssertIsDifferent(api.Add(period, api.Sub(1, m.Used)), 0)
	return energy, nil
}

// Assign computes the outputs of a task.
func Assign(t sdk.Task) (sdk.Circuit, error) {
	if err := checkOrder(t.Messages); err != nil {
		return nil, err
	}
	var total, low, high uint64
	for i, msg := range t.Messages {
		r, err := ParseReading(msg.Payload)
		if err != nil {
			return nil, fmt.Errorf("message %d: %w", i, err)
		}
		if i == 0 {
			low = r.EnergyWh
		}
		total, low, high = total+r.EnergyWh, min(low, r.EnergyWh), max(high, r.EnergyWh)
	}
	return &Circuit{TotalWh: total, MinWh: low, MaxWh: high, Count: len(t.Messages)}, nil
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
		Version:      "1.1.0",
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
