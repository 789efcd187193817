package worker_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gristmill-zk/gristmill/gpu"
	"github.com/gristmill-zk/gristmill/gpu/cpu"
	"github.com/gristmill-zk/gristmill/gpu/remote"
	"github.com/gristmill-zk/gristmill/wire"
	"github.com/gristmill-zk/gristmill/worker"
)

// asEngine is the first argument that makes the test binary an engine's program;
// the second says how it ends its proofs.
const asEngine = "serve-engine"

// engineMain is an engine that dies, aborts, hangs or is wrong in mid-proof.
func engineMain(mode string) error {
	return remote.Main(func() (gpu.Engine, error) {
		engine, err := cpu.New(cpu.Config{})
		return &dying{Engine: engine, mode: mode}, err
	})
}

type dying struct {
	gpu.Engine
	mode string
}

func (d *dying) Info() gpu.Info {
	info := d.Engine.Info()
	info.Name, info.ID = "dying", "dying"
	return info
}

func (d *dying) Prove(ctx context.Context, req gpu.Request) (*gpu.Proof, error) {
	req.Reached("multiply")
	switch d.mode {
	case "killed":
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	case "aborts":
		_ = syscall.Kill(os.Getpid(), syscall.SIGABRT)
	case "hangs": // and does not heed its context
	default:
		proof, err := d.Engine.Prove(ctx, req)
		if err == nil {
			proof.Ar.Neg(&proof.Ar)
		}
		return proof, err
	}
	select {}
}

// TestEngineFailsInMidProof: the job ends in a proof whatever becomes of the
// process that proves, and the proof is the processor's.
func TestEngineFailsInMidProof(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	require.NoError(t, err)
	for _, mode := range []string{"killed", "aborts", "hangs", "wrong"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			device, err := remote.New(remote.Config{
				Command: []string{self, asEngine, mode}, Logger: quiet(),
				StallTimeout: 5 * time.Second, CancelGrace: time.Second, RestartDelay: time.Millisecond, RestartLimit: 10 * time.Millisecond,
			})
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, device.Close()) })
			r.cfg.Devices, r.cfg.Fallback = []gpu.Engine{device}, r.cfg.Devices[0]
			r.start()
			job := r.job(1)
			r.send(job)
			envelope := r.await(job, wire.ResultProved).ProofEnvelope
			verify(t, job, envelope)
			require.Equal(t, "cpu", envelope.Engine)
			require.Equal(t, 2, r.seen(worker.EventBadProof), "the device was asked twice")
			require.Nil(t, r.find(job, wire.ResultFailed))
			status := r.worker.Devices()
			require.EqualValues(t, 1, status[0].Faults)
			require.Error(t, status[0].LastFault)
		})
	}
}

// TestBundleIsBlockedWhenNobodyCanProve: no device is blamed, and the bundle
// costs no more proofs.
func TestBundleIsBlockedWhenNobodyCanProve(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	wrong := func(_ int, p *gpu.Proof) error { p.Krs.Neg(&p.Krs); return nil }
	card := &spoilt{Engine: renamed{r.cfg.Devices[0]}, spoil: wrong}
	last := &spoilt{Engine: r.cfg.Devices[0], spoil: wrong}
	r.cfg.Devices, r.cfg.Fallback = []gpu.Engine{card}, last
	r.start()
	first := r.job(1)
	r.send(first)
	require.False(t, r.fails(first, worker.CodeWrongProof).Error.Retry)
	solved := r.plugins.count()
	second := r.job(2)
	r.send(second)
	require.False(t, r.fails(second, worker.CodeWrongProof).Error.Retry)
	require.Equal(t, solved, r.plugins.count(), "a blocked bundle was solved under")
	require.Equal(t, 3, r.seen(worker.EventBadProof))
	require.Zero(t, r.worker.Devices()[0].Faults)
}

// renamed is an engine under another name.
type renamed struct{ gpu.Engine }

func (r renamed) Info() gpu.Info {
	info := r.Engine.Info()
	info.Name, info.ID = "card", "card"
	return info
}

// TestSlotsByDefault: one more than is proved at once for each device.
func TestSlotsByDefault(t *testing.T) {
	t.Parallel()
	one, err := cpu.New(cpu.Config{Parallel: 2})
	require.NoError(t, err)
	defer func() { require.NoError(t, one.Close()) }()
	require.Equal(t, 3, worker.DefaultSlots([]gpu.Engine{one}))
	require.Equal(t, 6, worker.DefaultSlots([]gpu.Engine{one, one}))
}

// engineOrTests runs the tests, or an engine when the binary was started as one.
func engineOrTests() {
	if len(os.Args) > 2 && os.Args[1] == asEngine {
		if err := engineMain(os.Args[2]); err != nil {
			fmt.Fprintln(os.Stderr, filepath.Base(os.Args[0]), err)
			os.Exit(1)
		}
		os.Exit(0)
	}
}
