package host_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/gristmill-zk/gristmill/plugins/bundle"
	"github.com/gristmill-zk/gristmill/plugins/host"
	"github.com/gristmill-zk/gristmill/plugins/internal/faulty"
	"github.com/gristmill-zk/gristmill/plugins/sandbox"
	"github.com/gristmill-zk/gristmill/wire"
)

// newTask is a signed task whose payload starts with m.
func newTask(m faulty.Mode, nonce uint64) (host.Task, error) { return newTaskOf(m, nonce, 1) }

// newTaskOf is newTask for a circuit with room for batch messages.
func newTaskOf(m faulty.Mode, nonce uint64, batch uint32) (host.Task, error) {
	d := wire.Deployment{ChainID: 31337, Registry: wire.Address{1}}
	seed := wire.SHA256([]byte("host test device"))
	signer, err := wire.NewSigner(wire.SchemeEdDSABN254, seed[:])
	if err != nil {
		return host.Task{}, err
	}
	msg := wire.Message{Project: 7, Nonce: nonce, Time: 1_700_000_000_000, Payload: []byte{byte(m)}}
	if err := signer.Sign(d, 8, &msg); err != nil {
		return host.Task{}, err
	}
	body := wire.Body{Project: 7, Version: 1, Messages: []wire.Message{msg}}
	raw, err := body.MarshalBinary()
	if err != nil {
		return host.Task{}, err
	}
	commitment, err := body.Commitment(d, batch, 8)
	if err != nil {
		return host.Task{}, err
	}
	return host.Task{
		ID:         wire.SHA256([]byte("task"), []byte(strconv.FormatUint(nonce, 10))),
		Deployment: d, Prover: wire.Address{2}, Body: raw, DataCommitment: wire.ElementHash(commitment),
	}, nil
}

func task(t *testing.T, m faulty.Mode) host.Task {
	t.Helper()
	out, err := newTask(m, uint64(m)+1)
	require.NoError(t, err)
	return out
}

type testBundle struct {
	host    *host.Host
	circuit *host.Circuit
	log     *syncBuffer
}

type syncBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func setup(t *testing.T, cfg host.Config) *testBundle {
	t.Helper()
	log := &syncBuffer{}
	cfg.Logger = slog.New(slog.NewJSONHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	h, err := host.New(cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, h.Close()) })
	c, err := h.Open(t.Context(), plugin)
	require.NoError(t, err)
	return &testBundle{host: h, circuit: c, log: log}
}

// requireHonest says that the circuit solves a good task now.
func requireHonest(t *testing.T, c *host.Circuit) {
	t.Helper()
	good := task(t, faulty.Honest)
	s, err := c.Solve(t.Context(), good)
	require.NoError(t, err)
	require.Len(t, s.Outputs, 1)
	require.True(t, s.Outputs[0].IsZero())
	require.Equal(t, 4, s.Public)
	binding := wire.Binding(good.Deployment, good.ID, good.Prover)
	require.True(t, s.W[1].Equal(&binding))
}

// A process that waits for its next task keeps nothing of the last one's
// witness, in a file that has its size still.
func TestNothingOfAWitnessRemains(t *testing.T) {
	t.Parallel()
	b := setup(t, host.Config{})
	requireHonest(t, b.circuit)
	remains, err := host.Remains(b.circuit)
	require.NoError(t, err)
	require.Len(t, remains, 1)
	require.Equal(t, make([]byte, len(remains[0])), remains[0])
	requireHonest(t, b.circuit)
}

// What is released is overwritten and used again, by one solution at a time.
func TestReleasedSolutions(t *testing.T) {
	t.Parallel()
	b := setup(t, host.Config{})
	solve := func(nonce uint64) (*host.Solution, fr.Element) {
		task, err := newTask(faulty.Honest, nonce)
		require.NoError(t, err)
		s, err := b.circuit.Solve(t.Context(), task)
		require.NoError(t, err)
		return s, wire.Binding(task.Deployment, task.ID, task.Prover)
	}
	first, binding := solve(1)
	require.Equal(t, binding, first.W[1])
	vectors := []fr.Vector{first.W, first.A, first.B, first.C}
	first.Release()
	require.Nil(t, first.W)
	for _, v := range vectors {
		require.Equal(t, make(fr.Vector, len(v)), v)
	}
	first.Release()
	second, binding2 := solve(2)
	third, binding3 := solve(3)
	require.Equal(t, binding2, second.W[1])
	require.Equal(t, binding3, third.W[1])
	c := make(fr.Vector, len(second.A))
	c.Mul(second.A, second.B)
	require.Equal(t, c, second.C)
	mine := &host.Solution{W: fr.Vector{fr.One()}}
	w := mine.W
	mine.Release()
	require.True(t, w[0].IsZero())
}

// Each equation of a circuit is checked: A = L·W, B = R·W and A∘B = O·W.
func TestEveryEquationIsChecked(t *testing.T) {
	t.Parallel()
	b := setup(t, host.Config{})
	good, err := b.circuit.Solve(t.Context(), task(t, faulty.Honest))
	require.NoError(t, err)
	rows, err := plugin.Rows()
	require.NoError(t, err)
	changed := func(change func(s *host.Solution)) error {
		s := &host.Solution{W: slices.Clone(good.W), A: slices.Clone(good.A), B: slices.Clone(good.B), Public: good.Public}
		change(s)
		return host.Check(b.circuit, s)
	}
	require.NoError(t, changed(func(*host.Solution) {}))
	one := fr.One()
	for name, change := range map[string]func(s *host.Solution){
		"first row of A":       func(s *host.Solution) { s.A[0].Add(&s.A[0], &one) },
		"last row of A":        func(s *host.Solution) { s.A[len(s.A)-1].Add(&s.A[len(s.A)-1], &one) },
		"first row of B":       func(s *host.Solution) { s.B[0].Add(&s.B[0], &one) },
		"last row of B":        func(s *host.Solution) { s.B[len(s.B)-1].Add(&s.B[len(s.B)-1], &one) },
		"A and B change sides": func(s *host.Solution) { s.A, s.B = s.B, s.A },
		"two rows change":      func(s *host.Solution) { s.A[0], s.A[1], s.B[0], s.B[1] = s.A[1], s.A[0], s.B[1], s.B[0] },
		"a wire":               func(s *host.Solution) { s.W[s.Public+3].Add(&s.W[s.Public+3], &one) },
		"wires that do not satisfy the circuit": func(s *host.Solution) {
			s.W[s.Public+3].Add(&s.W[s.Public+3], &one)
			s.A, s.B, _ = rows.Evaluate(s.W)
		},
	} {
		require.ErrorContains(t, changed(change), "does not follow from the wires", name)
	}
}

// Waiting for a slot takes nothing of the time a solve has.
func TestSolveTimeStartsWithTheSlot(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("waits for a solve to time out")
	}
	b := setup(t, host.Config{SolveTimeout: 10 * time.Second})
	hung := make(chan error, 1)
	bad := task(t, faulty.Hang)
	started := make(chan struct{})
	once := sync.OnceFunc(func() { close(started) })
	bad.Progress = func(string) { once() }
	go func() {
		_, err := b.circuit.Solve(t.Context(), bad)
		hung <- err
	}()
	<-started
	_, err := b.circuit.Solve(t.Context(), task(t, faulty.Honest)) // waits until the first one's time is up
	require.NoError(t, err)
	require.ErrorContains(t, <-hung, "timeout")
}

func TestMisbehaviour(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		mode  faulty.Mode
		code  host.Code
		text  string
		retry bool
	}{
		"crash":         {faulty.Crash, host.CodeCrashed, "", true},
		"panic":         {faulty.Panic, host.CodeCrashed, "", true},
		"no result":     {faulty.NoResult, host.CodeCrashed, "without a result", true},
		"stale":         {faulty.Stale, host.CodeBadSolution, "wrong magic", true},
		"wrong output":  {faulty.WrongOutput, host.CodeBadSolution, "public wire 3 (output 0)", true},
		"big output":    {faulty.BigOutput, host.CodeBadSolution, "output 0 is not below the modulus", true},
		"many outputs":  {faulty.ManyOutputs, host.CodeBadSolution, "2 outputs", true},
		"no time":       {faulty.NoTime, host.CodeBadSolution, "NaN ms", true},
		"garbage":       {faulty.Garbage, host.CodeBadSolution, "element 7 is not below the modulus", true},
		"wrong binding": {faulty.WrongBinding, host.CodeBadSolution, "public wire 1 (binding)", true},
		"wrong wire":    {faulty.WrongWire, host.CodeBadSolution, "does not follow from the wires", true},
		"wrong row":     {faulty.WrongRow, host.CodeBadSolution, "does not follow from the wires", true},
		"unasked":       {faulty.CommitUnasked, host.CodeBadSolution, "asks for a commitment, and the circuit uses none", true},
		"refuse":        {faulty.Refuse, host.CodeBadTask, "message 0 asks to be refused", false},
		"unsatisfied":   {faulty.Unsatisfied, host.CodeUnsatisfied, "not satisfied", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, host.Config{})
			bad := task(t, test.mode)
			_, err := b.circuit.Solve(t.Context(), bad)
			var failure *host.Error
			require.ErrorAs(t, err, &failure)
			require.Equal(t, test.code, failure.Code, err.Error())
			require.Equal(t, test.retry, failure.Retry())
			require.Equal(t, bad.ID, failure.Task)
			require.Contains(t, err.Error(), test.text)
			require.NotContains(t, err.Error(), "\x1b")
			require.NotContains(t, err.Error(), "\n")
			requireHonest(t, b.circuit)
		})
	}
}

func TestOtherCommitmentIsRefused(t *testing.T) {
	t.Parallel()
	b := setup(t, host.Config{})
	other := task(t, faulty.Honest)
	other.DataCommitment = wire.Hash{31: 5}
	_, err := b.circuit.Solve(t.Context(), other)
	var failure *host.Error
	require.ErrorAs(t, err, &failure)
	require.Equal(t, host.CodeBadTask, failure.Code)
	require.ErrorContains(t, err, "data_commitment")
}

func TestSolutionFileKeepsItsSize(t *testing.T) {
	t.Parallel()
	b := setup(t, host.Config{})
	var stages []string
	resize := task(t, faulty.Resize)
	resize.Progress = func(stage string) { stages = append(stages, stage) }
	_, err := b.circuit.Solve(t.Context(), resize)
	require.NoError(t, err)
	require.Len(t, stages, 3)
	// The seal forbids shrinking, the limit on file sizes already growing.
	require.Contains(t, stages[0], "shrink truncate")
	require.Contains(t, stages[0], "grow truncate")
}

func TestOutputIsLoggedAndEnvironmentEmpty(t *testing.T) {
	t.Setenv("GRISTMILL_SECRET", "must not be seen")
	b := setup(t, host.Config{})
	var environment string
	printing := task(t, faulty.Print)
	printing.Progress = func(stage string) {
		if names, ok := strings.CutPrefix(stage, "environment "); ok {
			environment = names
		}
	}
	_, err := b.circuit.Solve(t.Context(), printing)
	require.NoError(t, err)
	for _, name := range strings.Fields(environment) {
		require.True(t, strings.HasPrefix(name, "PLUGIN_") || name == "GRISTMILL_PLUGIN", name)
	}
	require.Eventually(t, func() bool {
		text := b.log.String()
		return strings.Contains(text, `"a line on standard output","plugin":"faulty"`) &&
			strings.Contains(text, `"a line on standard error","plugin":"faulty"`)
	}, time.Minute, 10*time.Millisecond)
	require.Contains(t, b.log.String(), printing.ID.String())
}

func TestCancelKillsAHungSolveAndItsChildren(t *testing.T) {
	t.Parallel()
	for name, m := range map[string]faulty.Mode{"hang": faulty.Hang, "fork": faulty.Fork} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, host.Config{Sandbox: sandbox.Off}) // it could not have children
			ctx, cancel := context.WithCancel(t.Context())
			var group int
			hung := task(t, m)
			hung.Progress = func(string) {
				// The plugin leads a group.
				group = pluginGroup(t, b.host)
				cancel()
			}
			_, err := b.circuit.Solve(ctx, hung)
			var failure *host.Error
			require.ErrorAs(t, err, &failure)
			require.Equal(t, host.CodeCanceled, failure.Code)
			require.NotZero(t, group)
			require.Eventually(t, func() bool { return len(groupMembers(group)) == 0 }, time.Minute, 5*time.Millisecond)
			requireHonest(t, b.circuit)
		})
	}
}

func TestCrashTakesTheChildrenAlong(t *testing.T) {
	t.Parallel()
	b := setup(t, host.Config{Sandbox: sandbox.Off})
	var group int
	crashing := task(t, faulty.ForkAndCrash)
	crashing.Progress = func(string) {
		if group == 0 { // at a later note it may be gone
			group = pluginGroup(t, b.host)
		}
	}
	_, err := b.circuit.Solve(t.Context(), crashing)
	require.NoError(t, err)
	require.NotZero(t, group)
	require.Eventually(t, func() bool { return len(groupMembers(group)) == 0 }, time.Minute, 5*time.Millisecond)
	requireHonest(t, b.circuit)
}

func TestDeadlineKills(t *testing.T) {
	t.Parallel()
	b := setup(t, host.Config{})
	requireHonest(t, b.circuit)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err := b.circuit.Solve(ctx, task(t, faulty.Hang))
	var failure *host.Error
	require.ErrorAs(t, err, &failure)
	require.Equal(t, host.CodeTimeout, failure.Code)
	require.True(t, failure.Retry())
	requireHonest(t, b.circuit)
}

func TestCloseEndsSolves(t *testing.T) {
	t.Parallel()
	b := setup(t, host.Config{})
	hanging := make(chan struct{})
	hung := task(t, faulty.Hang)
	hung.Progress = func(string) { close(hanging) }
	result := make(chan error, 1)
	go func() {
		_, err := b.circuit.Solve(context.WithoutCancel(t.Context()), hung)
		result <- err
	}()
	<-hanging
	require.NoError(t, b.host.Close())
	var failure *host.Error
	require.ErrorAs(t, <-result, &failure)
	require.Equal(t, host.CodeClosed, failure.Code)
	_, err := b.circuit.Solve(t.Context(), task(t, faulty.Honest))
	require.ErrorAs(t, err, &failure)
	require.Equal(t, host.CodeClosed, failure.Code)
	_, err = b.host.Open(t.Context(), plugin)
	require.ErrorAs(t, err, &failure)
	require.Equal(t, host.CodeClosed, failure.Code)
}

func TestSlotsRunInParallelAndProcessesAreReused(t *testing.T) {
	t.Parallel()
	b := setup(t, host.Config{Slots: 2})
	var g errgroup.Group
	for i := range 12 {
		g.Go(func() error {
			m := faulty.Honest
			if i%4 == 3 {
				m = faulty.Crash
			}
			next, err := newTask(m, uint64(100+i))
			if err != nil {
				return err
			}
			_, err = b.circuit.Solve(t.Context(), next)
			var failure *host.Error
			if m == faulty.Crash && errors.As(err, &failure) && failure.Code == host.CodeCrashed {
				return nil
			}
			return err
		})
	}
	require.NoError(t, g.Wait())
	require.LessOrEqual(t, len(host.Running(b.host)), 2)
}

func TestIdleProcessIsEvicted(t *testing.T) {
	t.Parallel()
	b := setup(t, host.Config{IdleTimeout: time.Millisecond})
	requireHonest(t, b.circuit)
	require.Eventually(t, func() bool { return len(host.Running(b.host)) == 0 }, time.Minute, 5*time.Millisecond)
	requireHonest(t, b.circuit)
}

func TestAlteredPluginIsRefused(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "copy")
	require.NoError(t, os.CopyFS(dir, os.DirFS(plugin.Dir)))
	b, err := bundle.Open(t.Context(), dir)
	require.NoError(t, err)
	path, err := b.Path(bundle.PartPlugin)
	require.NoError(t, err)
	flipByte(t, path, 4096)

	h, err := host.New(host.Config{})
	require.NoError(t, err)
	defer func() { require.NoError(t, h.Close()) }()
	_, err = h.Open(t.Context(), b)
	require.ErrorIs(t, err, bundle.ErrAltered)
	require.ErrorContains(t, err, "plugin")
}

func TestAlteredCircuitIsRefused(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "copy")
	require.NoError(t, os.CopyFS(dir, os.DirFS(plugin.Dir)))
	b, err := bundle.Open(t.Context(), dir)
	require.NoError(t, err)
	h, err := host.New(host.Config{})
	require.NoError(t, err)
	defer func() { require.NoError(t, h.Close()) }()
	c, err := h.Open(t.Context(), b)
	require.NoError(t, err)

	path, err := b.Path(bundle.PartCircuit)
	require.NoError(t, err)
	info, err := os.Stat(path)
	require.NoError(t, err)
	flipByte(t, path, info.Size()-1)
	_, err = c.Solve(t.Context(), task(t, faulty.Honest))
	var failure *host.Error
	require.ErrorAs(t, err, &failure)
	require.Equal(t, host.CodeStart, failure.Code)
}

func TestKilledHostLeavesNoPlugin(t *testing.T) {
	t.Parallel()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), helperEnv+"="+plugin.Dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "hanging\n", line)
	plugins := children(cmd.Process.Pid)
	require.Len(t, plugins, 1)

	require.NoError(t, cmd.Process.Kill())
	_ = cmd.Wait()
	require.Eventually(t, func() bool { return !running(plugins[0]) }, time.Minute, 5*time.Millisecond)
}

func TestConfigIsChecked(t *testing.T) {
	t.Parallel()
	_, err := host.New(host.Config{RunDir: "/" + strings.Repeat("x", 80)})
	require.ErrorContains(t, err, "RunDir")
	_, err = host.New(host.Config{Slots: -1})
	require.ErrorContains(t, err, "Slots")
}

func flipByte(t *testing.T, path string, at int64) {
	t.Helper()
	raw, err := os.ReadFile(path)
	require.NoError(t, err)
	raw[at] ^= 1
	require.NoError(t, os.WriteFile(path, raw, 0o755))
}

// stat reads a process's state, parent and group.
func stat(pid int) (state byte, parent, group int, ok bool) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, 0, 0, false
	}
	fields := strings.Fields(string(raw[bytes.LastIndexByte(raw, ')')+1:]))
	parent, _ = strconv.Atoi(fields[1])
	group, _ = strconv.Atoi(fields[2])
	return fields[0][0], parent, group, true
}

func running(pid int) bool {
	state, _, _, ok := stat(pid)
	return ok && state != 'Z' && state != 'X'
}

func processes() (pids []int) {
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil && running(pid) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// children are the plugins a process started.
func children(parent int) (pids []int) {
	for _, pid := range processes() {
		_, p, _, _ := stat(pid)
		name, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if p == parent && bytes.HasPrefix(name, []byte("gristmill-plugin-")) {
			pids = append(pids, pid)
		}
	}
	return pids
}

func pluginGroup(t *testing.T, h *host.Host) int {
	t.Helper()
	pids := host.Running(h)
	if len(pids) != 1 {
		t.Errorf("%d plugins run, want 1", len(pids))
		return 0
	}
	return pids[0]
}

func groupMembers(group int) (pids []int) {
	for _, pid := range processes() {
		if _, _, g, _ := stat(pid); g == group {
			pids = append(pids, pid)
		}
	}
	return pids
}
