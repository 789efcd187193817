package circuit_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gristmill-zk/gristmill/plugins/circuits/meter/circuit"
	"github.com/gristmill-zk/gristmill/plugins/sdk"
)

// A change of the number means new keys for everyone: it must be meant.
func TestConstraintCount(t *testing.T) {
	t.Parallel()
	_, d, err := sdk.Compile(circuit.Project())
	require.NoError(t, err)
	require.Equal(t, []string{"totalWh", "minWh", "maxWh", "count"}, d.Outputs)
	require.EqualValues(t, 32_525, d.Constraints)
	require.LessOrEqual(t, d.Constraints, uint64(1<<15))
}
