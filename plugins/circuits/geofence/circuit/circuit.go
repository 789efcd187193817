// Package circuit is the statement of the geofence plugin: how many of a batch
// of signed positions lie inside a fence, and in how many minutes.
package circuit

import (
	"fmt"

	"github.com/consensys/gnark/frontend"

	"github.com/gristmill-zk/gristmill/plugins/sdk"
)

// Defaults of the shipped plugin.
const (
	DefaultBatch = 7
	PayloadLimit = 31
)

const (
	minuteMs = 60_000
	timeBits = 64
)

// Circuit has the outputs in the order in which they are settled on chain.
type Circuit struct {
	Fence   frontend.Variable `gnark:"fence,public"`   // which polygon: Fence.ID
	Minutes frontend.Variable `gnark:"minutes,public"` // in which a device was inside, summed over the devices
	Inside  frontend.Variable `gnark:"inside,public"`  // positions inside
	Count   frontend.Variable `gnark:"count,public"`   // positions
	FirstMs frontend.Variable `gnark:"firstMs,public"` // earliest time of a position, Unix ms
	LastMs  frontend.Variable `gnark:"lastMs,public"`  // latest

	fence *Fence
}

// Define states what the outputs are. That every message is signed by its
// device and belongs to the task's data is the SDK's part.
func (c *Circuit) Define(api frontend.API, m *sdk.Messages) error {
	api.AssertIsEqual(c.Fence, c.fence.ID())
	inside := make([]frontend.Variable, len(m.Items))
	total := frontend.Variable(0)
	for i, msg := range m.Items {
		var err error
		if inside[i], err = c.definePosition(api, msg); err != nil {
			return fmt.Errorf("position %d: %w", i, err)
		}
		total = api.Add(total, inside[i])
	}
	minutes, err := countMinutes(api, m, inside)
	if err != nil {
		return err
	}
	m.AssertDistinct()
	m.AssertTimeSpan(c.FirstMs, c.LastMs)
	api.AssertIsEqual(c.Minutes, minutes)
	api.AssertIsEqual(c.Inside, total)
	api.AssertIsEqual(c.Count, m.Count)
	return nil
}

// definePosition is 1 if the slot is used and its position inside.
func (c *Circuit) definePosition(api frontend.API, m *sdk.Message) (frontend.Variable, error) {
	if err := m.FixLength(PayloadSize); err != nil {
		return nil, err
	}
	m.AssertEqual(m.Bytes()[0], Format)
	lat, err := m.Int(offsetLat, 4)
	if err != nil {
		return nil, err
	}
	lon, err := m.Int(offsetLon, 4)
	if err != nil {
		return nil, err
	}
	return api.Mul(m.Used, c.fence.contains(api, lat, lon)), nil
}

// countMinutes counts the pairs of a device and a minute with a position inside:
// each position inside that no earlier slot has the pair of.
func countMinutes(api frontend.API, m *sdk.Messages, inside []frontend.Variable) (frontend.Variable, error) {
	minute := make([]frontend.Variable, len(m.Items))
	count := frontend.Variable(0)
	for j, msg := range m.Items {
		var err error
		if minute[j], _, err = sdk.DivMod(api, msg.Time, minuteMs, timeBits); err != nil {
			return nil, err
		}
		counts := inside[j]
		for i := range j {
			same := api.Mul(m.SameDevice(i, j), api.IsZero(api.Sub(minute[i], minute[j])))
			counts = api.Mul(counts, api.Sub(1, api.Mul(same, inside[i])))
		}
		count = api.Add(count, counts)
	}
	return count, nil
}

// assign computes the outputs of a task.
func assign(fence *Fence, t sdk.Task) (sdk.Circuit, error) {
	type presence struct {
		device string
		minute uint64
	}
	type id struct {
		device string
		nonce  uint64
	}
	present, seen := map[presence]bool{}, map[id]int{}
	inside, first, last := 0, t.Messages[0].Time, t.Messages[0].Time
	for i, msg := range t.Messages {
		p, err := ParsePosition(msg.Payload)
		if err != nil {
			return nil, fmt.Errorf("message %d: %w", i, err)
		}
		device := string(msg.Key.Bytes)
		if earlier, ok := seen[id{device, msg.Nonce}]; ok {
			return nil, fmt.Errorf("message %d repeats device and nonce of message %d", i, earlier)
		}
		seen[id{device, msg.Nonce}] = i
		first, last = min(first, msg.Time), max(last, msg.Time)
		if fence.Contains(p) {
			inside++
			present[presence{device, msg.Time / minuteMs}] = true
		}
	}
	return &Circuit{
		Fence: fence.ID(), Minutes: len(present), Inside: inside, Count: len(t.Messages), FirstMs: first, LastMs: last,
		fence: fence,
	}, nil
}

// Project is the plugin with the fence that it is built with.
func Project() (*sdk.Project, error) {
	fence, err := ParseFence(shipped)
	if err != nil {
		return nil, fmt.Errorf("fence.geojson: %w", err)
	}
	return ProjectFor(fence), nil
}

// ProjectFor is the plugin for a fence.
func ProjectFor(fence *Fence) *sdk.Project {
	return &sdk.Project{
		Name:         "geofence",
		Version:      "1.0.0",
		BatchSize:    DefaultBatch,
		PayloadLimit: PayloadLimit,
		New:          func(int) sdk.Circuit { return &Circuit{fence: fence} },
		Assign:       func(t sdk.Task) (sdk.Circuit, error) { return assign(fence, t) },
		Sample:       func(i int) []byte { return fence.vertices[i%len(fence.vertices)].Encode() },
	}
}
