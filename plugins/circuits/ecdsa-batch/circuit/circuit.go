// Package circuit is the statement of the ecdsa-batch plugin: a batch of
// messages is signed by secure elements, by how many, and in which time.
package circuit

import (
	"fmt"

	"github.com/consensys/gnark/frontend"

	"github.com/gristmill-zk/gristmill/plugins/sdk"
	"github.com/gristmill-zk/gristmill/wire"
)

// The shipped plugin. Payloads have exactly PayloadSize bytes, a SHA-256 digest
// of whatever the device vouches for.
const (
	DefaultBatch = 4
	PayloadSize  = 32
)

// Circuit has the outputs in the order in which they are settled on chain.
type Circuit struct {
	Count   frontend.Variable `gnark:"count,public"`   // messages
	Devices frontend.Variable `gnark:"devices,public"` // different ones that signed them
	FirstMs frontend.Variable `gnark:"firstMs,public"` // earliest time of a message, Unix ms
	LastMs  frontend.Variable `gnark:"lastMs,public"`  // latest
}

// Define states what the outputs are. The signatures are the SDK's part.
func (c *Circuit) Define(api frontend.API, m *sdk.Messages) error {
	m.AssertDistinct()
	m.AssertTimeSpan(c.FirstMs, c.LastMs)
	api.AssertIsEqual(c.Devices, m.Devices())
	api.AssertIsEqual(c.Count, m.Count)
	return nil
}

// Assign computes the outputs of a task.
func Assign(t sdk.Task) (sdk.Circuit, error) {
	type id struct {
		device string
		nonce  uint64
	}
	devices, seen := map[string]bool{}, map[id]int{}
	first, last := t.Messages[0].Time, t.Messages[0].Time
	for i, m := range t.Messages {
		device := string(m.Key.Bytes)
		if earlier, ok := seen[id{device, m.Nonce}]; ok {
			return nil, fmt.Errorf("message %d repeats device and nonce of message %d", i, earlier)
		}
		seen[id{device, m.Nonce}], devices[device] = i, true
		first, last = min(first, m.Time), max(last, m.Time)
	}
	return &Circuit{Count: len(t.Messages), Devices: len(devices), FirstMs: first, LastMs: last}, nil
}

// Project is the plugin as it is shipped.
func Project() *sdk.Project {
	return &sdk.Project{
		Name:         "ecdsa-batch",
		Version:      "1.0.0",
		BatchSize:    DefaultBatch,
		PayloadLimit: PayloadSize,
		DeviceScheme: wire.SchemeP256,
		New:          func(int) sdk.Circuit { return &Circuit{} },
		Assign:       Assign,
		Sample:       sample,
	}
}

func sample(i int) []byte {
	digest := wire.SHA256([]byte("gristmill sample attestation"), []byte{byte(i >> 8), byte(i)})
	return digest[:]
}
