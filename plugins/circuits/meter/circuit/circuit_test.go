package circuit_test

import (
	"encoding/binary"
	"math/big"
	"testing"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/stretchr/testify/require"

	"github.com/gristmill-zk/gristmill/plugins/circuits/meter/circuit"
	"github.com/gristmill-zk/gristmill/plugins/sdk"
	"github.com/gristmill-zk/gristmill/plugins/sdk/sdktest"
	"github.com/gristmill-zk/gristmill/wire"
)

// noon is when the periods of most readings begin.
const noon = 1_700_000_000_000

func reading(wh uint64) []byte { return readingOf(wh, noon, 1000) }

func readingOf(wh, start uint64, period uint32) []byte {
	return circuit.Reading{EnergyWh: wh, PeriodStart: start, PeriodMs: period}.Encode()
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
	c.Probe(t, sdktest.Body(c.Message(t, 0, 10, reading(10)), c.Message(t, 0, 11, reading(20))))
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
		{Name: "one device twice", Body: sdktest.Body(c.Message(t, 0, 10, reading(7)), c.Message(t, 0, 11, readingOf(3, noon+1000, 1)))},
		{Name: "a time that is counted already", Body: sdktest.Body(c.Message(t, 0, 10, reading(7)), c.Message(t, 0, 11, readingOf(3, noon+999, 1)))},
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
	periods := uint64(0) // each after the one before, whatever the message's time
	at := func(device int, nonce, time uint64) wire.Message {
		periods++
		return c.MessageAt(t, device, nonce, time, readingOf(5, noon+1000*periods, 1000))
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
			b.Messages = append(b.Messages, c.Message(t, 0, 10, readingOf(11, noon+1000, 1000)))
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
		c := claim(t.Messages)
		return &circuit.Circuit{TotalWh: c[0], MinWh: c[1], MaxWh: c[2], Count: c[3]}, nil
	}
	return p
}

// claim are the outputs for messages of whatever form: total, least, greatest
// and count.
func claim(messages []wire.Message) (c [4]uint64) {
	until := map[string]*big.Int{}
	for _, m := range messages {
		padded := append(append([]byte{}, m.Payload...), make([]byte, 31)...)
		wh, start := binary.BigEndian.Uint64(padded[1:]), new(big.Int).SetBytes(padded[9:17])
		device := string(m.Key.Bytes)
		if last, ok := until[device]; ok && start.Cmp(last) < 0 {
			continue
		}
		until[device] = start.Add(start, new(big.Int).SetBytes(padded[17:21]))
		if c[3] == 0 {
			c[1] = wh
		}
		c = [4]uint64{c[0] + wh, min(c[1], wh), max(c[2], wh), c[3] + 1}
	}
	return c
}

// A time of a device counts once, by the first reading that reports it.
func TestOverlappingPeriods(t *testing.T) {
	t.Parallel()
	p := circuit.Project()
	p.BatchSize = 3
	c := sdktest.New(t, p)
	const latest = 1<<64 - 1
	for name, test := range map[string]struct {
		readings []sent
		want     [4]uint64 // total, least, greatest, count
	}{
		"the same period":        {[]sent{{0, 5, noon, 1000}, {0, 7, noon, 1000}}, [4]uint64{5, 5, 5, 1}},
		"one after the other":    {[]sent{{0, 5, noon, 1000}, {0, 7, noon + 1000, 1}}, [4]uint64{12, 5, 7, 2}},
		"by a millisecond":       {[]sent{{0, 5, noon, 1000}, {0, 7, noon + 999, 1000}}, [4]uint64{5, 5, 5, 1}},
		"another device":         {[]sent{{0, 5, noon, 1000}, {1, 7, noon, 1000}}, [4]uint64{12, 5, 7, 2}},
		"a device between":       {[]sent{{0, 5, noon, 1000}, {1, 3, noon, 1000}, {0, 7, noon + 1, 1}}, [4]uint64{8, 3, 5, 2}},
		"what does not count":    {[]sent{{0, 5, noon, 1000}, {0, 1, noon + 999, 5000}, {0, 7, noon + 1000, 1}}, [4]uint64{12, 5, 7, 2}},
		"going back":             {[]sent{{0, 5, noon, 1000}, {0, 7, noon - 2000, 1000}}, [4]uint64{5, 5, 5, 1}},
		"one for the two before": {[]sent{{0, 5, noon, 1000}, {0, 6, noon + 1000, 1000}, {0, 11, noon, 2000}}, [4]uint64{11, 5, 6, 2}},
		"nothing but the most":   {[]sent{{0, circuit.MaxEnergyWh, noon, 1000}, {0, 0, noon, 1000}}, [4]uint64{circuit.MaxEnergyWh, circuit.MaxEnergyWh, circuit.MaxEnergyWh, 1}},
		"nothing but zero":       {[]sent{{0, 0, noon, 1000}, {0, 9, noon, 1000}}, [4]uint64{0, 0, 0, 1}},
		"the end of time":        {[]sent{{0, 5, latest, circuit.MaxPeriodMs}, {0, 7, latest, 1}}, [4]uint64{5, 5, 5, 1}},
		"from its beginning":     {[]sent{{0, 5, 0, 1}, {0, 7, 1, 1}, {0, 9, latest, 1}}, [4]uint64{21, 5, 9, 3}},
	} {
		var messages []wire.Message
		for i, r := range test.readings {
			messages = append(messages, c.Message(t, r.device, uint64(10+i), readingOf(r.wh, r.start, r.period)))
		}
		require.Equal(t, test.want, claim(messages), name)
		w, err := c.Witness(sdktest.Body(messages...))
		require.NoError(t, err, name)
		require.NoError(t, c.Solve(w), name)
		for i, output := range []string{"totalWh", "minWh", "maxWh", "count"} {
			require.Equal(t, fr.NewElement(test.want[i]), w.Values[2+i], "%s: %s", name, output)
		}
	}
}

// sent is a reading with its device.
type sent struct {
	device    int
	wh, start uint64
	period    uint32
}

// Neither can what does not count be counted, nor what counts be left out.
func TestOverlapIsNotTheProversChoice(t *testing.T) {
	t.Parallel()
	c := sdktest.New(t, small())
	for name, test := range map[string]struct {
		second []byte
		claims []uint64 // total, least, greatest, count
	}{
		"both of an overlap":     {readingOf(7, noon+999, 1), []uint64{12, 5, 7, 2}},
		"the second":             {readingOf(7, noon+999, 1), []uint64{7, 7, 7, 1}},
		"the total of both":      {readingOf(7, noon+999, 1), []uint64{12, 5, 5, 1}},
		"one that does not":      {readingOf(7, noon+1000, 1), []uint64{5, 5, 5, 1}},
		"the least of a shadow":  {readingOf(3, noon, 1), []uint64{5, 3, 5, 1}},
		"the most of a shadow":   {readingOf(7, noon, 1), []uint64{5, 5, 7, 1}},
		"the limit as the least": {readingOf(7, noon, 1), []uint64{5, circuit.MaxEnergyWh, 5, 1}},
	} {
		w, err := c.Witness(sdktest.Body(c.Message(t, 0, 10, reading(5)), c.Message(t, 0, 11, test.second)))
		require.NoError(t, err)
		require.NoError(t, c.Solve(w))
		for i, output := range []string{"totalWh", "minWh", "maxWh", "count"} {
			sdktest.Set(t, w, "Team_"+output, test.claims[i])
		}
		require.Error(t, c.Solve(w), name)
	}
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
