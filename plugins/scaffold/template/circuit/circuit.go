// Package circuit is the statement that the plugin proves: of a batch of signed
// temperature readings, how warm the warmest was and how many were too warm.
package circuit

import (
	"fmt"

	"github.com/consensys/gnark/frontend"

	"github.com/gristmill-zk/gristmill/plugins/sdk"
)

const (
	// batch is how many messages a task has room for.
	batch = 2

	// payloadLimit is how many bytes of payload a message has room for. The
	// circuit's size grows in steps of 31.
	payloadLimit = 31

	// temperatureBits hold every temperature.
	temperatureBits = 16
)

// Circuit has the outputs, in the order in which they are settled on chain.
type Circuit struct {
	Warmest  frontend.Variable `gnark:"warmest,public"`  // tenths of a kelvin
	TooWarm  frontend.Variable `gnark:"tooWarm,public"`  // readings above ColdLimit
	Readings frontend.Variable `gnark:"readings,public"` // messages in the task
}

// Define says what the outputs have to do with the messages. That each message
// is signed by its device and belongs to the task is the SDK's part.
func (c *Circuit) Define(api frontend.API, m *sdk.Messages) error {
	temperatures := make([]frontend.Variable, len(m.Items))
	tooWarm := frontend.Variable(0)
	for i, msg := range m.Items {
		var err error
		if temperatures[i], err = defineReading(api, msg); err != nil {
			return fmt.Errorf("reading %d: %w", i, err)
		}
		tooWarm = api.Add(tooWarm, api.Mul(msg.Used, isAbove(api, temperatures[i], ColdLimit)))
	}
	m.AssertDistinct()
	m.AssertIsMax(c.Warmest, temperatures, temperatureBits)
	api.AssertIsEqual(c.TooWarm, tooWarm)
	api.AssertIsEqual(c.Readings, m.Count)
	return nil
}

// defineReading checks a payload as ParseReading does and returns its temperature.
func defineReading(api frontend.API, m *sdk.Message) (frontend.Variable, error) {
	m.AssertEqual(m.PayloadLen, PayloadSize)
	m.AssertEqual(m.Bytes()[0], Format)
	temperature, err := m.Uint(offsetTemperature, temperatureBits/8)
	if err != nil {
		return nil, err
	}
	m.AssertAtMost(api.Sub(temperature, MinTemperature), MaxTemperature-MinTemperature)
	return temperature, nil
}

// isAbove is 1 if a temperature is above limit, else 0: temperature + 2^16−1 −
// limit reaches 2^16 exactly then.
func isAbove(api frontend.API, temperature frontend.Variable, limit int) frontend.Variable {
	const top = 1<<temperatureBits - 1
	return api.ToBinary(api.Add(temperature, top-limit), temperatureBits+1)[temperatureBits]
}

// Assign computes the outputs of a task. An error refuses it.
func Assign(t sdk.Task) (sdk.Circuit, error) {
	type id struct {
		device string
		nonce  uint64
	}
	seen := map[id]int{}
	var warmest uint16
	tooWarm := 0
	for i, msg := range t.Messages {
		r, err := ParseReading(msg.Payload)
		if err != nil {
			return nil, fmt.Errorf("message %d: %w", i, err)
		}
		key := id{string(msg.Key.Bytes), msg.Nonce}
		if first, repeated := seen[key]; repeated {
			return nil, fmt.Errorf("message %d repeats device and nonce of message %d", i, first)
		}
		seen[key] = i
		warmest = max(warmest, r.Temperature)
		if r.Temperature > ColdLimit {
			tooWarm++
		}
	}
	return &Circuit{Warmest: warmest, TooWarm: tooWarm, Readings: len(t.Messages)}, nil
}

// Project is the plugin.
func Project() *sdk.Project {
	return &sdk.Project{
		Name:         "coldchain",
		Version:      "0.1.0",
		BatchSize:    batch,
		PayloadLimit: payloadLimit,
		New:          func(int) sdk.Circuit { return &Circuit{} },
		Assign:       Assign,
		Sample:       sample,
	}
}

// sample is the payload of message i of a task that anybody may see.
func sample(i int) []byte {
	return Reading{Temperature: ColdLimit - 10 + 20*uint16(i%2), TakenAt: 1_700_000_000_000}.Encode()
}
