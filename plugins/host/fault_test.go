package host_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/gristmill-zk/gristmill/plugins/bundle"
	fault "github.com/gristmill-zk/gristmill/plugins/circuits/fault/circuit"
	"github.com/gristmill-zk/gristmill/plugins/host"
	"github.com/gristmill-zk/gristmill/plugins/sandbox"
	"github.com/gristmill-zk/gristmill/wire"
)

// faults is the bundle of the plugin fault, built once.
var faults = sync.OnceValues(func() (*bundle.Bundle, error) {
	return bundle.Build(context.Background(), bundle.BuildConfig{
		Source: filepath.Join("..", "circuits", "fault"),
		OutDir: filepath.Dir(plugin.Dir), AllowInsecure: true, // removed with the other bundle
	})
})

// otherFault is a bundle of the same executable with another batch size.
func otherFault(batch int) (*bundle.Bundle, error) {
	b, err := faults()
	if err != nil {
		return nil, err
	}
	binary, err := b.Path(bundle.PartPlugin)
	if err != nil {
		return nil, err
	}
	return bundle.Build(context.Background(), bundle.BuildConfig{
		Binary: binary, BatchSize: batch, OutDir: filepath.Dir(b.Dir), AllowInsecure: true,
	})
}

// faultTask asks the plugin fault for something.
func faultTask(nonce uint64, batch uint32, message string) (host.Task, error) {
	d := wire.Deployment{ChainID: 31337, Registry: wire.Address{1}}
	seed := wire.SHA256([]byte("host test device"))
	signer, err := wire.NewSigner(wire.SchemeEdDSABN254, seed[:])
	if err != nil {
		return host.Task{}, err
	}
	m := wire.Message{Project: 7, Nonce: nonce, Time: 1_700_000_000_000, Payload: []byte(message)}
	if err := signer.Sign(d, fault.PayloadLimit, &m); err != nil {
		return host.Task{}, err
	}
	body := wire.Body{Project: 7, Version: 1, Messages: []wire.Message{m}}
	raw, err := body.MarshalBinary()
	if err != nil {
		return host.Task{}, err
	}
	commitment, err := body.Commitment(d, batch, fault.PayloadLimit)
	if err != nil {
		return host.Task{}, err
	}
	return host.Task{
		ID:         wire.SHA256([]byte("fault"), []byte(strconv.FormatUint(nonce, 10))),
		Deployment: d, Prover: wire.Address{2}, Body: raw, DataCommitment: wire.ElementHash(commitment),
	}, nil
}

// attempt asks for something and gives the notes of progress.
func attempt(ctx context.Context, t *testing.T, c *host.Circuit, message string) (notes string, err error) {
	t.Helper()
	task, err := faultTask(1, fault.BatchNormal, message)
	require.NoError(t, err)
	var all []string
	task.Progress = func(stage string) { all = append(all, stage) }
	_, err = c.Solve(ctx, task)
	return strings.Join(all, "\n"), err
}

// descendants are the processes that this one started, and theirs.
func descendants() (pids []int) {
	for _, pid := range processes() {
		for up := pid; up > 1; {
			_, parent, _, ok := stat(up)
			if ok && parent == os.Getpid() {
				pids = append(pids, pid)
				break
			}
			up = parent
		}
	}
	return pids
}

func descriptors(t *testing.T) int {
	t.Helper()
	all, err := os.ReadDir("/proc/self/fd")
	require.NoError(t, err)
	return len(all)
}

// refusals are how the layers say no; any of them will do.
var refusals = []string{"permission denied", "not permitted", "no such file", "no space left", "no such process", "unreachable"}

// Every misbehaviour costs at most its own attempt, and when the host closes
// nothing is left of any. It does not run beside others, which have processes,
// descriptors and goroutines too.
func TestFaultsCostTheirAttemptAndLeaveNothing(t *testing.T) {
	b, err := faults()
	require.NoError(t, err)
	secrets, err := os.MkdirTemp("/tmp", "gm-k") // paths in messages are short
	require.NoError(t, err)
	defer func() { require.NoError(t, os.RemoveAll(secrets)) }()
	keystore := filepath.Join(secrets, "keystore")
	require.NoError(t, os.WriteFile(keystore, []byte("the operator's key"), 0o600))
	planted := filepath.Join(secrets, "planted")
	const usual = "/tmp/gristmill-fault" // where the plugin writes when it is not told; somebody else may have
	_, usualBefore := os.Stat(usual)
	// What loses its parent becomes ours.
	require.NoError(t, unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0))
	defer func() { require.NoError(t, unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)) }()
	fds, routines := descriptors(t), runtime.NumGoroutine()

	s := setup(t, host.Config{MemoryLimit: 512 << 20})
	c, err := s.host.Open(t.Context(), b)
	require.NoError(t, err)
	for _, f := range []struct {
		message string
		code    host.Code // empty: the task is solved, and what was tried is refused
		text    string
	}{
		{"crash", host.CodeCrashed, "ended with status 3, after printing: fault: it ends now"},
		{"panic", host.CodeCrashed, "ended with status 2, after printing: panic: the plugin panics"},
		{"memory", host.CodeCrashed, "(it may use 512 MiB)"},
		{"hang", host.CodeTimeout, "no solution after"},
		{"ignore-cancel", host.CodeTimeout, "no solution after"},
		{"wrong-witness", host.CodeBadSolution, "does not follow from the wires"},
		{"wrong-output", host.CodeBadSolution, "public wire 3 (output 0) is not the task's"},
		{"garbage", host.CodeBadSolution, "is not below the modulus"},
		{"short", host.CodeBadSolution, "does not follow from the wires"},
		{"answer-twice", host.CodeCrashed, "went on after its result"},
		{"huge", host.CodeCrashed, "too large"},
		{"fork-bomb", "", "0 of 50 children"},
		{"child", "", "0 of 1 children"},
		{"fill", "", "bytes"},
		{"read", "", "shadow"},
		{"read " + keystore, "", "keystore"},
		{"write", "", "gristmill-fault"},
		{"write " + planted, "", "planted"},
		{"tcp", "", "listen"},
		{"signal", "", ""},
		{"shared", "", ""},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		if f.code == host.CodeTimeout {
			var end context.CancelFunc
			ctx, end = context.WithTimeout(ctx, time.Second)
			defer end()
		}
		notes, err := attempt(ctx, t, c, f.message)
		cancel()
		if f.code == "" {
			require.NoError(t, err, f.message)
			name, _, _ := strings.Cut(f.message, " ")
			i := slices.IndexFunc(strings.Split(notes, "\n"), func(n string) bool { return strings.HasPrefix(n, name+": ") })
			require.GreaterOrEqual(t, i, 0, notes)
			said := strings.Split(notes, "\n")[i]
			require.Contains(t, said, f.text)
			require.NotContains(t, said, fault.Got)
			require.True(t, slices.ContainsFunc(refusals, func(r string) bool { return strings.Contains(said, r) }), said)
		} else {
			var failure *host.Error
			require.ErrorAs(t, err, &failure, f.message)
			require.Equal(t, f.code, failure.Code, err.Error())
			require.ErrorContains(t, err, f.text)
			require.True(t, failure.Retry())
		}
		_, err = attempt(t.Context(), t, c, string(fault.Honest))
		require.NoError(t, err, "after "+f.message)
	}
	require.NoFileExists(t, planted)
	_, usualAfter := os.Stat(usual)
	require.Equal(t, usualBefore, usualAfter)
	dir := host.RunDir(s.host)
	require.NoError(t, s.host.Close())
	require.NoDirExists(t, dir)
	require.Eventually(t, func() bool { return len(descendants()) == 0 }, time.Minute, 5*time.Millisecond)
	require.Eventually(t, func() bool { return descriptors(t) <= fds }, time.Minute, 5*time.Millisecond)
	routines++ // the condition is asked in one of its own
	require.Eventually(t, func() bool { return runtime.NumGoroutine() <= routines }, time.Minute, 5*time.Millisecond)
}

// A bundle can be bad before it has seen a task.
func TestFaultsAtTheStart(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("makes keys for two more bundles")
	}
	for batch, f := range map[int]struct {
		patience time.Duration
		text     string
	}{
		fault.BatchCrash: {time.Minute, "start: the plugin's process ended with status 3, after printing: fault: this bundle ends at its start"},
		fault.BatchSlow:  {500 * time.Millisecond, "start: the plugin was not ready within 500ms"},
	} {
		b, err := otherFault(batch)
		require.NoError(t, err)
		s := setup(t, host.Config{StartTimeout: f.patience})
		c, err := s.host.Open(t.Context(), b)
		require.NoError(t, err)
		task, err := faultTask(1, uint32(batch), string(fault.Honest))
		require.NoError(t, err)
		_, err = c.Solve(t.Context(), task)
		var failure *host.Error
		require.ErrorAs(t, err, &failure)
		require.Equal(t, host.CodeStart, failure.Code)
		require.ErrorContains(t, err, f.text)
		require.Empty(t, host.Running(s.host))
	}
}

// layered is a host with some layers only, as on a machine that lacks the
// others; it skips where they are not there.
func layered(t *testing.T, layers ...sandbox.Layer) *testBundle {
	t.Helper()
	here, err := sandbox.Probe(t.Context())
	require.NoError(t, err)
	var some sandbox.Support
	for _, s := range here.Layers {
		if slices.Contains(layers, s.Layer) {
			if !s.InForce {
				t.Skipf("%s: %s", s.Layer, s.Detail)
			}
			some.Layers = append(some.Layers, s)
		}
	}
	chosen, _, err := some.Choose(sandbox.BestEffort)
	require.NoError(t, err)
	s := setup(t, host.Config{})
	host.SetSandbox(s.host, chosen)
	b, err := faults()
	require.NoError(t, err)
	s.circuit, err = s.host.Open(t.Context(), b)
	require.NoError(t, err)
	return s
}

// Each layer holds without the others.
func TestLayersHoldAlone(t *testing.T) {
	t.Parallel()
	for layer, messages := range map[sandbox.Layer][]string{
		sandbox.Namespaces:  {"tcp", "signal"},
		sandbox.Files:       {"read", "write"},
		sandbox.SystemCalls: {"child", "tcp", "signal", "shared"},
	} {
		t.Run(string(layer), func(t *testing.T) {
			t.Parallel()
			s := layered(t, layer)
			for _, message := range messages {
				notes, err := attempt(t.Context(), t, s.circuit, message)
				require.NoError(t, err)
				if layer == sandbox.Namespaces && message != "signal" {
					// It may talk to itself: the network has nobody else.
					require.Contains(t, notes, message+": ")
					continue
				}
				require.NotContains(t, notes, fault.Got)
			}
		})
	}
	t.Run("root", func(t *testing.T) {
		t.Parallel()
		s := layered(t, sandbox.Namespaces, sandbox.Root)
		for _, message := range []string{"read", "fill", "write"} {
			notes, err := attempt(t.Context(), t, s.circuit, message)
			require.NoError(t, err)
			if message != "write" { // it has a little room, which ends with it
				require.NotContains(t, notes, fault.Got)
			}
		}
	})
}

// Without the layer that forbids children, they end with the plugin, whatever
// they did to get away.
func TestChildrenEndWithTheirNamespace(t *testing.T) {
	t.Parallel()
	s := layered(t, sandbox.Namespaces)
	notes, err := attempt(t.Context(), t, s.circuit, "child")
	require.NoError(t, err)
	require.Contains(t, notes, fault.Got+"1 children")
	pids := host.Running(s.host)
	require.Len(t, pids, 1)
	room, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/pid", pids[0]))
	require.NoError(t, err)
	require.Len(t, inNamespace(room), 2)
	_, err = attempt(t.Context(), t, s.circuit, "crash")
	require.Error(t, err)
	require.Eventually(t, func() bool { return len(inNamespace(room)) == 0 }, time.Minute, 5*time.Millisecond)
}

func inNamespace(room string) (pids []int) {
	for _, pid := range processes() {
		if link, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/pid", pid)); err == nil && link == room {
			pids = append(pids, pid)
		}
	}
	return pids
}

// Whatever a plugin started ends with a host that is killed.
func TestKilledHostLeavesNoChildren(t *testing.T) {
	t.Parallel()
	b, err := faults()
	require.NoError(t, err)
	layered(t, sandbox.Namespaces) // or skip
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), helperEnv+"="+b.Dir, helperChildEnv+"=1")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	lines := bufio.NewScanner(out)
	for lines.Scan() && lines.Text() != "hang: hanging" {
		continue
	}
	plugins := children(cmd.Process.Pid)
	require.Len(t, plugins, 1)
	room, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/pid", plugins[0]))
	require.NoError(t, err)
	require.Len(t, inNamespace(room), 2, "the plugin and its child")

	require.NoError(t, cmd.Process.Kill())
	_ = cmd.Wait()
	require.Eventually(t, func() bool { return len(inNamespace(room)) == 0 }, time.Minute, 5*time.Millisecond)
}

// Processes without work end for the memory that they use together.
func TestIdleProcessesEndForTheirMemory(t *testing.T) {
	t.Parallel()
	b := setup(t, host.Config{IdleMemory: 1})
	requireHonest(t, b.circuit)
	require.Empty(t, host.Running(b.host))
	requireHonest(t, b.circuit)
}
