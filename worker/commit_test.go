package worker_test

import (
	"context"
	"testing"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gristmill-zk/gristmill/internal/groth16vk"
	"github.com/gristmill-zk/gristmill/plugins/host"
	"github.com/gristmill-zk/gristmill/wire"
	"github.com/gristmill-zk/gristmill/worker"
)

// TestPluginWithACommitment: the plugin asks for its commitment in mid-solution,
// the worker's engine makes it, and the proof in the result has it. It is no
// parallel test for the reason that the meter's is none.
func TestPluginWithACommitment(t *testing.T) {
	if testing.Short() {
		t.Skip("builds a plugin and sets up its keys")
	}
	built, err := committingBundle()
	require.NoError(t, err)
	plugins, err := host.New(host.Config{Logger: quiet()})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, plugins.Close()) })

	r := newRig(t)
	r.cfg.BundleDir, r.cfg.Plugins = pluginDir, worker.HostPlugins(plugins)
	r.start()
	job := r.committingJob(1, built)
	r.send(job)

	envelope := r.await(job, wire.ResultProved).ProofEnvelope
	require.True(t, envelope.Proof.Committed())
	vk, err := built.VerifyingKey()
	require.NoError(t, err)
	inputs, err := wire.PublicInputs(job.Deployment, job.TaskID, job.Prover, job.DataCommitment, envelope.Outputs)
	require.NoError(t, err)
	require.NoError(t, groth16vk.Verify(vk, envelope.Proof, inputs))
}

// A commitment that the engine fails is the engine's failure, not the plugin's.
func TestCommitmentThatTheEngineFails(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.plugins.before = func(ctx context.Context, task host.Task) error {
		_, err := task.Commit(ctx, fr.Vector{fr.One()}) // this circuit's key has none
		return &host.Error{Code: host.CodeCommit, Plugin: "counting", Task: task.ID, Err: err}
	}
	r.start()
	job := r.job(1)
	r.send(job)
	require.True(t, r.fails(job, worker.CodeEngine).Error.Retry)
}
