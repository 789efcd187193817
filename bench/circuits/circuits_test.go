package circuits_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/consensys/gnark-crypto/ecc"
	"github.com/consensys/gnark/backend/groth16"
	gnarklog "github.com/consensys/gnark/logger"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/gristmill-zk/gristmill/bench/circuits"
)

func TestMain(m *testing.M) {
	gnarklog.Disable()
	goleak.VerifyTestMain(m)
}

// prove makes a proof with gnark from what the circuit has on disk.
func prove(t *testing.T, c *circuits.Circuit) groth16.Proof {
	t.Helper()
	file, err := os.Open(c.Path)
	require.NoError(t, err)
	defer func() { require.NoError(t, file.Close()) }()
	pk := groth16.NewProvingKey(ecc.BN254)
	require.NoError(t, pk.ReadDump(file))
	system, back, err := c.System()
	require.NoError(t, err)
	defer back()
	proof, err := groth16.Prove(system, pk, c.Witness)
	require.NoError(t, err)
	return proof
}

func TestCircuitsFillTheirDomainAndProve(t *testing.T) {
	t.Parallel()
	for kind, log := range map[string]int{"dense": 8, "bits": 8, "meter": 14, "geofence": 14} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			if log > 8 && testing.Short() {
				t.Skip("sets up a large circuit")
			}
			c, err := circuits.Make(t.Context(), kind, log, t.TempDir())
			require.NoError(t, err)
			require.LessOrEqual(t, c.Constraints, 1<<log)
			require.Greater(t, c.Constraints, 1<<(log-1))
			require.NoError(t, c.Verify(prove(t, c)))
		})
	}
}

func TestKeysAreKeptAndBelongToTheirCircuit(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first, err := circuits.Make(t.Context(), "dense", 5, dir)
	require.NoError(t, err)
	again, err := circuits.Make(t.Context(), "dense", 5, dir)
	require.NoError(t, err)
	require.Equal(t, first.Key.ID, again.Key.ID, "the second run found the first's key")
	require.NoError(t, again.Verify(prove(t, first)))
	other, err := circuits.Make(t.Context(), "dense", 6, dir)
	require.NoError(t, err)
	require.NotEqual(t, first.Path, other.Path)
	require.Error(t, other.Verify(prove(t, first)))
	require.NoError(t, os.WriteFile(first.Path[:len(first.Path)-2]+"vk", []byte("nonsense"), 0o600))
	_, err = circuits.Make(t.Context(), "dense", 5, dir)
	require.ErrorContains(t, err, "keys")
	left, err := filepath.Glob(filepath.Join(dir, ".*"))
	require.NoError(t, err)
	require.Empty(t, left, "no half-written file")
}

func TestSystemsAreLentToOneAtATime(t *testing.T) {
	t.Parallel()
	c, err := circuits.Make(t.Context(), "bits", 7, t.TempDir())
	require.NoError(t, err)
	require.NoError(t, c.Lend(2))
	a, backA, err := c.System()
	require.NoError(t, err)
	b, backB, err := c.System()
	require.NoError(t, err)
	require.NotSame(t, a, b)
	_, err = b.Solve(c.Witness)
	require.NoError(t, err)
	backA()
	backB()
	again, back, err := c.System()
	require.NoError(t, err)
	defer back()
	require.Same(t, a, again)
}

func TestWhatCanNotBeMadeIsNamed(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		kind string
		log  int
		want error
		text string
	}{
		{"meters", 14, circuits.ErrUnknown, `"meters", there are meter, geofence, dense, bits`},
		{"meter", 12, circuits.ErrSize, "2^13 to 2^26"},
		{"dense", 3, circuits.ErrSize, "not 2^3"},
		{"bits", 27, circuits.ErrSize, "not 2^27"},
	} {
		_, err := circuits.Make(t.Context(), c.kind, c.log, t.TempDir())
		require.ErrorIs(t, err, c.want)
		require.ErrorContains(t, err, c.text)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(context.DeadlineExceeded)
	_, err := circuits.Make(ctx, "dense", 6, t.TempDir())
	require.ErrorIs(t, err, context.DeadlineExceeded)
}
