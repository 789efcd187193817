package circuit_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gristmill-zk/gristmill/plugins/circuits/meter/circuit"
	"github.com/gristmill-zk/gristmill/plugins/sdk"
	"github.com/gristmill-zk/gristmill/plugins/sdk/sdktest"
	"github.com/gristmill-zk/gristmill/wire"
)

func reading(wh uint64) []byte {
	return circuit.Reading{EnergyWh: wh, PeriodStart: 1_700_000_000_000, PeriodMs: 1000}.Encode()
}

// small is the circuit with two slots: the same statement, half the time.
func small() *sdk.Project {
	p := circuit.Project()
	p.BatchSize = 2
	return p
}

func TestOutputs(t *testing.T) {
	t.Parallel()
	c := sdktest.New(t, circuit.Project())
	for _, test := range []struct {
		energy                  []uint64
		total, low, high, count uint64
	}{
		{[]uint64{5}, 5, 5, 5, 1},
		{[]uint64{0, 0}, 0, 0, 0, 2},
		{[]uint64{7, 3, 9}, 19, 3, 9, 3},
		{[]uint64{circuit.MaxEnergyWh, 1, 2, circuit.MaxEnergyWh}, 2*circuit.MaxEnergyWh + 3, 1, circuit.MaxEnergyWh, 4},
	} {
		var payloads [][]byte
		for _, wh := range test.energy {
			payloads = append(payloads, reading(wh))
		}
		w, err := c.Witness(c.Task(t, payloads...))
		require.NoError(t, err)
		require.NoError(t, c.Solve(w))
		var got []uint64
		for _, v := range w.Values[2:w.Public] {
			got = append(got, v.Uint64())
		}
		require.Equal(t, []uint64{test.total, test.low, test.high, test.count}, got)
	}
}

func TestWrongOutputsCanNotBeProven(t *testing.T) {
	t.Parallel()
	c := sdktest.New(t, small())
	for _, wrong := range []struct {
		name  string
		value int
	}{
		{"totalWh", 31}, {"totalWh", 29}, {"minWh", 9}, {"minWh", 11}, {"minWh", 0},
		{"maxWh", 19}, {"maxWh", 21}, {"count", 1}, {"count", 3},
	} {
		w, err := c.Witness(c.Task(t, reading(10), reading(20)))
		require.NoError(t, err)
		sdktest.Set(t, w, "Team_"+wrong.name, wrong.value)
		require.Error(t, c.Solve(w), "%s = %d", wrong.name, wrong.value)
	}
	// Nor does an unused slot count as a reading of nothing.
	w, err := c.Witness(c.Task(t, reading(10)))
	require.NoError(t, err)
	sdktest.Set(t, w, "Team_minWh", 0)
	require.Error(t, c.Solve(w))
}

func TestEveryInputIsBound(t *testing.T) {
	t.Parallel()
	c := sdktest.New(t, small())
	c.Probe(t, c.Task(t, reading(10), reading(20)))
	c.Probe(t, c.Task(t, reading(10)))
}

// Stored messages of devices and what must come of them.
func TestGolden(t *testing.T) {
	t.Parallel()
	c := sdktest.New(t, small())
	replay := c.Task(t, reading(10))
	replay.Messages = append(replay.Messages, replay.Messages[0])
	c.Golden(t, "testdata/golden.json", []sdktest.Case{
		{Name: "one reading", Body: c.Task(t, reading(1500))},
		{Name: "two devices", Body: c.Task(t, reading(0), reading(circuit.MaxEnergyWh))},
		{Name: "one device twice", Body: sdktest.Body(c.Message(t, 0, 10, reading(7)), c.Message(t, 0, 11, reading(3)))},
		{Name: "too much energy", Body: c.Task(t, reading(circuit.MaxEnergyWh+1)), Refused: "message 0: energyWh is 1000000001"},
		{Name: "replay", Body: replay, Refused: "message 1: nonce 10 of the device is not above 10 of message 0"},
	})
}

// A device's clock may stand still but not go back, whatever the slots between.
func TestOrderOfADevice(t *testing.T) {
	t.Parallel()
	p := circuit.Project()
	p.BatchSize = 3
	lax := laxProject()
	lax.BatchSize = 3
	c, only := sdktest.New(t, p), sdktest.New(t, lax)
	at := func(device int, nonce, time uint64) wire.Message {
		return c.MessageAt(t, device, nonce, time, reading(5))
	}
	for name, test := range map[string]struct {
		messages []wire.Message
		text     string
	}{
		"same time":               {[]wire.Message{at(0, 1, 100), at(0, 2, 100)}, ""},
		"rising":                  {[]wire.Message{at(0, 0, 100), at(1, 5, 50), at(0, 1, 101)}, ""},
		"largest numbers":         {[]wire.Message{at(0, 0, 0), at(0, 1<<64-1, 1<<64-1)}, ""},
		"time goes back":          {[]wire.Message{at(0, 1, 100), at(0, 2, 99)}, "message 1: time 99 of the device is before 100 of message 0"},
		"time back after another": {[]wire.Message{at(0, 1, 100), at(1, 5, 50), at(0, 2, 99)}, "message 2: time 99"},
		"nonce goes back":         {[]wire.Message{at(0, 2, 100), at(0, 1, 101)}, "message 1: nonce 1 of the device is not above 2"},
		"nonce back after two":    {[]wire.Message{at(0, 2, 100), at(0, 3, 100), at(0, 2, 101)}, "message 2: nonce 2"},
	} {
		body := sdktest.Body(test.messages...)
		if test.text == "" {
			require.NoError(t, c.Check(body), name)
			continue
		}
		require.ErrorContains(t, c.Check(body), test.text, name)
		require.Error(t, only.Check(body), "the circuit alone: %s", name)
	}
}

// Assign refuses bad messages by name; the circuit refuses them too, whoever
// makes the assignment.
func TestBadMessages(t *testing.T) {
	t.Parallel()
	honest := small()
	c := sdktest.New(t, honest)
	lax := sdktest.New(t, laxProject())
	long := reading(10)
	for name, test := range map[string]struct {
		body func(t *testing.T) *wire.Body
		text string
	}{
		"replay of a message": {func(t *testing.T) *wire.Body {
			b := c.Task(t, reading(10))
			b.Messages = append(b.Messages, b.Messages[0])
			return b
		}, "message 1: nonce 10 of the device is not above 10 of message 0"},
		"nonce used twice": {func(t *testing.T) *wire.Body {
			b := c.Task(t, reading(10))
			b.Messages = append(b.Messages, c.Message(t, 0, 10, reading(11)))
			return b
		}, "message 1: nonce 10 of the device is not above"},
		"too much energy": {func(t *testing.T) *wire.Body {
			return c.Task(t, reading(10), reading(circuit.MaxEnergyWh+1))
		}, "message 1: energyWh"},
		"huge energy": {func(t *testing.T) *wire.Body {
			return c.Task(t, reading(10), reading(1<<63))
		}, "message 1: energyWh"},
		"no period": {func(t *testing.T) *wire.Body {
			return c.Task(t, circuit.Reading{EnergyWh: 1}.Encode())
		}, "message 0: periodMs"},
		"long period": {func(t *testing.T) *wire.Body {
			return c.Task(t, circuit.Reading{EnergyWh: 1, PeriodMs: circuit.MaxPeriodMs + 1}.Encode())
		}, "message 0: periodMs"},
		"other format": {func(t *testing.T) *wire.Body {
			return c.Task(t, append([]byte{2}, long[1:]...))
		}, "message 0: payload format is 2"},
		"short payload": {func(t *testing.T) *wire.Body {
			return c.Task(t, long[:20])
		}, "message 0: payload has 20 bytes"},
		"long payload": {func(t *testing.T) *wire.Body {
			return c.Task(t, append(long[:21:21], 0))
		}, "message 0: payload has 22 bytes"},
		"wrong signature": {func(t *testing.T) *wire.Body {
			b := c.Task(t, reading(10), reading(20))
			b.Messages[0].Signature = b.Messages[1].Signature
			return b
		}, "constraint"},
	} {
		body := test.body(t)
		require.ErrorContains(t, c.Check(body), test.text, name)
		require.Error(t, lax.Check(body), "the circuit alone: %s", name)
	}
}

// laxProject is the circuit with an Assign that lies as well as it can.
func laxProject() *sdk.Project {
	p := small()
	p.Assign = func(t sdk.Task) (sdk.Circuit, error) {
		var total, low, high uint64
		for i, m := range t.Messages {
			padded := append(append([]byte{}, m.Payload...), make([]byte, 31)...)
			var wh uint64
			for _, b := range padded[1:9] {
				wh = wh<<8 | uint64(b)
			}
			if i == 0 {
				low = wh
			}
			total, low, high = total+wh, min(low, wh), max(high, wh)
		}
		return &circuit.Circuit{TotalWh: total, MinWh: low, MaxWh: high, Count: len(t.Messages)}, nil
	}
	return p
}

func FuzzParseReading(f *testing.F) {
	f.Add(reading(5))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, payload []byte) {
		r, err := circuit.ParseReading(payload)
		if err != nil {
			return
		}
		require.Equal(t, payload, r.Encode())
	})
}
