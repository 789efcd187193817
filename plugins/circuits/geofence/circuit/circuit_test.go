package circuit_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gristmill-zk/gristmill/plugins/circuits/geofence/circuit"
	"github.com/gristmill-zk/gristmill/plugins/sdk"
	"github.com/gristmill-zk/gristmill/plugins/sdk/sdktest"
	"github.com/gristmill-zk/gristmill/wire"
)

// Positions inside and outside of the shipped fence, and a moment at which a
// minute begins.
var (
	inside  = circuit.Position{Lat: 525_100_000, Lon: 133_650_000}.Encode()
	outside = circuit.Position{Lat: 525_180_000, Lon: 133_700_000}.Encode()
	lost    = circuit.Position{Lat: 1<<31 - 1, Lon: -1 << 31}.Encode()
)

const noon = 28_333_333 * 60_000

func compiled(t *testing.T, batch int) *sdktest.Circuit {
	t.Helper()
	p, err := circuit.Project()
	require.NoError(t, err)
	p.BatchSize = batch
	return sdktest.New(t, p)
}

func TestOutputs(t *testing.T) {
	t.Parallel()
	c := compiled(t, 3)
	at := func(device int, nonce, time uint64, payload []byte) wire.Message {
		return c.MessageAt(t, device, nonce, time, payload)
	}
	for name, test := range map[string]struct {
		messages                            []wire.Message
		minutes, inside, count, first, last uint64
	}{
		"inside":           {[]wire.Message{at(0, 1, noon, inside)}, 1, 1, 1, noon, noon},
		"outside":          {[]wire.Message{at(0, 1, noon, outside)}, 0, 0, 1, noon, noon},
		"not on the globe": {[]wire.Message{at(0, 1, noon, lost)}, 0, 0, 1, noon, noon},
		"the same minute twice": {[]wire.Message{
			at(0, 1, noon, inside), at(0, 2, noon+59_999, inside), at(0, 3, noon+60_000, inside),
		}, 2, 3, 3, noon, noon + 60_000},
		"two devices in one minute": {[]wire.Message{
			at(0, 1, noon+5, inside), at(1, 1, noon, inside), at(0, 2, noon+7, inside),
		}, 2, 3, 3, noon, noon + 7},
		"out and in within a minute": {[]wire.Message{
			at(0, 1, noon, outside), at(0, 2, noon+1, inside), at(0, 3, noon+2, outside),
		}, 1, 1, 3, noon, noon + 2},
	} {
		got, err := c.Outputs(sdktest.Body(test.messages...))
		require.NoError(t, err, name)
		numbers := make([]uint64, 0, 5)
		for _, v := range got[1:] {
			numbers = append(numbers, v.Uint64())
		}
		require.Equal(t, []uint64{test.minutes, test.inside, test.count, test.first, test.last}, numbers, name)
		for i, wrong := range []string{"fence", "minutes", "inside", "count", "firstMs", "lastMs"} {
			w, err := c.Witness(sdktest.Body(test.messages...))
			require.NoError(t, err)
			sdktest.Set(t, w, "Team_"+wrong, w.Values[2+i].Uint64()+1)
			require.Error(t, c.Solve(w), "%s: another %s", name, wrong)
		}
	}
}

func TestEveryInputIsBound(t *testing.T) {
	t.Parallel()
	c := compiled(t, 2)
	c.Probe(t, c.Task(t, inside, outside))
	c.Probe(t, c.Task(t, inside))
}

func TestGolden(t *testing.T) {
	t.Parallel()
	c := compiled(t, 2)
	replay := c.Task(t, inside)
	replay.Messages = append(replay.Messages, replay.Messages[0])
	c.Golden(t, "testdata/golden.json", []sdktest.Case{
		{Name: "inside", Body: c.Task(t, inside)},
		{Name: "one of two", Body: c.Task(t, outside, inside)},
		{Name: "replay", Body: replay, Refused: "message 1 repeats device and nonce of message 0"},
		{Name: "short payload", Body: c.Task(t, inside[:8]), Refused: "message 0: payload has 8 bytes, a position has 9"},
		{Name: "other format", Body: c.Task(t, append([]byte{2}, inside[1:]...)), Refused: "message 0: payload format is 2"},
	})
}

// What Assign refuses the circuit refuses, whoever makes the assignment.
func TestBadMessagesCanNotBeProven(t *testing.T) {
	t.Parallel()
	p, err := circuit.Project()
	require.NoError(t, err)
	p.BatchSize = 2
	honest := p.Assign
	// The outputs of two positions outside at one time are also those of one that
	// is sent twice: only the circuit's own check is left.
	signing := sdktest.New(t, p)
	at := func(nonce uint64, payload []byte) wire.Message { return signing.MessageAt(t, 1, nonce, noon, payload) }
	good := sdktest.Body(signing.MessageAt(t, 0, 10, noon, outside), at(11, outside))
	p.Assign = func(task sdk.Task) (sdk.Circuit, error) {
		task.Messages = good.Messages
		return honest(task)
	}
	c := sdktest.New(t, p)
	require.NoError(t, c.Check(good))
	for name, change := range map[string]wire.Message{
		"replay":        good.Messages[0],
		"other format":  at(11, append([]byte{2}, outside[1:]...)),
		"short payload": at(11, outside[:8]),
		"long payload":  at(11, append(outside[:9:9], 0)),
		"inside":        at(11, inside),
	} {
		bad := sdktest.Body(good.Messages[0], change)
		require.ErrorContains(t, c.Check(bad), "constraint", name)
	}
}

// A change of the number means new keys for everyone: it must be meant.
func TestConstraintCount(t *testing.T) {
	t.Parallel()
	p, err := circuit.Project()
	require.NoError(t, err)
	_, d, err := sdk.Compile(p)
	require.NoError(t, err)
	require.Equal(t, []string{"fence", "minutes", "inside", "count", "firstMs", "lastMs"}, d.Outputs)
	require.EqualValues(t, 58_933, d.Constraints)
	require.LessOrEqual(t, d.Constraints, uint64(1<<16))
}

func FuzzParsePosition(f *testing.F) {
	f.Add(inside)
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, payload []byte) {
		p, err := circuit.ParsePosition(payload)
		if err != nil {
			return
		}
		require.Equal(t, payload, p.Encode())
	})
}
