package sdk_test

import (
	"testing"

	"github.com/consensys/gnark/frontend"
	"github.com/consensys/gnark/std/rangecheck"
	"github.com/stretchr/testify/require"

	"github.com/gristmill-zk/gristmill/plugins/sdk"
	"github.com/gristmill-zk/gristmill/plugins/sdk/sdktest"
)

// Circuits on gnark's lookups and emulated numbers compile and are solved in
// tests as any other; the probe still finds what they leave free.
func TestCircuitWithACommitment(t *testing.T) {
	t.Parallel()
	p := project(func(api frontend.API, c *sum, m *sdk.Messages) error {
		if err := defineSum(api, c, m); err != nil {
			return err
		}
		ranges := rangecheck.New(api)
		ranges.Check(c.Total, 17)
		for _, msg := range m.Items {
			v, err := msg.Uint(0, 2)
			if err != nil {
				return err
			}
			ranges.Check(v, 14)
		}
		return nil
	})
	c := sdktest.New(t, p)
	require.EqualValues(t, 1, c.Description.Commitments)
	good := c.Task(t, []byte{1, 44}, []byte{1, 244}, []byte{2, 1})
	require.NoError(t, c.Check(good))
	require.Error(t, c.Check(c.Task(t, []byte{1, 44}, []byte{64, 0})), "a reading of 15 bits")
	c.Probe(t, good)
}
