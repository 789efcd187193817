package host_test

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"

	"github.com/consensys/gnark-crypto/ecc/bn254"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	groth16 "github.com/consensys/gnark/backend/groth16/bn254"
	"github.com/stretchr/testify/require"

	"github.com/gristmill-zk/gristmill/internal/bsb22"
	"github.com/gristmill-zk/gristmill/plugins/host"
	"github.com/gristmill-zk/gristmill/plugins/internal/faulty"
)

// provingKey is the committing bundle's.
var provingKey = sync.OnceValues(func() (*groth16.ProvingKey, error) { return committing.ProvingKey() })

// committingCircuit opens the circuit with a commitment.
func committingCircuit(t *testing.T) *host.Circuit {
	t.Helper()
	h, err := host.New(host.Config{Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, h.Close()) })
	c, err := h.Open(t.Context(), committing)
	require.NoError(t, err)
	return c
}

// committingTask makes its commitments with the bundle's key.
func committingTask(t *testing.T, m faulty.Mode) host.Task {
	t.Helper()
	out, err := newTaskOf(m, uint64(m)+1, faulty.Committing)
	require.NoError(t, err)
	pk, err := provingKey()
	require.NoError(t, err)
	out.Commit = func(_ context.Context, values fr.Vector) (bn254.G1Affine, error) {
		return pk.CommitmentKeys[0].Commit(values)
	}
	return out
}

func TestCommitment(t *testing.T) {
	t.Parallel()
	require.EqualValues(t, 1, committing.Manifest.Circuit.Commitments)
	c := committingCircuit(t)
	for nonce := range uint64(2) { // the second time in the same process
		good := committingTask(t, faulty.Honest)
		commit, calls := good.Commit, 0
		var committed fr.Vector
		good.Commit = func(ctx context.Context, values fr.Vector) (bn254.G1Affine, error) {
			calls++
			committed = append(committed, values...)
			return commit(ctx, values)
		}
		s, err := c.Solve(t.Context(), good)
		require.NoError(t, err, nonce)
		require.Equal(t, 1, calls)
		require.NotNil(t, s.Commitment)
		for i, wire := range s.Commitment.Wires {
			require.Equal(t, committed[i], s.W[wire])
		}
		// The output is committed to, and public.
		require.Equal(t, bsb22.Challenge(&s.Commitment.Point, s.W[3:4]), s.W[s.Commitment.Challenge])
	}
}

// Whatever a plugin does about its commitment costs its own attempt.
func TestCommitmentMisbehaviour(t *testing.T) {
	t.Parallel()
	c := committingCircuit(t)
	for name, test := range map[string]struct {
		mode faulty.Mode
		text string
	}{
		"twice":     {faulty.CommitTwice, "asks for a commitment a second time"},
		"fewer":     {faulty.CommitFewer, "values, the circuit to"},
		"garbage":   {faulty.CommitGarbage, "committed values: element 1 is not below the modulus"},
		"other":     {faulty.CommitOther, "is not what the plugin committed to"},
		"never":     {faulty.CommitNever, "did not ask for it"},
		"challenge": {faulty.WrongChallenge, "the challenge does not follow from the commitment"},
		"wire":      {faulty.WrongWire, "does not follow from the wires"},
		"stale":     {faulty.Stale, "wrong magic"},
	} {
		_, err := c.Solve(t.Context(), committingTask(t, test.mode))
		var failure *host.Error
		require.ErrorAs(t, err, &failure, name)
		require.Equal(t, host.CodeBadSolution, failure.Code, "%s: %v", name, err)
		require.Contains(t, err.Error(), test.text, name)
		require.True(t, failure.Retry(), name)
	}
	_, err := c.Solve(t.Context(), committingTask(t, faulty.Unsatisfied))
	var failure *host.Error
	require.ErrorAs(t, err, &failure)
	require.Equal(t, host.CodeUnsatisfied, failure.Code)
	_, err = c.Solve(t.Context(), committingTask(t, faulty.Honest))
	require.NoError(t, err)
}

// A commitment that could not be made is not the plugin's fault, and its error
// comes back as it was.
func TestCommitmentThatFails(t *testing.T) {
	t.Parallel()
	c := committingCircuit(t)
	lost := errors.New("the card is lost")
	bad := committingTask(t, faulty.Honest)
	bad.Commit = func(context.Context, fr.Vector) (bn254.G1Affine, error) { return bn254.G1Affine{}, lost }
	_, err := c.Solve(t.Context(), bad)
	var failure *host.Error
	require.ErrorAs(t, err, &failure)
	require.Equal(t, host.CodeCommit, failure.Code)
	require.ErrorIs(t, err, lost)
	require.True(t, failure.Retry())

	bad.Commit = nil
	_, err = c.Solve(t.Context(), bad)
	require.ErrorAs(t, err, &failure)
	require.Equal(t, host.CodeCommit, failure.Code)

	ctx, cancel := context.WithCancel(t.Context())
	bad.Commit = func(ctx context.Context, _ fr.Vector) (bn254.G1Affine, error) {
		cancel()
		<-ctx.Done() // it ends with the solve
		return bn254.G1Affine{}, ctx.Err()
	}
	_, err = c.Solve(ctx, bad)
	require.ErrorAs(t, err, &failure)
	require.Equal(t, host.CodeCanceled, failure.Code)
}
