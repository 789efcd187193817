package circuit_test

import (
	"testing"

	"github.com/consensys/gnark/frontend"
	"github.com/stretchr/testify/require"

	"github.com/gristmill-zk/gristmill/plugins/scaffold/template/circuit"
	"github.com/gristmill-zk/gristmill/plugins/sdk"
	"github.com/gristmill-zk/gristmill/plugins/sdk/golden"
	"github.com/gristmill-zk/gristmill/plugins/sdk/sdktest"
)

// TestGoldenMessages solves the messages of messages.json: the good ones must
// give the outputs that are written there, the wrong ones must be refused.
func TestGoldenMessages(t *testing.T) {
	t.Parallel()
	cases, err := golden.Read("../messages.json")
	require.NoError(t, err)
	c := sdktest.New(t, circuit.Project())
	for _, g := range cases.Good {
		w, err := c.Witness(c.Task(t, g.Bytes()...))
		require.NoError(t, err, g.Name)
		require.NoError(t, c.Solve(w), g.Name)
		// Public inputs: binding, data commitment, outputs.
		for i, name := range c.Description.Outputs {
			require.Equal(t, g.Outputs[name], w.Values[2+i].String(), "%s: %s", g.Name, name)
		}
	}
	for _, g := range cases.Wrong {
		require.Error(t, c.Check(c.Task(t, g.Bytes()...)), g.Name)
	}
}

// careless is a plugin whose Assign checks nothing and claims these outputs:
// what the circuit itself refuses shows with it.
func careless(claimed circuit.Circuit) *sdk.Project {
	p := circuit.Project()
	p.Assign = func(sdk.Task) (sdk.Circuit, error) { return &claimed, nil }
	return p
}

// A plugin that lies about its messages gets no proof.
func TestCircuitRefuses(t *testing.T) {
	t.Parallel()
	reading := func(temperature uint16) []byte {
		return circuit.Reading{Temperature: temperature, TakenAt: 1_700_000_000_000}.Encode()
	}
	claim := func(warmest, tooWarm, readings frontend.Variable) circuit.Circuit {
		return circuit.Circuit{Warmest: warmest, TooWarm: tooWarm, Readings: readings}
	}
	c := sdktest.New(t, circuit.Project())
	for _, test := range []struct {
		name     string
		claim    circuit.Circuit
		payloads [][]byte
		good     bool
	}{
		{"the truth", claim(2900, 1, 2), [][]byte{reading(2800), reading(2900)}, true},
		{"at the limit", claim(circuit.ColdLimit, 0, 1), [][]byte{reading(circuit.ColdLimit)}, true},
		{"just above the limit", claim(circuit.ColdLimit+1, 1, 1), [][]byte{reading(circuit.ColdLimit + 1)}, true},
		{"just above the limit, hidden", claim(circuit.ColdLimit+1, 0, 1), [][]byte{reading(circuit.ColdLimit + 1)}, false},
		{"warmest too low", claim(2800, 1, 2), [][]byte{reading(2800), reading(2900)}, false},
		{"warmest too high", claim(2901, 1, 2), [][]byte{reading(2800), reading(2900)}, false},
		{"a reading left out", claim(2900, 1, 1), [][]byte{reading(2800), reading(2900)}, false},
		{"below what a sensor measures", claim(circuit.MinTemperature-1, 0, 1), [][]byte{reading(circuit.MinTemperature - 1)}, false},
		{"above what a sensor measures", claim(circuit.MaxTemperature+1, 1, 1), [][]byte{reading(circuit.MaxTemperature + 1)}, false},
		{"unknown format", claim(2800, 0, 1), [][]byte{append([]byte{2}, reading(2800)[1:]...)}, false},
		{"too short", claim(2800, 0, 1), [][]byte{reading(2800)[:circuit.PayloadSize-1]}, false},
	} {
		c.Project = careless(test.claim)
		err := c.Check(c.Task(t, test.payloads...))
		require.Equal(t, test.good, err == nil, "%s: %v", test.name, err)
	}
	c.Project = careless(claim(2800, 0, 2))
	twice := c.Task(t, reading(2800), reading(2800))
	twice.Messages[1] = c.Message(t, 0, twice.Messages[0].Nonce, reading(2800))
	require.Error(t, c.Check(twice), "device and nonce repeated")
}

// TestNothingIsFree changes every input of a witness and every answer of a hint:
// the circuit must notice.
// The slot that is not used is free, since its content counts for nothing.
func TestNothingIsFree(t *testing.T) {
	t.Parallel()
	p := circuit.Project()
	c := sdktest.New(t, p)
	var full [][]byte
	for i := range p.BatchSize {
		full = append(full, p.Sample(i))
	}
	c.Probe(t, c.Task(t, full...))
}
