package worker_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gristmill-zk/gristmill/internal/redistest"
	"github.com/gristmill-zk/gristmill/plugins/bundle"
	fault "github.com/gristmill-zk/gristmill/plugins/circuits/fault/circuit"
	"github.com/gristmill-zk/gristmill/plugins/host"
	"github.com/gristmill-zk/gristmill/wire"
	"github.com/gristmill-zk/gristmill/worker"
)

// TestBadPluginCostsItsAttempt has the plugin fault misbehave under a whole
// worker. What is sent for the failed attempt is what the scheduler keeps in the
// task's history, and the next task is proven.
//
// Not parallel, for the reason that TestMeterPluginOverRealRedis gives.
func TestBadPluginCostsItsAttempt(t *testing.T) {
	if testing.Short() {
		t.Skip("builds a plugin and sets up its keys")
	}
	dir := t.TempDir()
	built, err := bundle.Build(t.Context(), bundle.BuildConfig{
		Source: filepath.Join("..", "plugins", "circuits", "fault"), OutDir: dir, AllowInsecure: true, Logger: quiet(),
	})
	require.NoError(t, err)
	workerThat := func(patience time.Duration) *rig {
		plugins, err := host.New(host.Config{MemoryLimit: 256 << 20, SolveTimeout: patience, Logger: quiet()})
		require.NoError(t, err)
		t.Cleanup(func() { assert.NoError(t, plugins.Close()) })
		r := newRigAt(t, redistest.Embedded(t).Addr())
		r.cfg.BundleDir, r.cfg.Plugins, r.digest = dir, worker.HostPlugins(plugins), built.Digest
		return r.start()
	}
	r := workerThat(time.Minute)

	var n byte
	for _, f := range []struct{ message, code, reason string }{
		{"crash", "plugin_crashed", "the plugin's process ended with status 3, after printing: fault: it ends now"},
		{"memory", "plugin_crashed", "(it may use 256 MiB)"},
		{"wrong-output", "plugin_bad_solution", "public wire 3 (output 0) is not the task's"},
	} {
		n++
		bad := r.faultJob(n, built.Manifest.VKID, f.message)
		r.send(bad)
		failed := r.fails(bad, f.code).Error
		require.Contains(t, failed.Message, f.reason)
		require.True(t, failed.Retry)
	}
	hasty := workerThat(2 * time.Second)
	hung := hasty.faultJob(1, built.Manifest.VKID, "hang")
	hasty.send(hung)
	failed := hasty.fails(hung, "plugin_timeout").Error
	require.Contains(t, failed.Message, "and no more time for it; the plugin's process was ended")
	require.True(t, failed.Retry)
	good := r.faultJob(n+1, built.Manifest.VKID, string(fault.Honest))
	r.send(good)
	require.Equal(t, []uint64{'h'}, numbers(r.await(good, wire.ResultProved).ProofEnvelope.Outputs))
}

// faultJob serves a message to the plugin fault and makes a job about it.
func (r *rig) faultJob(n byte, key wire.Hash, message string) *wire.Job {
	r.t.Helper()
	signer, err := wire.NewSigner(wire.SchemeEdDSABN254, append(make([]byte, 31), 1))
	require.NoError(r.t, err)
	m := wire.Message{Project: 1, Nonce: 1, Time: 1_700_000_060_000, Payload: []byte(message)}
	require.NoError(r.t, signer.Sign(deployment, fault.PayloadLimit, &m))
	body := wire.Body{Project: 1, Version: 1, Messages: []wire.Message{m}}
	raw, err := body.MarshalBinary()
	require.NoError(r.t, err)
	r.setBody(raw)
	job := r.job(n)
	commitment, err := body.Commitment(deployment, fault.BatchNormal, fault.PayloadLimit)
	require.NoError(r.t, err)
	job.BatchSize, job.PayloadLimit, job.DataCommitment = fault.BatchNormal, fault.PayloadLimit, wire.ElementHash(commitment)
	job.VKID, job.Outputs = key, 1
	return job
}
