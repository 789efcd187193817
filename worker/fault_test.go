package worker_test

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/gristmill-zk/gristmill/internal/groth16vk"
	"github.com/gristmill-zk/gristmill/internal/redistest"
	"github.com/gristmill-zk/gristmill/plugins/bundle"
	fault "github.com/gristmill-zk/gristmill/plugins/circuits/fault/circuit"
	"github.com/gristmill-zk/gristmill/plugins/host"
	"github.com/gristmill-zk/gristmill/wire"
	"github.com/gristmill-zk/gristmill/worker"
)

// faultBundles are those of the plugin fault, by their batch size.
var faultBundles = sync.OnceValues(func() (map[int]*bundle.Bundle, error) {
	cfg := bundle.BuildConfig{
		Source: filepath.Join("..", "plugins", "circuits", "fault"), OutDir: pluginDir, AllowInsecure: true, Logger: quiet(),
	}
	all := map[int]*bundle.Bundle{}
	for _, batch := range []int{fault.BatchNormal, fault.BatchCrash, fault.BatchSlow} {
		cfg.BatchSize = batch
		built, err := bundle.Build(context.Background(), cfg)
		if err != nil {
			return nil, err
		}
		all[batch] = built
		if cfg.Binary, err = built.Path(bundle.PartPlugin); err != nil {
			return nil, err
		}
		cfg.Source = ""
	}
	return all, nil
})

// misbehaviour is what the plugin fault is asked for and what must come of it.
type misbehaviour struct {
	message string
	batch   int
	code    string // empty: what was tried is refused, and the task proven
	says    string // in the failure's reason, or in the progress of what was refused
}

// misbehaviours are all modes of the plugin fault. Those that take their time
// are first.
func misbehaviours(keystore, planted string) []misbehaviour {
	return []misbehaviour{
		{"hang", fault.BatchNormal, "plugin_timeout", "and no more time for it; the plugin's process was ended"},
		{"ignore-cancel", fault.BatchNormal, "plugin_timeout", "and no more time for it; the plugin's process was ended"},
		{"honest", fault.BatchSlow, "plugin_start", "start: the plugin was not ready within 2s"},
		{"honest", fault.BatchCrash, "plugin_start", "start: the plugin's process ended with status 3, after printing: fault: this bundle ends at its start"},
		{"crash", fault.BatchNormal, "plugin_crashed", "the plugin's process ended with status 3, after printing: fault: it ends now"},
		{"panic", fault.BatchNormal, "plugin_crashed", "the plugin's process ended with status 2, after printing: panic: the plugin panics"},
		{"memory", fault.BatchNormal, "plugin_crashed", "(it may use 512 MiB)"},
		{"wrong-witness", fault.BatchNormal, "plugin_bad_solution", "does not follow from the wires"},
		{"wrong-output", fault.BatchNormal, "plugin_bad_solution", "public wire 3 (output 0) is not the task's"},
		{"garbage", fault.BatchNormal, "plugin_bad_solution", "is not below the modulus"},
		{"short", fault.BatchNormal, "plugin_bad_solution", "does not follow from the wires"},
		{"answer-twice", fault.BatchNormal, "plugin_crashed", "the plugin went on after its result"},
		{"huge", fault.BatchNormal, "plugin_crashed", "the plugin's answer is too large"},
		{"fork-bomb", fault.BatchNormal, "", "0 of 50 children"},
		{"child", fault.BatchNormal, "", "0 of 1 children"},
		{"fill", fault.BatchNormal, "", "bytes"},
		{"read", fault.BatchNormal, "", "open /etc/shadow: "},
		{"read " + keystore, fault.BatchNormal, "", keystore},
		{"write", fault.BatchNormal, "", "gristmill-fault"},
		{"write " + planted, fault.BatchNormal, "", planted},
		{"tcp", fault.BatchNormal, "", "listen"},
		{"signal", fault.BatchNormal, "", ""},
		{"shared", fault.BatchNormal, "", ""},
	}
}

// TestBadPluginsCostTheirAttempts has the plugin fault misbehave in every way
// under one worker, several at a time, among tasks of another project, which are
// proven. What is sent for each attempt is what the scheduler keeps in the
// task's history. Afterwards nothing is left of any.
//
// Not parallel, for the reason that TestMeterPluginOverRealRedis gives.
func TestBadPluginsCostTheirAttempts(t *testing.T) {
	if testing.Short() {
		t.Skip("builds plugins and sets up their keys")
	}
	faults, err := faultBundles()
	require.NoError(t, err)
	other, err := committingBundle()
	require.NoError(t, err)
	secrets, err := os.MkdirTemp("/tmp", "gm-k") // paths in messages and of sockets are short
	require.NoError(t, err)
	defer func() { require.NoError(t, os.RemoveAll(secrets)) }()
	run, err := os.MkdirTemp("/tmp", "gm-r")
	require.NoError(t, err)
	defer func() { require.NoError(t, os.RemoveAll(run)) }()
	keystore, planted := filepath.Join(secrets, "keystore"), filepath.Join(secrets, "planted")
	require.NoError(t, os.WriteFile(keystore, []byte("the operator's key"), 0o600))
	// What loses its parent becomes ours.
	require.NoError(t, unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0))
	defer func() { require.NoError(t, unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)) }()
	const usual = "/tmp/gristmill-fault" // where the plugin writes when it is not told; somebody else may have
	_, usualBefore := os.Stat(usual)
	files, routines := descriptors(t), runtime.NumGoroutine()

	var log bytes.Buffer // read when nobody writes to it any more
	t.Run("worker", func(t *testing.T) {
		cfg := host.Config{Slots: 4, RunDir: run, MemoryLimit: 512 << 20, Logger: slog.New(slog.NewTextHandler(&log, nil))}
		patient, err := host.New(cfg)
		require.NoError(t, err)
		t.Cleanup(func() { assert.NoError(t, patient.Close()) })
		cfg.StartTimeout = 2 * time.Second
		hasty, err := host.New(cfg)
		require.NoError(t, err)
		t.Cleanup(func() { assert.NoError(t, hasty.Close()) })
		timeIsUp := make(chan struct{})
		r := newRigAt(t, redistest.Embedded(t).Addr())
		r.cfg.Slots, r.cfg.BundleDir, r.cfg.Plugins = 4, pluginDir, bounded{patient, hasty, timeIsUp}
		r.start()
		var n byte
		next := func() byte { n++; return n }
		var bad, good []*wire.Job
		all := misbehaviours(keystore, planted)
		for i, m := range all {
			bad = append(bad, r.jobOf(next(), faults[m.batch], []byte(m.message)))
			r.send(bad[i])
			if i%6 == 2 {
				good = append(good, r.committingJob(next(), other))
				r.send(good[len(good)-1])
			}
		}
		r.requireProven(good[0], other, honestPayload) // beside two plugins that hang
		close(timeIsUp)
		for _, job := range good[1:] {
			r.requireProven(job, other, honestPayload)
		}
		for i, m := range all {
			r.requireOutcome(bad[i], faults[m.batch], m)
		}
		require.NotEmpty(t, livingChildren(t), "idle plugins")
		require.NotEmpty(t, entries(t, run), "directories of sockets")
	})
	require.NotContains(t, log.String(), "a solution stays in memory")
	require.NoFileExists(t, planted)
	_, usualAfter := os.Stat(usual)
	require.Equal(t, usualBefore, usualAfter)
	require.Empty(t, entries(t, run), "files of plugins")
	require.Eventually(t, func() bool { return len(livingChildren(t)) == 0 }, time.Minute, 5*time.Millisecond, "processes of plugins")
	require.Eventually(t, func() bool { return descriptors(t) <= files }, time.Minute, 5*time.Millisecond, "descriptors")
	routines++ // the condition is asked in one of its own
	require.Eventually(t, func() bool { return runtime.NumGoroutine() <= routines }, time.Minute, 5*time.Millisecond, "goroutines")
}

// bounded runs plugins in a host with little patience for a start that takes for
// ever. For a solve that does, time is up when the channel is closed: only a
// plugin that hangs is made to wait for it, however slow the machine is.
type bounded struct {
	patient, hasty *host.Host
	timeIsUp       <-chan struct{}
}

func (p bounded) Open(ctx context.Context, b *bundle.Bundle) (worker.Circuit, error) {
	in := p.patient
	if b.Manifest.Circuit.BatchSize == fault.BatchSlow {
		in = p.hasty
	}
	c, err := in.Open(ctx, b)
	return boundedCircuit{c, p.timeIsUp}, err
}

type boundedCircuit struct {
	*host.Circuit
	timeIsUp <-chan struct{}
}

func (c boundedCircuit) Solve(ctx context.Context, task host.Task) (*host.Solution, error) {
	var body wire.Body
	if err := body.UnmarshalBinary(task.Body); err != nil {
		return nil, err
	}
	if mode, _ := fault.Parse(body.Messages[0].Payload); mode == fault.Hang || mode == fault.IgnoreCancel {
		ctx = deadline{ctx, c.timeIsUp}
	}
	return c.Circuit.Solve(ctx, task)
}

// deadline is a context whose deadline is when a channel is closed.
type deadline struct {
	context.Context
	passed <-chan struct{}
}

func (d deadline) Done() <-chan struct{} { return d.passed }

func (d deadline) Err() error {
	select {
	case <-d.passed:
		return context.DeadlineExceeded
	default:
		return nil
	}
}

// requireOutcome waits for what must come of a misbehaviour.
func (r *rig) requireOutcome(job *wire.Job, built *bundle.Bundle, m misbehaviour) {
	r.t.Helper()
	if m.code != "" {
		failed := r.fails(job, m.code).Error
		require.Contains(r.t, failed.Message, m.says, m.message)
		require.True(r.t, failed.Retry, m.message)
		return
	}
	r.requireProven(job, built, uint64(m.message[0]))
	name, _, _ := strings.Cut(m.message, " ")
	progress := r.find(job, wire.ResultSolved).Progress
	_, said, found := strings.Cut(progress, "; "+name+": ")
	require.True(r.t, found, "%s: %q", m.message, progress)
	require.Contains(r.t, said, m.says, m.message)
	require.NotContains(r.t, said, fault.Got, m.message)
}

// requireProven waits for a job's proof with that output.
func (r *rig) requireProven(job *wire.Job, built *bundle.Bundle, output uint64) {
	r.t.Helper()
	envelope := r.await(job, wire.ResultProved).ProofEnvelope
	require.Equal(r.t, []uint64{output}, numbers(envelope.Outputs))
	vk, err := built.VerifyingKey()
	require.NoError(r.t, err)
	inputs, err := wire.PublicInputs(job.Deployment, job.TaskID, job.Prover, job.DataCommitment, envelope.Outputs)
	require.NoError(r.t, err)
	require.NoError(r.t, groth16vk.Verify(vk, envelope.Proof, inputs))
}

func descriptors(t *testing.T) int {
	t.Helper()
	all, err := os.ReadDir("/proc/self/fd")
	require.NoError(t, err)
	return len(all)
}

func entries(t *testing.T, dir string) []os.DirEntry {
	t.Helper()
	all, err := os.ReadDir(dir)
	require.NoError(t, err)
	return all
}

// livingChildren are the numbers of this process's children that have not ended.
func livingChildren(t *testing.T) (pids []string) {
	t.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	require.NoError(t, err)
	for _, path := range stats {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // it ended
		}
		// state, parent and so on, after the name in brackets
		fields := strings.Fields(string(text)[strings.LastIndex(string(text), ")")+1:])
		if fields[1] == strconv.Itoa(os.Getpid()) && fields[0] != "Z" {
			pids = append(pids, filepath.Base(filepath.Dir(path)))
		}
	}
	return pids
}
