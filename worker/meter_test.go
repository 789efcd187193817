package worker_test

import (
	"crypto/rand"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gristmill-zk/gristmill/internal/groth16vk"
	"github.com/gristmill-zk/gristmill/internal/redistest"
	"github.com/gristmill-zk/gristmill/plugins/bundle"
	meter "github.com/gristmill-zk/gristmill/plugins/circuits/meter/circuit"
	"github.com/gristmill-zk/gristmill/plugins/host"
	"github.com/gristmill-zk/gristmill/wire"
	"github.com/gristmill-zk/gristmill/worker"
)

// TestMeterPluginOverRealRedis is the room's whole path with nothing made up:
// signed readings, the meter plugin built from source and run as a subprocess,
// the engine, a redis-server.
//
// It runs before the parallel tests: making a bundle turns off gnark's logger,
// a global that gnark reads in every verification.
func TestMeterPluginOverRealRedis(t *testing.T) {
	if testing.Short() {
		t.Skip("builds a plugin and sets up its keys")
	}
	dir := t.TempDir()
	built, err := bundle.Build(t.Context(), bundle.BuildConfig{
		Source: filepath.Join("..", "plugins", "circuits", "meter"), BatchSize: 2, OutDir: dir, AllowInsecure: true, Logger: quiet(),
	})
	require.NoError(t, err)
	plugins, err := host.New(host.Config{Slots: 2, Logger: quiet()})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, plugins.Close()) })

	r := newRigAt(t, redistest.Start(t).Addr)
	r.cfg.BundleDir, r.cfg.Plugins, r.digest = dir, worker.HostPlugins(plugins), built.Digest
	r.start()
	key := built.Manifest.VKID
	job := r.meterJob(1, key, []uint64{1500, 20})
	r.send(job)
	r.await(job, wire.ResultSolved)
	envelope := r.await(job, wire.ResultProved).ProofEnvelope
	require.Equal(t, []uint64{1520, 20, 1500, 2}, numbers(envelope.Outputs), "total, least, most, count")
	vk, err := built.VerifyingKey()
	require.NoError(t, err)
	inputs, err := wire.PublicInputs(job.Deployment, job.TaskID, job.Prover, job.DataCommitment, envelope.Outputs)
	require.NoError(t, err)
	require.NoError(t, groth16vk.Verify(vk, envelope.Proof, inputs))
	t.Logf("solve %.0f ms, prove %.0f ms, verify %.1f ms, %d constraints", envelope.SolveMS, envelope.ProveMS, envelope.VerifyMS, built.Manifest.Circuit.Constraints)

	// A reading that the circuit does not allow is told apart from a fault.
	wild := r.meterJob(2, key, []uint64{meter.MaxEnergyWh + 1})
	r.send(wild)
	require.False(t, r.fails(wild, "plugin_bad_task").Error.Retry)
	full := r.meterJob(3, key, []uint64{7})
	r.send(full)
	require.Equal(t, []uint64{7, 7, 7, 1}, numbers(r.await(full, wire.ResultProved).ProofEnvelope.Outputs))
}

// meterJob serves readings of one device and makes a job about them.
func (r *rig) meterJob(n byte, key wire.Hash, energies []uint64) *wire.Job {
	r.t.Helper()
	secret, err := wire.GenerateSecret(wire.SchemeEdDSABN254, rand.Reader)
	require.NoError(r.t, err)
	signer, err := wire.NewSigner(wire.SchemeEdDSABN254, secret)
	require.NoError(r.t, err)
	body := wire.Body{Project: 1, Version: 1}
	for i, wh := range energies {
		reading := meter.Reading{EnergyWh: wh, PeriodStart: 1_700_000_000_000 + 60_000*uint64(i), PeriodMs: 60_000}
		m := wire.Message{Project: 1, Nonce: uint64(i + 1), Time: 1_700_000_060_000, Payload: reading.Encode()}
		require.NoError(r.t, signer.Sign(deployment, meter.PayloadLimit, &m))
		body.Messages = append(body.Messages, m)
	}
	raw, err := body.MarshalBinary()
	require.NoError(r.t, err)
	r.setBody(raw)
	job := r.job(n)
	commitment, err := body.Commitment(deployment, 2, meter.PayloadLimit)
	require.NoError(r.t, err)
	job.BatchSize, job.PayloadLimit, job.DataCommitment = 2, meter.PayloadLimit, wire.ElementHash(commitment)
	job.VKID, job.Outputs = key, 4
	return job
}

func numbers(outputs []wire.Hash) []uint64 {
	out := make([]uint64, len(outputs))
	for i := range outputs {
		out[i] = outputs[i].Big().Uint64()
	}
	return out
}
