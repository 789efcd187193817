//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// engineEnv names the program of the engines on ICICLE; scripts/test-e2e.sh
// builds it with ICICLE's processor device.
const engineEnv = "GRISTMILL_E2E_ENGINE"

// TestEngineDiesAndHangsInMidProof has tasks proven on ICICLE's processor
// device, whose process is killed in the middle of a proof, and later stopped so
// that it hangs. Every task settles all the same, and the device works again.
func TestEngineDiesAndHangsInMidProof(t *testing.T) {
	engine := os.Getenv(engineEnv)
	if engine == "" {
		t.Skipf("%s is not set: run scripts/test-e2e.sh, which builds the engine", engineEnv)
	}
	f := newFarm(t, "--engine", "icicle-cpu", "--engine-stall", "15s")
	f.up = f.run("up", []string{"PATH=" + filepath.Dir(engine) + ":" + os.Getenv("PATH")}, f.args...)
	require.True(t, f.ready(3*time.Minute))
	l := &ledger{}
	devices := f.devices(4, l)
	sendAll(devices)
	f.requireAllSettledOnce(l, 2*time.Minute)
	require.NotEqual(t, "cpu", f.prover(), "the device proves when nothing happens to it")

	first := f.inMidProof(engine, devices)
	require.NoError(t, syscall.Kill(first, syscall.SIGKILL))
	f.requireAllSettledOnce(l, 2*time.Minute)

	second := f.inMidProof(engine, devices)
	require.NotEqual(t, first, second, "the engine was started again")
	require.NoError(t, syscall.Kill(second, syscall.SIGSTOP))
	f.requireAllSettledOnce(l, 3*time.Minute)
	require.ErrorIs(t, syscall.Kill(second, 0), syscall.ESRCH, "a hanging engine is killed")

	f.command("audit")
	f.up.stop(t)
	require.Empty(t, f.children(engine), "an engine outlives the node")
}

// inMidProof sends a batch and returns the engine's process when it has worked
// on the proof for a while.
func (f *farm) inMidProof(engine string, devices []*device) (pid int) {
	f.t.Helper()
	var idle time.Duration
	require.Eventually(f.t, func() bool {
		children := f.children(engine)
		if len(children) != 1 || children[0] != pid {
			pid = 0
			if len(children) == 1 {
				pid, idle = children[0], processorTime(children[0])
			}
			return false
		}
		now := processorTime(pid)
		quiet := now == idle
		idle = now
		return quiet
	}, time.Minute, time.Second, "the engine's process does not come to rest")
	sendAll(devices)
	require.Eventually(f.t, func() bool { return processorTime(pid) > idle+200*time.Millisecond },
		time.Minute, 5*time.Millisecond, "the engine gets no work")
	return pid
}

// children are the node's processes of a program.
func (f *farm) children(program string) (pids []int) {
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	require.NoError(f.t, err)
	for _, path := range stats {
		exe, err := os.Readlink(filepath.Join(filepath.Dir(path), "exe"))
		if err != nil || exe != program {
			continue
		}
		fields := statFields(path)
		if len(fields) < 2 || fields[1] != strconv.Itoa(f.up.cmd.Process.Pid) {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		require.NoError(f.t, err)
		pids = append(pids, pid)
	}
	return pids
}

// statFields are the fields of a process's stat file after its name: state,
// parent and so on.
func statFields(path string) []string {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	return strings.Fields(string(text)[strings.LastIndex(string(text), ")")+1:])
}

// processorTime is what a process has used so far; 0 when it is gone.
func processorTime(pid int) time.Duration {
	fields := statFields(fmt.Sprintf("/proc/%d/stat", pid))
	if len(fields) < 13 {
		return 0
	}
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return time.Duration(user+system) * 10 * time.Millisecond
}

// prover is the engine that made a settled proof, as its envelope says.
func (f *farm) prover() string {
	f.t.Helper()
	dir := f.t.TempDir()
	f.command("proof", "export", f.settledTask().String(), "--format", "json", "--out", dir)
	text, err := os.ReadFile(filepath.Join(dir, "proof.json"))
	require.NoError(f.t, err)
	var envelope struct {
		Engine string `json:"engine"`
	}
	require.NoError(f.t, json.Unmarshal(text, &envelope))
	return envelope.Engine
}
