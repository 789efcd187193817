package sdk_test

import (
	"fmt"
	"testing"

	"github.com/consensys/gnark/frontend"
	"github.com/stretchr/testify/require"

	"github.com/gristmill-zk/gristmill/plugins/sdk"
	"github.com/gristmill-zk/gristmill/plugins/sdk/sdktest"
	"github.com/gristmill-zk/gristmill/wire"
)

// count is how many messages there are, and nothing else.
type count struct {
	Count frontend.Variable `gnark:"count,public"`
}

func (c *count) Define(api frontend.API, m *sdk.Messages) error {
	api.AssertIsEqual(c.Count, m.Count)
	return nil
}

func countProject(scheme wire.Scheme, batch int) *sdk.Project {
	return &sdk.Project{
		Name: "count", Version: "1", BatchSize: batch, PayloadLimit: 16, DeviceScheme: scheme,
		New:    func(int) sdk.Circuit { return new(count) },
		Assign: func(t sdk.Task) (sdk.Circuit, error) { return &count{Count: len(t.Messages)}, nil },
		Sample: func(i int) []byte { return fmt.Appendf(nil, "%016d", i) },
	}
}

func TestP256Devices(t *testing.T) {
	t.Parallel()
	c := sdktest.New(t, countProject(wire.SchemeP256, 2))
	require.Equal(t, "p256", c.Description.DeviceScheme)
	require.EqualValues(t, 1, c.Description.Commitments)
	payload := []byte("sixteen letters!")
	one := c.Task(t, payload)
	require.NoError(t, c.Check(one), "one slot of two")

	parities := map[byte]bool{}
	for i := 0; len(parities) < 2; i++ {
		m := c.Message(t, i, 1<<63, payload)
		parities[m.Key.Bytes[0]] = true
		require.NoError(t, c.Check(sdktest.Body(m)), "device %d", i)
	}
	good := c.Task(t, payload, []byte("other letters .."))
	for name, spoil := range map[string]func(m *wire.Message){
		"another payload":   func(m *wire.Message) { m.Payload = []byte("sixteen letters?") },
		"another nonce":     func(m *wire.Message) { m.Nonce++ },
		"another time":      func(m *wire.Message) { m.Time++ },
		"another key":       func(m *wire.Message) { m.Key = c.Signer(t, 7).Key() },
		"negative key":      func(m *wire.Message) { m.Key.Bytes[0] ^= 1 },
		"another signature": func(m *wire.Message) { m.Signature = good.Messages[1].Signature },
		"no signature":      func(m *wire.Message) { m.Signature = make([]byte, 64) },
	} {
		bad := c.Task(t, payload)
		spoil(&bad.Messages[0])
		require.ErrorContains(t, c.Check(bad), "constraint", name)
	}
	require.ErrorContains(t, c.Check(c.Task(t, []byte("short"))), "payload has 5 bytes, must have 16")

	if testing.Short() {
		t.Skip("the probe solves a large circuit for each of its inputs")
	}
	c.Probe(t, one)
}

func TestOtherSchemesAreRefusedByName(t *testing.T) {
	t.Parallel()
	for _, project := range []*sdk.Project{
		countProject(wire.SchemeEdDSABN254, 1), countProject(wire.SchemeP256, 1),
	} {
		for _, scheme := range wire.Schemes() {
			if scheme == project.DeviceScheme {
				continue
			}
			seed := wire.SHA256([]byte("other scheme"))
			signer, err := wire.NewSigner(scheme, seed[:])
			require.NoError(t, err)
			m := wire.Message{Project: 3, Nonce: 1, Payload: make([]byte, 16)}
			require.NoError(t, signer.Sign(sdktest.Deployment, 16, &m))
			_, err = sdk.NewWitness(project, sdktest.Deployment, sdktest.Body(m), wire.Hash{}, wire.Address{})
			require.ErrorIs(t, err, sdk.ErrTask)
			require.ErrorContains(t, err, fmt.Sprintf("message 0: device signs with %s, the circuit takes %s", scheme, project.DeviceScheme))
		}
	}
	for _, scheme := range []wire.Scheme{wire.SchemeEd25519, wire.SchemeSecp256k1, 9} {
		_, _, err := sdk.Compile(countProject(scheme, 1))
		require.ErrorContains(t, err, fmt.Sprintf("DeviceScheme is %s, a circuit takes eddsa-bn254 or p256", scheme))
	}
}
