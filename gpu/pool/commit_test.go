package pool_test

import (
	"testing"

	"github.com/consensys/gnark-crypto/ecc/bn254"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/stretchr/testify/require"

	"github.com/gristmill-zk/gristmill/gpu"
	"github.com/gristmill-zk/gristmill/gpu/cpu"
	"github.com/gristmill-zk/gristmill/gpu/enginetest"
	"github.com/gristmill-zk/gristmill/gpu/pool"
)

// A commitment goes to another engine when a device fails it, and comes back
// when it is the work's fault.
func TestCommitGoesOn(t *testing.T) {
	t.Parallel()
	bad, good := &card{id: "bad"}, &card{id: "good"}
	bad.set(device("lost"))
	p := newPool(t, pool.Config{Devices: []gpu.Engine{bad}, Fallback: good})
	_, by, err := p.Commit(t.Context(), gpu.Key{ID: gpu.KeyID{1}}, 0, fr.Vector{fr.One()})
	require.NoError(t, err)
	require.Equal(t, "good", by)
	require.EqualValues(t, 1, p.Status()[0].Faults)

	bad.set(gpu.ErrBadSolution)
	_, _, err = p.Commit(t.Context(), gpu.Key{ID: gpu.KeyID{1}}, 0, fr.Vector{fr.One()})
	require.ErrorIs(t, err, gpu.ErrBadSolution)
	require.Len(t, good.proofs(), 1)

	alone := newPool(t, pool.Config{Devices: []gpu.Engine{bad}})
	bad.set(device("lost"))
	_, _, err = alone.Commit(t.Context(), gpu.Key{ID: gpu.KeyID{1}}, 0, fr.Vector{fr.One()})
	require.ErrorIs(t, err, gpu.ErrDevice)
	require.NoError(t, alone.Close())
	_, _, err = alone.Commit(t.Context(), gpu.Key{}, 0, nil)
	require.ErrorIs(t, err, gpu.ErrClosed)
}

// A solution over a wrong commitment is proven by nobody. That is the fault of
// the device that made it, not of the keys.
func TestWrongCommitmentIsItsDevicesFault(t *testing.T) {
	t.Parallel()
	f := enginetest.Get(t, "bsb22")
	fallback, err := cpu.New(cpu.Config{Memory: 1 << 30})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, fallback.Close()) })
	wrong := &card{id: "wrong"}
	wrong.set(errWrong)
	p := newPool(t, pool.Config{Devices: []gpu.Engine{wrong}, Fallback: fallback})

	task := pool.Task{Request: f.Request(t), Verify: f.Verify, CommittedBy: "wrong"}
	_, _, g, _ := bn254.Generators()
	task.Solution.Commitments[0].Point = g
	_, err = p.Prove(t.Context(), task)
	require.ErrorIs(t, err, gpu.ErrDevice)
	require.NotErrorIs(t, err, pool.ErrBlocked)
	require.ErrorContains(t, err, `device "wrong"`)
	require.EqualValues(t, 1, p.Status()[0].Faults)

	task = pool.Task{Request: f.Request(t), Verify: f.Verify, CommittedBy: "wrong"}
	task.Solution.W[len(task.Solution.W)-1].SetOne()
	_, err = p.Prove(t.Context(), task)
	require.ErrorIs(t, err, pool.ErrBlocked, "the commitment is right here")
}
