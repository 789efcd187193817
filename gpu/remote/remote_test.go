package remote_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/gristmill-zk/gristmill/gpu"
	"github.com/gristmill-zk/gristmill/gpu/enginetest"
	"github.com/gristmill-zk/gristmill/gpu/remote"
)

const plenty = 1 << 30

var silent = slog.New(slog.DiscardHandler)

// open starts an engine that misbehaves once.
func open(t testing.TB, mode string, cfg remote.Config) *remote.Engine {
	t.Helper()
	cfg.Command = command(mode, plenty, filepath.Join(t.TempDir(), "marker"))
	if cfg.Logger == nil {
		cfg.Logger = silent
	}
	e, err := remote.New(cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, e.Close()) })
	return e
}

// requireProof says that the engine makes a right proof now.
func requireProof(t *testing.T, e gpu.Engine) {
	t.Helper()
	f := enginetest.Get(t, "dense")
	proof, err := e.Prove(t.Context(), f.Request(t))
	require.NoError(t, err)
	require.NoError(t, f.Verify(proof))
}

func TestConformance(t *testing.T) {
	t.Parallel()
	enginetest.Run(t, func(t testing.TB, memory int64) gpu.Engine {
		e, err := remote.New(remote.Config{Command: command("", memory, "-"), Logger: silent})
		require.NoError(t, err)
		return e
	})
}

func TestFaultsEndTheProcessAndTheNextProofGoesThrough(t *testing.T) {
	t.Parallel()
	for mode, want := range map[string]string{
		"abort":         "SIGABRT",
		"kill":          "was ended by signal SIGKILL (by another process, or by the kernel for want of memory)",
		"exit":          "ended by itself with exit status 3; its last words: a library prints on standard output while it is loaded | CUDA error 719: unspecified launch failure",
		"panic":         "its last words: panic: an index out of range",
		"flood":         "and that was that",
		"write":         "fatal error: fault | [signal SIGSEGV",
		"garbage proof": "broke the protocol: what it made is unreadable",
		"no result":     "broke the protocol: no result",
		"nothing":       "broke the protocol: a message of kind <nil>",
	} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			e := open(t, mode, remote.Config{})
			f := enginetest.Get(t, "dense")
			before := e.State()
			require.True(t, before.Running)
			_, err := e.Prove(t.Context(), f.Request(t))
			require.ErrorIs(t, err, gpu.ErrDevice)
			require.ErrorContains(t, err, want)
			require.ErrorContains(t, err, strconv.Itoa(before.PID))
			require.Less(t, len(err.Error()), 1500)
			require.Eventually(t, func() bool { return !running(before.PID) }, time.Minute, time.Millisecond)
			require.ErrorIs(t, e.State().LastFailure, gpu.ErrDevice)

			requireProof(t, e)
			after := e.State()
			require.True(t, after.Running)
			require.NotEqual(t, before.PID, after.PID)
			require.Equal(t, 1, after.Restarts)
			require.Zero(t, after.Failures)
			stats := e.Stats()
			require.EqualValues(t, 1, stats.Proofs)
			require.EqualValues(t, 1, stats.Failures)
			require.EqualValues(t, 1, stats.Keys, "the key was loaded again")
		})
	}
}

func TestStuckProcessIsKilled(t *testing.T) {
	t.Parallel()
	for mode, want := range map[string]string{
		"hang":   `was stuck in stage "multiply" for `,
		"freeze": `so it was killed`, // the stage may not have been sent any more
	} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			e := open(t, mode, remote.Config{StallTimeout: 5 * time.Second})
			_, err := e.Prove(t.Context(), enginetest.Get(t, "dense").Request(t))
			require.ErrorIs(t, err, gpu.ErrDevice)
			require.ErrorContains(t, err, want)
			requireProof(t, e)
		})
	}
}

func TestCallsInFlightFallTogether(t *testing.T) {
	t.Parallel()
	e := open(t, "hang", remote.Config{StallTimeout: 5 * time.Second})
	f := enginetest.Get(t, "dense")
	errs := make(chan error, 4)
	for range cap(errs) {
		request := f.Request(t)
		go func() {
			_, err := e.Prove(t.Context(), request)
			errs <- err
		}()
	}
	failed := 0
	for range cap(errs) {
		if err := <-errs; err != nil {
			require.ErrorIs(t, err, gpu.ErrDevice)
			failed++
		}
	}
	require.Positive(t, failed)
	requireProof(t, e)
}

func TestProcessThatIgnoresACancelIsKilled(t *testing.T) {
	t.Parallel()
	e := open(t, "hang", remote.Config{CancelGrace: 50 * time.Millisecond})
	why := errors.New("the task was withdrawn")
	ctx, cancel := context.WithCancelCause(t.Context())
	request := enginetest.Get(t, "dense").Request(t)
	request.Progress = func(string) { cancel(why) }
	_, err := e.Prove(ctx, request)
	require.ErrorIs(t, err, why)
	require.ErrorIs(t, err, gpu.ErrDevice)
	require.ErrorContains(t, err, "went on for 50ms with work that was called off")
	require.EqualValues(t, 1, e.Stats().Canceled)
	requireProof(t, e)
}

func TestCloseEndsAHungProof(t *testing.T) {
	t.Parallel()
	e := open(t, "hang", remote.Config{CancelGrace: 50 * time.Millisecond})
	hung := make(chan struct{})
	ended := make(chan error, 1)
	request := enginetest.Get(t, "dense").Request(t)
	request.Progress = func(string) { close(hung) }
	go func() {
		_, err := e.Prove(t.Context(), request)
		ended <- err
	}()
	<-hung
	pid, dir := e.State().PID, remote.RunDir(e)
	require.NoError(t, e.Close())
	require.False(t, running(pid))
	require.NoDirExists(t, dir)
	require.ErrorIs(t, <-ended, gpu.ErrClosed)
}

func TestErrorsKeepTheirKindAndText(t *testing.T) {
	t.Parallel()
	for mode, kind := range map[string]error{"device": gpu.ErrDevice, "plain": nil} {
		e := open(t, mode, remote.Config{})
		pid := e.State().PID
		_, err := e.Prove(t.Context(), enginetest.Get(t, "dense").Request(t))
		if kind != nil {
			require.ErrorIs(t, err, kind)
			require.EqualError(t, err, "proving device failed: Xid 79")
		} else {
			require.EqualError(t, err, "something else")
			require.NotErrorIs(t, err, gpu.ErrDevice)
		}
		requireProof(t, e)
		require.Equal(t, kind == nil, pid == e.State().PID, "a process whose device failed is not used again, others are")
	}
}

func TestStartFailuresNameTheirCause(t *testing.T) {
	t.Parallel()
	text := filepath.Join(t.TempDir(), "text")
	require.NoError(t, os.WriteFile(text, []byte("no program"), 0o600))
	script := func(text string) []string { return []string{"/bin/sh", "-c", text} }
	marker := func() string { return filepath.Join(t.TempDir(), "marker") }
	for name, test := range map[string]struct {
		command []string
		timeout time.Duration
		kind    error
		want    string
	}{
		"message":     {command("exit at start", plenty, marker()), 0, gpu.ErrDevice, "exit status 7 before it was ready; its last words: libcudart.so.11.0: cannot open shared object file"},
		"version":     {command("version", plenty, marker()), 0, gpu.ErrDevice, "different versions of their protocol"},
		"slow":        {command("slow start", plenty, marker()), 300 * time.Millisecond, gpu.ErrDevice, "not ready within StartTimeout (300ms)"},
		"no device":   {command("no device", plenty, marker()), 0, gpu.ErrUnsupported, "card 3 has compute capability 5.0, needed is 7.0"},
		"not there":   {[]string{"/nowhere/engine"}, 0, gpu.ErrDevice, "/nowhere/engine"},
		"no program":  {[]string{text}, 0, gpu.ErrDevice, "permission denied"},
		"no engine":   {script("exit 0"), 0, gpu.ErrDevice, "ended by itself with exit status 0 before it was ready"},
		"other words": {script("echo hello; exec sleep 1000"), 0, gpu.ErrDevice, "hello"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := remote.New(remote.Config{Command: test.command, StartTimeout: test.timeout, Logger: silent})
			require.ErrorIs(t, err, test.kind)
			require.ErrorContains(t, err, test.want)
			require.ErrorContains(t, err, test.command[0])
		})
	}
}

func TestProcessThatFailsAgainAndAgainIsHeldOff(t *testing.T) {
	t.Parallel()
	marker := filepath.Join(t.TempDir(), "marker")
	e, err := remote.New(remote.Config{
		Command: command("exit", plenty, marker), Logger: silent, RestartDelay: time.Minute, RestartLimit: time.Hour,
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, e.Close()) })
	f := enginetest.Get(t, "dense")
	for range 2 {
		_, err = e.Prove(t.Context(), f.Request(t))
		require.ErrorContains(t, err, "CUDA error 719")
		require.NoError(t, os.Remove(marker))
	}
	state := e.State()
	require.Equal(t, 2, state.Failures)
	require.False(t, state.Running)
	_, err = e.Prove(t.Context(), f.Request(t))
	require.ErrorIs(t, err, gpu.ErrDevice)
	require.ErrorContains(t, err, "held off")
	require.ErrorContains(t, err, "after 2 failures in a row")
	require.ErrorContains(t, err, "CUDA error 719")
	require.ErrorIs(t, e.Evict(f.Key().ID), gpu.ErrNotLoaded)
}

func TestEnvironmentIsWhatIsNamed(t *testing.T) {
	t.Setenv("GRISTMILL_TEST_SECRET", "must not be seen")
	t.Setenv("GRISTMILL_TEST_NAMED", "may be seen")
	e := open(t, "print", remote.Config{Env: []string{"GRISTMILL_TEST_NAMED", "CUDA_VISIBLE_DEVICES=3", "GRISTMILL_TEST_UNSET"}})
	var names []string
	request := enginetest.Get(t, "dense").Request(t)
	request.Progress = func(stage string) {
		if name, ok := strings.CutPrefix(stage, "has "); ok {
			names = append(names, name)
		}
	}
	_, err := e.Prove(t.Context(), request)
	require.NoError(t, err)
	require.Contains(t, names, "GRISTMILL_TEST_NAMED")
	require.Contains(t, names, "CUDA_VISIBLE_DEVICES")
	for _, name := range names {
		require.True(t, strings.HasPrefix(name, "PLUGIN_") || name == "GRISTMILL_ENGINE" ||
			name == "GRISTMILL_TEST_NAMED" || name == "CUDA_VISIBLE_DEVICES", name)
	}
}

func TestKeyInAFileIsPassedAsItIs(t *testing.T) {
	t.Parallel()
	e := open(t, "", remote.Config{})
	f := enginetest.Get(t, "bits")
	path := filepath.Join(t.TempDir(), "key")
	require.NoError(t, os.WriteFile(path, f.Dump, 0o600))
	key, err := gpu.FileKey(f.Key().ID, path)
	require.NoError(t, err)
	require.NoError(t, e.Load(t.Context(), key))

	// A reader that does not start at the file's beginning is read as what it is.
	require.NoError(t, os.WriteFile(path, append([]byte("header"), f.Dump...), 0o600))
	require.NoError(t, e.Evict(key.ID))
	key.Open = func() (io.ReadCloser, error) {
		file, err := os.Open(path)
		if err == nil {
			_, err = file.Seek(6, io.SeekStart)
		}
		return file, err
	}
	request := f.Request(t)
	request.Key = key
	proof, err := e.Prove(t.Context(), request)
	require.NoError(t, err)
	require.NoError(t, f.Verify(proof))
	require.EqualValues(t, 2, e.Stats().Loads)
}

// TestNothingIsLeft: after Close there is no process, directory or descriptor
// more than before, whatever happened in between. It runs alone.
func TestNothingIsLeft(t *testing.T) {
	round := func() {
		marker := filepath.Join(t.TempDir(), "marker")
		e, err := remote.New(remote.Config{Command: command("kill", plenty, marker), Logger: silent})
		require.NoError(t, err)
		_, err = e.Prove(t.Context(), enginetest.Get(t, "dense").Request(t))
		require.ErrorIs(t, err, gpu.ErrDevice)
		requireProof(t, e)
		pid, dir := e.State().PID, remote.RunDir(e)
		require.DirExists(t, dir)
		require.NoError(t, e.Close())
		require.False(t, running(pid))
		require.NoDirExists(t, dir)
	}
	round() // what the runtime opens once
	files, others := descriptors(t), goleak.IgnoreCurrent()
	for range 3 {
		round()
	}
	require.Eventually(t, func() bool { return descriptors(t) <= files }, time.Minute, 5*time.Millisecond)
	require.NoError(t, goleak.Find(others))
}

func descriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	require.NoError(t, err)
	return len(entries)
}

func TestKilledWorkerLeavesNoEngine(t *testing.T) {
	t.Parallel()
	cmd := exec.Command(os.Args[0], asWorker)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	require.NoError(t, err)
	require.True(t, running(pid))
	require.NoError(t, cmd.Process.Kill())
	_ = cmd.Wait()
	require.Eventually(t, func() bool { return !running(pid) }, time.Minute, 5*time.Millisecond)
}

func TestEngineStartedByHandSaysWhatItIs(t *testing.T) {
	t.Parallel()
	out, err := exec.Command(os.Args[0], command("", plenty, "-")[1:]...).CombinedOutput()
	require.Error(t, err)
	require.Equal(t, remote.ErrNotServed.Error()+"\n", string(out))
}

func TestConfigNamesTheField(t *testing.T) {
	t.Parallel()
	ok := []string{"/bin/true"}
	for field, cfg := range map[string]remote.Config{
		"Command":      {},
		"Env":          {Command: ok, Env: []string{"=x"}},
		"RunDir":       {Command: ok, RunDir: "/" + strings.Repeat("x", 80)},
		"StartTimeout": {Command: ok, StartTimeout: -1},
		"StallTimeout": {Command: ok, StallTimeout: -1},
		"CancelGrace":  {Command: ok, CancelGrace: -1},
		"RestartDelay": {Command: ok, RestartDelay: -1},
		"RestartLimit": {Command: ok, RestartDelay: 2, RestartLimit: 1},
	} {
		_, err := remote.New(cfg)
		require.ErrorContains(t, err, field)
	}
}

// running says whether a process exists and is no zombie.
func running(pid int) bool {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	state := bytes.TrimSpace(raw[bytes.LastIndexByte(raw, ')')+1:])[0]
	return state != 'Z' && state != 'X'
}
