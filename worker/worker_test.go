package worker_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/stretchr/testify/require"

	"github.com/gristmill-zk/gristmill/gpu"
	"github.com/gristmill-zk/gristmill/gpu/enginetest"
	"github.com/gristmill-zk/gristmill/internal/groth16vk"
	"github.com/gristmill-zk/gristmill/internal/redistest"
	"github.com/gristmill-zk/gristmill/plugins/bundle"
	"github.com/gristmill-zk/gristmill/plugins/host"
	"github.com/gristmill-zk/gristmill/wire"
	"github.com/gristmill-zk/gristmill/worker"
)

func TestJobBecomesAVerifiedProof(t *testing.T) {
	t.Parallel()
	for name, addr := range map[string]func() string{
		"embedded":   func() string { return redistest.Embedded(t).Addr() },
		"real redis": func() string { return redistest.Start(t).Addr },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRigAt(t, addr())
			solving, on := make(chan struct{}), make(chan struct{})
			r.plugins.before = func(context.Context, host.Task) error {
				close(solving)
				select {
				case <-on:
				case <-r.over:
				}
				return nil
			}
			r.start()
			job := r.job(1)
			r.send(job)
			<-solving
			ttl, err := r.redis.PTTL(t.Context(), wire.BeatKey(id(job))).Result()
			require.NoError(t, err)
			require.Positive(t, ttl, "the attempt's key lives while it is worked on")
			require.LessOrEqual(t, ttl, 3*r.cfg.Beat)
			close(on)

			r.await(job, wire.ResultSolved)
			envelope := r.await(job, wire.ResultProved).ProofEnvelope
			require.Equal(t, prover, envelope.Prover)
			require.Equal(t, r.digest, envelope.BundleDigest)
			require.Equal(t, "cpu", envelope.Engine)
			require.Equal(t, 1.5, envelope.SolveMS)
			require.Positive(t, envelope.ProveMS)
			require.Positive(t, envelope.VerifyMS)
			var nine wire.Hash
			nine[31] = 9
			require.Equal(t, []wire.Hash{nine}, envelope.Outputs)
			verify(t, job, envelope)
			r.eventually("the attempt's key is deleted", func() bool {
				return r.redis.Exists(t.Context(), wire.BeatKey(id(job))).Val() == 0
			})
		})
	}
}

// verify checks a proof from the registered bytes of the key, as the
// scheduler and the chain do.
func verify(t testing.TB, job *wire.Job, e *wire.ProofEnvelope) {
	t.Helper()
	registered, err := groth16vk.EncodeVK(fixture(t).VK)
	require.NoError(t, err)
	require.Equal(t, groth16vk.ID(registered), e.VKID)
	vk, err := groth16vk.ParseVK(registered)
	require.NoError(t, err)
	inputs, err := wire.PublicInputs(job.Deployment, job.TaskID, job.Prover, job.DataCommitment, e.Outputs)
	require.NoError(t, err)
	require.NoError(t, groth16vk.Verify(vk, e.Proof, inputs))
}

func TestManyJobsOverTheSlots(t *testing.T) {
	t.Parallel()
	r := newRig(t).start()
	for n := range byte(12) {
		r.send(r.job(n))
	}
	for n := range byte(12) {
		job := r.job(n)
		verify(t, job, r.await(job, wire.ResultProved).ProofEnvelope)
	}
	require.Equal(t, 12, r.plugins.count())
}

func TestWrongProofNeverLeaves(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*gpu.Proof){
		"negated":  func(p *gpu.Proof) { p.Krs.Neg(&p.Krs) },
		"swapped":  func(p *gpu.Proof) { p.Ar, p.Krs = p.Krs, p.Ar },
		"infinity": func(p *gpu.Proof) { *p = gpu.Proof{} },
		"no point": func(p *gpu.Proof) { p.Ar.X.SetOne() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.spoil(func(_ int, p *gpu.Proof) error { spoil(p); return nil })
			r.start()
			job := r.job(1)
			r.send(job)
			result := r.fails(job, worker.CodeWrongProof)
			require.True(t, result.Error.Retry)
			require.Equal(t, 2, r.seen(worker.EventBadProof), "it is made twice")
		})
	}
}

func TestOneFaultOfTheEngineIsRepeated(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]func(*gpu.Proof) error{
		"wrong proof": func(p *gpu.Proof) error { p.Krs.Neg(&p.Krs); return nil },
		"device":      func(*gpu.Proof) error { return fmt.Errorf("%w: fell off the bus", gpu.ErrDevice) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.spoil(func(n int, p *gpu.Proof) error {
				if n == 1 {
					return fault(p)
				}
				return nil
			})
			r.start()
			job := r.job(1)
			r.send(job)
			verify(t, job, r.await(job, wire.ResultProved).ProofEnvelope)
			require.Equal(t, 1, r.seen(worker.EventBadProof))
			require.Nil(t, r.find(job, wire.ResultFailed))
		})
	}
}

// TestSolutionOfAnotherTaskIsNotProved: the public inputs come from the job,
// whatever a plugin solved.
func TestSolutionOfAnotherTaskIsNotProved(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*host.Task){
		"task":       func(task *host.Task) { task.ID = wire.Hash{77} },
		"prover":     func(task *host.Task) { task.Prover = wire.Address{77} },
		"deployment": func(task *host.Task) { task.Deployment.ChainID++ },
		"commitment": func(task *host.Task) { task.DataCommitment = wire.Hash{31: 7} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.cfg.Plugins = twisted{r.plugins, change}
			r.start()
			job := r.job(1)
			r.send(job)
			r.fails(job, worker.CodeWrongProof)
		})
	}
}

// twisted solves another task than it is asked to.
type twisted struct {
	*plugins
	change func(*host.Task)
}

func (p twisted) Open(context.Context, *bundle.Bundle) (worker.Circuit, error) { return p, nil }

func (p twisted) Solve(ctx context.Context, task host.Task) (*host.Solution, error) {
	p.change(&task)
	return p.plugins.Solve(ctx, task)
}

func TestEachFailureIsReportedAndTheNextJobGoesThrough(t *testing.T) {
	t.Parallel()
	pluginError := func(code host.Code) func(*rig, *wire.Job) {
		return func(r *rig, _ *wire.Job) {
			r.plugins.before = func(_ context.Context, task host.Task) error {
				if task.ID != r.job(2).TaskID {
					return &host.Error{Code: code, Plugin: "counting", Task: task.ID, Err: errors.New("it is broken")}
				}
				return nil
			}
		}
	}
	url := func(path string) func(*rig, *wire.Job) {
		return func(r *rig, job *wire.Job) { job.DataURLs = []string{r.data.URL + path} }
	}
	for name, c := range map[string]struct {
		code  string
		retry bool
		spoil func(*rig, *wire.Job)
	}{
		"no URL":             {worker.CodeDataUnavailable, true, func(_ *rig, job *wire.Job) { job.DataURLs = nil }},
		"not found":          {worker.CodeDataUnavailable, true, url("/nothing")},
		"other data":         {worker.CodeDataUnavailable, true, url("/other")},
		"truncated":          {worker.CodeDataUnavailable, true, url("/cut")},
		"endless":            {worker.CodeDataUnavailable, true, url("/endless")},
		"redirect":           {worker.CodeDataUnavailable, true, url("/moved")},
		"nobody listens":     {worker.CodeDataUnavailable, true, func(_ *rig, job *wire.Job) { job.DataURLs = []string{"http://127.0.0.1:1/"} }},
		"other commitment":   {worker.CodeWrongData, false, func(_ *rig, job *wire.Job) { job.DataCommitment = wire.Hash{31: 1} }},
		"other count":        {worker.CodeWrongData, false, func(_ *rig, job *wire.Job) { job.Count = 1 }},
		"other project":      {worker.CodeWrongData, false, func(_ *rig, job *wire.Job) { job.Project = 2 }},
		"unknown bundle":     {worker.CodeBundleMissing, true, func(_ *rig, job *wire.Job) { job.BundleDigest = wire.Hash{5} }},
		"far bundle":         {worker.CodeBundleMissing, true, func(_ *rig, job *wire.Job) { job.BundleDigest, job.BundleURI = wire.Hash{5}, "https://bundles/5" }},
		"altered bundle":     {worker.CodeBundleBad, true, alteredBundle},
		"misnamed bundle":    {worker.CodeBundleBad, true, misnamedBundle},
		"foreign key":        {worker.CodeBundleBad, true, foreignKey},
		"other batch size":   {worker.CodeBundleMismatch, false, resizedBundle},
		"other limit":        {worker.CodeBundleMismatch, false, func(_ *rig, job *wire.Job) { job.PayloadLimit-- }},
		"other key":          {worker.CodeBundleMismatch, false, func(_ *rig, job *wire.Job) { job.VKID[0] ^= 1 }},
		"more outputs":       {worker.CodeBundleMismatch, false, func(_ *rig, job *wire.Job) { job.Outputs++ }},
		"fewer outputs":      {worker.CodeBundleMismatch, false, func(_ *rig, job *wire.Job) { job.Outputs-- }},
		"plugin refuses":     {"plugin_bad_task", false, pluginError(host.CodeBadTask)},
		"plugin unsatisfied": {"plugin_unsatisfied", false, pluginError(host.CodeUnsatisfied)},
		"plugin crashes":     {"plugin_crashed", true, pluginError(host.CodeCrashed)},
		"plugin cheats":      {"plugin_bad_solution", true, pluginError(host.CodeBadSolution)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			bad, good := r.job(1), r.job(2)
			c.spoil(r, bad)
			r.start()
			r.send(bad)
			result := r.fails(bad, c.code)
			require.Equal(t, c.retry, result.Error.Retry)
			require.NotEmpty(t, result.Error.Message)
			require.Equal(t, "bench", result.Worker)
			if strings.HasPrefix(c.code, "bundle_") {
				require.Zero(t, r.plugins.count(), "nothing is solved that could never be settled")
				require.Nil(t, r.find(bad, wire.ResultSolved))
			}
			r.send(good)
			r.await(good, wire.ResultProved)
		})
	}
}

func alteredBundle(r *rig, job *wire.Job) {
	dir := r.t.TempDir()
	job.BundleDigest = writeBundle(r.t, dir, func(m *bundle.Manifest) { m.Name = "altered" })
	from := filepath.Join(dir, bundle.DirName(job.BundleDigest))
	path := filepath.Join(from, bundle.PartProvingKey)
	raw, err := os.ReadFile(path)
	require.NoError(r.t, err)
	raw[len(raw)-1] ^= 1
	require.NoError(r.t, os.WriteFile(path, raw, 0o600))
	require.NoError(r.t, os.Rename(from, filepath.Join(r.cfg.BundleDir, bundle.DirName(job.BundleDigest))))
}

func misnamedBundle(r *rig, job *wire.Job) {
	job.BundleDigest = wire.Hash{6}
	dir := r.t.TempDir()
	made := writeBundle(r.t, dir, nil)
	require.NoError(r.t, os.Rename(filepath.Join(dir, bundle.DirName(made)), filepath.Join(r.cfg.BundleDir, bundle.DirName(job.BundleDigest))))
}

func resizedBundle(r *rig, job *wire.Job) {
	job.BundleDigest = writeBundle(r.t, r.cfg.BundleDir, func(m *bundle.Manifest) { m.Circuit.BatchSize++ })
}

// foreignKey is a bundle whose proving key is of another setup of its circuit.
func foreignKey(r *rig, job *wire.Job) {
	other, err := enginetest.NewFixture(&counting{}, assignment(fr.One(), fr.One(), 1))
	require.NoError(r.t, err)
	job.BundleDigest = writeBundleOf(r.t, r.cfg.BundleDir, other.Dump, nil)
}

func TestEngineFailuresAreTold(t *testing.T) {
	t.Parallel()
	for code, c := range map[string]struct {
		err   error
		retry bool
	}{
		worker.CodeKeyTooBig:   {gpu.ErrBudget, true},
		worker.CodeBundleBad:   {gpu.ErrBadKey, true},
		worker.CodeUnsupported: {gpu.ErrUnsupported, false},
		worker.CodeEngine:      {gpu.ErrDevice, true},
	} {
		t.Run(code, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.spoil(func(int, *gpu.Proof) error { return fmt.Errorf("%w: so it is", c.err) })
			r.start()
			job := r.job(1)
			r.send(job)
			require.Equal(t, c.retry, r.fails(job, code).Error.Retry)
		})
	}
}

func TestInsecureKeysNeedConsent(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.cfg.AllowInsecure = false
	r.start()
	job := r.job(1)
	r.send(job)
	require.False(t, r.fails(job, worker.CodeBundleInsecure).Error.Retry)
}

// An operator's allow-list stands above what the chain names.
func TestOnlyTrustedBundlesAreUsed(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.cfg.Trust = &bundle.Policy{Digests: map[wire.Hash]bool{{7}: true}}
	r.start()
	job := r.job(1)
	r.send(job)
	failed := r.fails(job, worker.CodeBundleUntrusted).Error
	require.False(t, failed.Retry)
	require.Contains(t, failed.Message, "allow-list")
	require.Zero(t, r.plugins.count())

	trusting := newRig(t)
	job = trusting.job(1)
	trusting.cfg.Trust = &bundle.Policy{Digests: map[wire.Hash]bool{job.BundleDigest: true}}
	trusting.start()
	trusting.send(job)
	trusting.await(job, wire.ResultProved)
}

func TestBundleOnThisMachineIsFoundByItsURI(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	elsewhere := t.TempDir()
	digest := writeBundle(t, elsewhere, func(m *bundle.Manifest) { m.Name = "elsewhere" })
	r.start()
	for n, uri := range []string{"file://" + filepath.Join(elsewhere, bundle.DirName(digest)), filepath.Join(elsewhere, bundle.DirName(digest))} {
		job := r.job(byte(n))
		job.BundleDigest, job.BundleURI = digest, uri
		r.send(job)
		r.await(job, wire.ResultProved)
	}
	wrong := r.job(9)
	wrong.BundleDigest, wrong.BundleURI = wire.Hash{4}, filepath.Join(elsewhere, bundle.DirName(digest))
	r.send(wrong)
	r.fails(wrong, worker.CodeBundleBad)
}

func TestUnreadableJobIsAnsweredAndArchived(t *testing.T) {
	t.Parallel()
	r := newRig(t).start()
	job := r.job(1)
	payload, err := job.Encode()
	require.NoError(t, err)
	var members map[string]any
	require.NoError(t, json.Unmarshal(payload, &members))
	members["v"] = 99
	future, err := json.Marshal(members)
	require.NoError(t, err)

	r.enqueue(future, id(job))
	result := r.fails(job, worker.CodeBadJob)
	require.False(t, result.Error.Retry)
	for n, garbage := range [][]byte{nil, []byte("{"), []byte(`{"task_id":7}`), make([]byte, 1<<15)} {
		r.enqueue(garbage, fmt.Sprint("garbage/", n))
	}
	// A reply queue of another kind is not written to, whoever asks.
	members["reply_queue"] = "prove"
	r.enqueue(must(json.Marshal(members)), "loop")
	good := r.job(2)
	r.send(good)
	r.await(good, wire.ResultProved)
	r.eventually("all of it is archived", func() bool {
		info, err := r.inspect.GetQueueInfo(wire.JobQueue)
		return err == nil && info.Archived == 6 && info.Pending+info.Active+info.Retry == 0
	})
}

func must(raw []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return raw
}

func TestConfigNamesTheField(t *testing.T) {
	t.Parallel()
	for field, change := range map[string]func(*worker.Config){
		"Redis":     func(c *worker.Config) { c.Redis = nil },
		"Devices":   func(c *worker.Config) { c.Devices = nil },
		"Plugins":   func(c *worker.Config) { c.Plugins = nil },
		"BundleDir": func(c *worker.Config) { c.BundleDir = "" },
		"Slots":     func(c *worker.Config) { c.Slots = -1 },
	} {
		cfg := newRig(t).cfg
		change(&cfg)
		_, err := worker.New(cfg)
		require.ErrorContains(t, err, field)
	}
}

func TestRunSaysThatRedisIsAway(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	r := newRigAt(t, server.Addr)
	server.Kill()
	w, err := worker.New(r.cfg)
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	require.ErrorContains(t, w.Run(ctx, func() { t.Error("ready without Redis") }), "Redis does not answer")
}
