package circuit_test

import (
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gristmill-zk/gristmill/plugins/circuits/ecdsa-batch/circuit"
	"github.com/gristmill-zk/gristmill/plugins/sdk"
	"github.com/gristmill-zk/gristmill/plugins/sdk/sdktest"
	"github.com/gristmill-zk/gristmill/wire"
)

func digest(b byte) []byte {
	d := wire.SHA256([]byte{b})
	return d[:]
}

// One message of one device: the smallest circuit there is, and large enough.
func TestOneMessage(t *testing.T) {
	t.Parallel()
	p := circuit.Project()
	p.BatchSize = 1
	c := sdktest.New(t, p)
	require.Equal(t, []string{"count", "devices", "firstMs", "lastMs"}, c.Description.Outputs)
	// A change of the number means new keys for everyone: it must be meant.
	require.EqualValues(t, 224_964, c.Description.Constraints)
	good := c.Task(t, digest(1))
	forged := c.Task(t, digest(1))
	forged.Messages[0].Payload = digest(2)
	stolen := c.Task(t, digest(1))
	stolen.Messages[0].Key = c.Signer(t, 1).Key()
	c.Golden(t, "testdata/golden.json", []sdktest.Case{
		{Name: "one attestation", Body: good},
		{Name: "another payload under the signature", Body: forged, Refused: "constraint"},
		{Name: "another key under the signature", Body: stolen, Refused: "constraint"},
		{Name: "short payload", Body: c.Task(t, digest(1)[:31]), Refused: "message 0: payload has 31 bytes, must have 32"},
	})
	if testing.Short() {
		t.Skip("the probe solves a large circuit for each of its inputs")
	}
	c.Probe(t, good)
}

// The outputs are the same with devices of the cheap scheme, which makes a batch
// of three quick to check.
func TestOutputs(t *testing.T) {
	t.Parallel()
	p := circuit.Project()
	p.BatchSize, p.DeviceScheme = 3, wire.SchemeEdDSABN254
	c := sdktest.New(t, p)
	at := func(device int, nonce, time uint64) wire.Message {
		return c.MessageAt(t, device, nonce, time, digest(byte(nonce)))
	}
	for name, test := range map[string]struct {
		messages                    []wire.Message
		count, devices, first, last uint64
	}{
		"one":            {[]wire.Message{at(0, 1, 7)}, 1, 1, 7, 7},
		"three devices":  {[]wire.Message{at(0, 1, 7), at(1, 1, 9), at(2, 1, 8)}, 3, 3, 7, 9},
		"one comes back": {[]wire.Message{at(0, 1, 9), at(1, 1, 7), at(0, 2, 8)}, 3, 2, 7, 9},
		"one alone":      {[]wire.Message{at(0, 1, 0), at(0, 2, 1<<64-1)}, 2, 1, 0, 1<<64 - 1},
	} {
		got, err := c.Outputs(sdktest.Body(test.messages...))
		require.NoError(t, err, name)
		var numbers []uint64
		for _, v := range got {
			numbers = append(numbers, v.Uint64())
		}
		require.Equal(t, []uint64{test.count, test.devices, test.first, test.last}, numbers, name)
	}
	replay := sdktest.Body(at(0, 1, 7), at(0, 1, 8))
	require.ErrorContains(t, c.Check(replay), "message 1 repeats device and nonce of message 0")
	c.Probe(t, sdktest.Body(at(0, 1, 9), at(0, 2, 8)))
}

// What Assign refuses the circuit refuses.
func TestReplayCanNotBeProven(t *testing.T) {
	t.Parallel()
	p := circuit.Project()
	p.BatchSize, p.DeviceScheme = 2, wire.SchemeEdDSABN254
	p.Assign = func(t sdk.Task) (sdk.Circuit, error) {
		return &circuit.Circuit{Count: 2, Devices: 1, FirstMs: t.Messages[0].Time, LastMs: t.Messages[1].Time}, nil
	}
	c := sdktest.New(t, p)
	require.NoError(t, c.Check(sdktest.Body(c.Message(t, 0, 1, digest(1)), c.Message(t, 0, 2, digest(1)))))
	require.Error(t, c.Check(sdktest.Body(c.Message(t, 0, 1, digest(1)), c.MessageAt(t, 0, 1, 1_700_000_000_009, digest(1)))))
}

// The sizes that the README tells; they take a minute and gigabytes.
func TestLargeSizes(t *testing.T) {
	if os.Getenv("GRISTMILL_LARGE") == "" {
		t.Skip("set GRISTMILL_LARGE=1 to compile and solve batches of 1 to 5")
	}
	for batch, domain := range map[int]uint64{1: 1 << 18, 2: 1 << 19, 4: 1 << 20, 5: 1 << 20} {
		p := circuit.Project()
		p.BatchSize = batch
		start := time.Now()
		c := sdktest.New(t, p)
		compiled := time.Since(start)
		require.LessOrEqual(t, c.Description.Constraints, domain)
		require.Greater(t, c.Description.Constraints, domain/2)
		var payloads [][]byte
		for i := range batch {
			payloads = append(payloads, digest(byte(i)))
		}
		start = time.Now()
		require.NoError(t, c.Check(c.Task(t, payloads...)))
		t.Logf("batch %d: %d constraints, compiled in %v, solved in %v", batch, c.Description.Constraints, compiled, time.Since(start))
	}
}
