package worker_test

import (
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/consensys/gnark-crypto/ecc"
	"github.com/consensys/gnark/backend/groth16"
	groth16bn254 "github.com/consensys/gnark/backend/groth16/bn254"
	"github.com/consensys/gnark/backend/witness"
	cs "github.com/consensys/gnark/constraint/bn254"
	"github.com/stretchr/testify/require"

	"github.com/gristmill-zk/gristmill/gpu"
	"github.com/gristmill-zk/gristmill/gpu/cpu"
	"github.com/gristmill-zk/gristmill/internal/redistest"
	"github.com/gristmill-zk/gristmill/plugins/bundle"
	meter "github.com/gristmill-zk/gristmill/plugins/circuits/meter/circuit"
	"github.com/gristmill-zk/gristmill/plugins/host"
	"github.com/gristmill-zk/gristmill/plugins/sdk"
	"github.com/gristmill-zk/gristmill/wire"
	"github.com/gristmill-zk/gristmill/worker"
)

// BenchmarkPath holds the worker's whole way (queue, data, plugin, checks,
// engine, verification, result) against a bare loop of gnark's solve and prove
// in this process, which verifies nothing: meter with 8 messages, 2^16. They take
// turns; "x-gnark" is the median of the bare loop's time over the worker's.
//
//	go test ./worker -run xxx -bench Path -benchtime 1x
func BenchmarkPath(b *testing.B) {
	const batch, tasks, rounds = 8, 8, 5
	dir := b.TempDir()
	built, err := bundle.Build(b.Context(), bundle.BuildConfig{
		Source: filepath.Join("..", "plugins", "circuits", "meter"), BatchSize: batch, OutDir: dir, AllowInsecure: true, Logger: quiet(),
	})
	require.NoError(b, err)
	plugins, err := host.New(host.Config{Slots: 4, Logger: quiet()})
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, plugins.Close()) })
	bare := newBareLoop(b, built, batch)
	for name, cfg := range map[string]cpu.Config{"plain": {TablesAfter: -1}, "tables": {TablesAfter: 1}} {
		b.Run(name, func(b *testing.B) {
			engine, err := cpu.New(cfg)
			require.NoError(b, err)
			b.Cleanup(func() { require.NoError(b, engine.Close()) })
			r := newRigAt(b, redistest.Start(b).Addr)
			r.cfg.BundleDir, r.cfg.Plugins, r.digest = dir, worker.HostPlugins(plugins), built.Digest
			r.cfg.Devices = []gpu.Engine{engine}
			r.cfg.Slots = worker.DefaultSlots(r.cfg.Devices)
			r.start()
			var n byte
			run := func() time.Duration {
				start := time.Now()
				var jobs []*wire.Job
				for range tasks {
					n++
					job := r.meterBatch(n, built.Manifest.VKID, bare.body, batch)
					r.send(job)
					jobs = append(jobs, job)
				}
				for _, job := range jobs {
					r.await(job, wire.ResultProved)
				}
				took := time.Since(start)
				_, err := r.inspect.DeleteAllPendingTasks(queueName)
				require.NoError(b, err)
				return took
			}
			run() // the plugins start, the key is read, tables are made
			run()
			var ours, theirs []time.Duration
			for b.Loop() {
				for range rounds {
					ours = append(ours, run())
					theirs = append(theirs, bare.run(b, tasks))
				}
			}
			slices.Sort(ours)
			slices.Sort(theirs)
			o, t := ours[len(ours)/2], theirs[len(theirs)/2]
			b.ReportMetric(o.Seconds()/tasks, "s/task")
			b.ReportMetric(t.Seconds()/tasks, "gnark-s/task")
			b.ReportMetric(t.Seconds()/o.Seconds(), "x-gnark")
		})
	}
}

// bareLoop proves one task again and again with gnark alone.
type bareLoop struct {
	body    *wire.Body
	system  *cs.R1CS
	key     *groth16bn254.ProvingKey
	witness witness.Witness
}

func newBareLoop(b *testing.B, built *bundle.Bundle, batch int) *bareLoop {
	b.Helper()
	secret := make([]byte, 32)
	secret[0] = 1
	signer, err := wire.NewSigner(wire.SchemeEdDSABN254, secret)
	require.NoError(b, err)
	loop := &bareLoop{body: &wire.Body{Project: 1, Version: 1}, system: new(cs.R1CS)}
	for i := range batch {
		reading := meter.Reading{EnergyWh: uint64(1000 + i), PeriodStart: 1_700_000_000_000 + 60_000*uint64(i), PeriodMs: 60_000}
		m := wire.Message{Project: 1, Nonce: uint64(i + 1), Time: 1_700_000_060_000, Payload: reading.Encode()}
		require.NoError(b, signer.Sign(deployment, meter.PayloadLimit, &m))
		loop.body.Messages = append(loop.body.Messages, m)
	}
	part, err := built.OpenPart(bundle.PartCircuit)
	require.NoError(b, err)
	_, err = loop.system.ReadFrom(part)
	require.NoError(b, err)
	require.NoError(b, part.Close())
	loop.key, err = built.ProvingKey()
	require.NoError(b, err)
	project := meter.Project()
	project.BatchSize = batch
	w, err := sdk.NewWitness(project, deployment, loop.body, wire.Hash{1}, prover)
	require.NoError(b, err)
	loop.witness, err = witness.New(ecc.BN254.ScalarField())
	require.NoError(b, err)
	values := make(chan any, len(w.Values))
	for i := range w.Values {
		values <- w.Values[i]
	}
	close(values)
	require.NoError(b, loop.witness.Fill(w.Public, len(w.Values)-w.Public, values))
	return loop
}

func (l *bareLoop) run(b *testing.B, tasks int) time.Duration {
	b.Helper()
	start := time.Now()
	for range tasks {
		_, err := groth16.Prove(l.system, l.key, l.witness)
		require.NoError(b, err)
	}
	return time.Since(start)
}

// meterBatch serves a body of readings and makes a job about it.
func (r *rig) meterBatch(n byte, key wire.Hash, body *wire.Body, batch uint32) *wire.Job {
	r.t.Helper()
	raw, err := body.MarshalBinary()
	require.NoError(r.t, err)
	commitment, err := body.Commitment(deployment, batch, meter.PayloadLimit)
	require.NoError(r.t, err)
	r.setBody(raw)
	job := wire.NewJob()
	job.Deployment, job.TaskID, job.Attempt, job.Prover = deployment, wire.Hash{n, 1}, 1, prover
	job.Project, job.Version, job.BundleDigest = 1, 1, r.digest
	job.VKID, job.Outputs = key, 4
	job.DataHash, job.DataURLs = wire.DataHash(raw), []string{r.data.URL + "/v1/data/" + wire.DataHash(raw).String()}
	job.BatchSize, job.PayloadLimit, job.Count = batch, meter.PayloadLimit, batch
	job.DataCommitment, job.ReplyQueue = wire.ElementHash(commitment), queueName
	return job
}
