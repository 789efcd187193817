package check_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/gristmill-zk/gristmill/gpu"
	"github.com/gristmill-zk/gristmill/gpu/check"
	"github.com/gristmill-zk/gristmill/gpu/cpu"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestKnownAnswer(t *testing.T) {
	t.Parallel()
	engine, err := cpu.New(cpu.Config{})
	require.NoError(t, err)
	require.NoError(t, check.KnownAnswer(t.Context(), engine))
	require.ErrorIs(t, check.KnownAnswer(t.Context(), spoiling{engine}), check.ErrWrong)
	require.ErrorIs(t, check.KnownAnswer(t.Context(), blinding{engine}), check.ErrWrong)
	require.NoError(t, engine.Close())
	require.ErrorIs(t, check.KnownAnswer(t.Context(), engine), gpu.ErrClosed)
}

// spoiling is an engine whose proofs are wrong.
type spoiling struct{ gpu.Engine }

func (s spoiling) Prove(ctx context.Context, req gpu.Request) (*gpu.Proof, error) {
	proof, err := s.Engine.Prove(ctx, req)
	if err == nil {
		proof.Krs.Neg(&proof.Krs)
	}
	return proof, err
}

// blinding is an engine that does not use the blinding it was given.
type blinding struct{ gpu.Engine }

func (b blinding) Prove(ctx context.Context, req gpu.Request) (*gpu.Proof, error) {
	req.Blinding.R.SetUint64(7)
	return b.Engine.Prove(ctx, req)
}
