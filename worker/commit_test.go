package worker_test

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gristmill-zk/gristmill/internal/groth16vk"
	"github.com/gristmill-zk/gristmill/plugins/bundle"
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
	const committing, limit = 2, 8 // the batch size for which this plugin's circuit uses a commitment
	dir := t.TempDir()
	built, err := bundle.Build(t.Context(), bundle.BuildConfig{
		Source: filepath.Join("..", "plugins", "internal", "faulty", "cmd"), BatchSize: committing, OutDir: dir, AllowInsecure: true, Logger: quiet(),
	})
	require.NoError(t, err)
	plugins, err := host.New(host.Config{Logger: quiet()})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, plugins.Close()) })

	r := newRig(t)
	r.cfg.BundleDir, r.cfg.Plugins, r.digest = dir, worker.HostPlugins(plugins), built.Digest
	r.start()
	signer, err := wire.NewSigner(wire.SchemeEdDSABN254, make([]byte, 32))
	require.NoError(t, err)
	body := wire.Body{Project: 1, Version: 1, Messages: []wire.Message{{Project: 1, Nonce: 1, Time: 1_700_000_000_000, Payload: []byte{0}}}}
	require.NoError(t, signer.Sign(deployment, limit, &body.Messages[0]))
	raw, err := body.MarshalBinary()
	require.NoError(t, err)
	r.setBody(raw)
	commitment, err := body.Commitment(deployment, committing, limit)
	require.NoError(t, err)
	job := r.job(1)
	job.BatchSize, job.PayloadLimit, job.DataCommitment = committing, limit, wire.ElementHash(commitment)
	job.VKID, job.Outputs = built.Manifest.VKID, 1
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
