//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gristmill-zk/gristmill/internal/testport"
	"github.com/gristmill-zk/gristmill/wire"
)

// program and plugin are built once for all tests, with failpoints.
var program, plugin string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "gm")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer func() { _ = os.RemoveAll(dir) }()
		program, plugin = filepath.Join(dir, "gristmill"), filepath.Join(dir, "meter")
		for out, args := range map[string][]string{
			program: {"-tags", "failpoints", "github.com/gristmill-zk/gristmill/cmd/gristmill"},
			plugin:  {"github.com/gristmill-zk/gristmill/plugins/circuits/meter"},
		} {
			build := exec.Command("go", append([]string{"build", "-o", out}, args...)...)
			build.Env = append(os.Environ(), "CGO_ENABLED=0")
			if text, err := build.CombinedOutput(); err != nil {
				fmt.Fprintf(os.Stderr, "build: %v\n%s", err, text)
				return 1
			}
		}
		return m.Run()
	}())
}

// process is one running gristmill.
type process struct {
	name string
	cmd  *exec.Cmd
	done chan struct{}
	err  error
}

// farm is a data directory and what runs on it.
type farm struct {
	t     *testing.T
	dir   string
	log   *os.File
	ports map[string]string
	args  []string
	up    *process
}

func newFarm(t *testing.T, args ...string) *farm {
	t.Helper()
	f := &farm{t: t, dir: filepath.Join(t.TempDir(), "d"), ports: map[string]string{}}
	logPath := filepath.Join(t.TempDir(), "log")
	var err error
	f.log, err = os.Create(logPath)
	require.NoError(t, err)
	t.Cleanup(func() {
		if f.up != nil {
			f.up.kill()
		}
		if t.Failed() {
			text, _ := os.ReadFile(logPath)
			if len(text) > 12000 {
				text = text[len(text)-12000:]
			}
			t.Logf("the end of the processes' output:\n%s", text)
			if keep := os.Getenv("GRISTMILL_E2E_KEEP"); keep != "" {
				_ = os.CopyFS(filepath.Join(keep, t.Name()), os.DirFS(f.dir))
			}
		}
		_ = f.log.Close()
	})
	for _, name := range []string{"rpc", "sequencer", "mining", "scheduler", "redis"} {
		f.ports[name] = testport.Reserve(t)
	}
	f.args = append([]string{
		"up", "--rpc-listen", f.ports["rpc"], "--listen", f.ports["sequencer"],
		"--mining-listen", f.ports["mining"], "--scheduler-listen", f.ports["scheduler"],
		"--meter-plugin", plugin, "--block-time", "2s", "--half-life", "20s", "--max-wait", "1s",
	}, args...)
	return f
}

// environ is the test's own environment without any setting of gristmill's but
// the data directory.
func (f *farm) environ() []string {
	env := slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "GRISTMILL_") })
	return append(env, "GRISTMILL_DATA_DIR="+f.dir)
}

// run starts gristmill with args on the farm's data directory.
func (f *farm) run(name string, env []string, args ...string) *process {
	f.t.Helper()
	cmd := exec.Command(program, args...)
	cmd.Env = append(f.environ(), env...)
	fmt.Fprintf(f.log, "\n=== %s %s %v\n", time.Now().Format("15:04:05.000"), strings.Join(args, " "), env)
	cmd.Stdout, cmd.Stderr = f.log, f.log
	require.NoError(f.t, cmd.Start())
	p := &process{name: name, cmd: cmd, done: make(chan struct{})}
	go func() {
		p.err = cmd.Wait()
		close(p.done)
	}()
	return p
}

// start starts `up`, to be killed at failpoint when that is not empty.
func (f *farm) start(failpoint string) {
	f.t.Helper()
	f.up = f.run("up", []string{"GRISTMILL_FAILPOINT=" + failpoint}, f.args...)
}

// kill sends SIGKILL and returns when the process is gone.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.done
}

// stop sends SIGINT and expects a clean end.
func (p *process) stop(t *testing.T) {
	t.Helper()
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGINT))
	select {
	case <-p.done:
	case <-time.After(90 * time.Second):
		p.kill()
		t.Fatalf("%s did not stop within 90 s of SIGINT", p.name)
	}
	require.NoError(t, p.err, "%s after SIGINT", p.name)
}

// dead says whether the process has ended.
func (p *process) dead() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// killed says whether it ended by SIGKILL rather than by an error of its own.
func (p *process) killed() bool {
	var exit *exec.ExitError
	if !errors.As(p.err, &exit) {
		return false
	}
	status, ok := exit.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == syscall.SIGKILL
}

// ready waits until the node takes messages; false when it died before.
func (f *farm) ready(limit time.Duration) bool {
	f.t.Helper()
	ok := false
	require.Eventually(f.t, func() bool {
		if f.up != nil && f.up.dead() {
			return true
		}
		ok = f.get("/healthz", nil) == nil && f.nodeFile()
		return ok
	}, limit, 50*time.Millisecond, "not ready")
	return ok
}

// nodeFile says whether node.json is there and of this process.
func (f *farm) nodeFile() bool {
	if f.up == nil {
		return true
	}
	var info struct {
		PID int `json:"pid"`
	}
	data, err := os.ReadFile(filepath.Join(f.dir, "node.json"))
	return err == nil && json.Unmarshal(data, &info) == nil && info.PID == f.up.cmd.Process.Pid
}

// command runs a gristmill command to its end and returns what it printed.
func (f *farm) command(args ...string) string {
	f.t.Helper()
	out, err := f.try(args...)
	require.NoError(f.t, err)
	return out
}

// try is command for a goroutine, which may not end the test.
func (f *farm) try(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = f.environ()
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("gristmill %s: %w: %s%s", strings.Join(args, " "), err, out, stderr.String())
	}
	return string(out), nil
}

var httpClient = &http.Client{Timeout: 10 * time.Second}

// get reads a JSON answer of the sequencer.
func (f *farm) get(path string, into any) error {
	resp, err := httpClient.Get("http://" + f.ports["sequencer"] + path)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", path, resp.Status)
	}
	if into == nil {
		return nil
	}
	return json.NewDecoder(resp.Body).Decode(into)
}

// deployment asks the node which contracts it works with.
func (f *farm) deployment() wire.Deployment {
	f.t.Helper()
	var answer struct {
		ChainID  uint64       `json:"chain_id"`
		Registry wire.Address `json:"registry"`
	}
	require.NoError(f.t, f.get("/v1/deployment", &answer))
	return wire.Deployment{ChainID: answer.ChainID, Registry: answer.Registry}
}

// ledger is what the test's devices know: the messages acknowledged.
type ledger struct {
	mu    sync.Mutex
	acked map[wire.Hash]bool
}

func (l *ledger) add(id wire.Hash) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.acked == nil {
		l.acked = map[wire.Hash]bool{}
	}
	l.acked[id] = true
}

func (l *ledger) ids() map[wire.Hash]bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	ids := make(map[wire.Hash]bool, len(l.acked))
	for id := range l.acked {
		ids[id] = true
	}
	return ids
}
