//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	fault "github.com/gristmill-zk/gristmill/plugins/circuits/fault/circuit"
	"github.com/gristmill-zk/gristmill/wire"
)

// failing are the misbehaviours that cost their attempt, each with what the
// task's history must say of it; the other ones are refused by the sandbox, and
// the plugin solves its task then.
var failing = map[fault.Mode]string{
	fault.Crash:        "plugin_crashed: plugin fault: task %s: crashed: the plugin's process ended with status 3, after printing: fault: it ends now",
	fault.Panic:        "the plugin's process ended with status 2, after printing: panic: the plugin panics",
	fault.Memory:       "(it may use 512 MiB)",
	fault.Hang:         "plugin_timeout: plugin fault: task %s: timeout: no solution after 5",
	fault.IgnoreCancel: "and no more time for it; the plugin's process was ended",
	fault.WrongWitness: "does not follow from the wires",
	fault.WrongOutput:  "plugin_bad_solution: plugin fault: task %s: bad-solution: public wire 3 (output 0) is not the task's",
	fault.Garbage:      "is not below the modulus",
	fault.Short:        "does not follow from the wires",
	fault.AnswerTwice:  "the plugin went on after its result",
	fault.Huge:         "the plugin's answer is too large",
}

var refused = []fault.Mode{
	fault.ForkBomb, fault.Child, fault.Fill, fault.Read, fault.Write, fault.TCP, fault.Signal, fault.Shared,
}

// TestBadPluginsBesideGoodOnes has one node work for three projects: meter, one
// whose circuit has a commitment, and one whose plugin does everything that a
// bad one can. The messages of the first two settle while the third's fail, and
// of those each says in its task's history what was wrong with it.
func TestBadPluginsBesideGoodOnes(t *testing.T) {
	began := time.Now()
	reapOrphans(t)
	temp, err := os.MkdirTemp("/tmp", "gm-e2e-") // short enough for sockets in it
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(temp) })
	f := newFarm(t, "--plugin-time", "5s", "--plugin-memory", strconv.Itoa(512<<20))
	f.up = f.run("up", []string{"TMPDIR=" + temp}, f.args...)
	plugins := t.TempDir()
	building := make(chan error, 1)
	go func() { building <- f.buildBundles(plugins) }()
	require.True(t, f.ready(3*time.Minute))
	require.NoError(t, <-building)
	t.Logf("%v: the node runs", time.Since(began))
	bad := f.live(filepath.Join(plugins, "fault"), fault.BatchNormal)
	committing := f.live(filepath.Join(plugins, "cmd"), committingBatch)
	t.Logf("%v: three projects are live", time.Since(began))

	good, wrong := &ledger{}, &ledger{}
	messages := map[wire.Hash]fault.Mode{}
	sender := f.devicesOf(bad, fault.PayloadLimit, 1, wrong, nil)[0]
	send := func(mode fault.Mode, l *ledger) {
		sender.payload = func(uint64) []byte { return []byte(mode) }
		sender.ledger = l
		id, err := sender.next().ID()
		require.NoError(t, err)
		sendAll([]*device{sender})
		messages[id] = mode
	}
	devices := append(f.devices(4, good), f.devicesOf(committing, committingLimit, committingBatch, good, func(uint64) []byte { return []byte{honest} })...)
	for mode := range failing {
		send(mode, wrong)
	}
	for _, mode := range refused {
		send(mode, good)
	}
	t.Logf("%v: all that is bad is sent", time.Since(began))
	const rounds, limit = 2, 2 * time.Minute // in which a prover must accept what it is offered
	for range rounds {
		send(fault.Hang, wrong) // and those before are still tried
		sendAll(devices)
		require.Positive(t, f.open(messages))
		started := time.Now()
		f.requireAllSettledOnce(good, limit)
		t.Logf("all that is good is settled after %v, while %d bad tasks go on", time.Since(started), f.open(messages))
	}
	f.requireReasons(messages)
	t.Logf("%v: all that is bad says why", time.Since(began))
	f.requireRefusals(messages)
	f.requireCommitted(committing)
	require.Contains(t, f.command("audit"), "audit ok")
	require.False(t, f.up.dead())

	require.NotEmpty(t, livingChildren())
	require.NotEmpty(t, entries(t, temp))
	f.up.stop(t)
	require.Empty(t, livingChildren(), "processes of plugins outlive the node")
	require.Empty(t, entries(t, temp), "the node leaves files of plugins behind")
}

func entries(t *testing.T, dir string) []os.DirEntry {
	t.Helper()
	all, err := os.ReadDir(dir)
	require.NoError(t, err)
	return all
}

// Of plugins/internal/faulty: the batch size for which its circuit uses a
// commitment, its longest payload, and a payload for which it is honest, which
// is the task's output.
const (
	committingBatch = 2
	committingLimit = 8
	honest          = 200
)

// buildBundles builds the two plugins that are not meter into dir, and their
// bundles into the data directory, where a first start takes its time meanwhile.
func (f *farm) buildBundles(dir string) error {
	build := exec.Command("go", "build", "-o", dir, "../../plugins/circuits/fault", "../../plugins/internal/faulty/cmd")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if text, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build: %w: %s", err, text)
	}
	for name, batch := range map[string]int{"fault": fault.BatchNormal, "cmd": committingBatch} {
		if _, err := f.try("plugin", "build", "--binary", filepath.Join(dir, name), "--batch", strconv.Itoa(batch)); err != nil {
			return err
		}
	}
	return nil
}

// live puts a plugin on the chain as a project.
func (f *farm) live(binary string, batch int) uint64 {
	f.t.Helper()
	var dev struct {
		Project uint64 `json:"project"`
	}
	out := f.command("plugin", "dev", "--binary", binary, "--batch", strconv.Itoa(batch), "--send", "0", "--max-wait", "1s", "--json")
	require.NoError(f.t, json.Unmarshal([]byte(out), &dev), out)
	return dev.Project
}

// schedulerTask is a task as the scheduler tells of it.
type schedulerTask struct {
	ID      wire.Hash `json:"id"`
	Project uint64    `json:"project"`
	State   string    `json:"state"`
	History []struct {
		Reason string `json:"reason"`
	} `json:"history"`
	Attempts []struct {
		Progress string `json:"progress"`
	} `json:"attempts"`
}

// task is the task that a message is in, when there is one already.
func (f *farm) task(message wire.Hash) (task schedulerTask, ok bool) {
	var view struct {
		TaskID *wire.Hash `json:"task_id"`
	}
	if f.get("/v1/messages/"+message.String(), &view) != nil || view.TaskID == nil {
		return task, false
	}
	resp, err := httpClient.Get("http://" + f.ports["scheduler"] + "/v1/tasks/" + view.TaskID.String())
	if err != nil {
		return task, false
	}
	defer func() { _ = resp.Body.Close() }()
	return task, resp.StatusCode == http.StatusOK && json.NewDecoder(resp.Body).Decode(&task) == nil
}

// open counts the failing tasks that are still tried.
func (f *farm) open(messages map[wire.Hash]fault.Mode) (n int) {
	for id, mode := range messages {
		if _, fails := failing[mode]; !fails {
			continue
		}
		task, ok := f.task(id)
		if !ok || task.State == "fetched" || task.State == "dispatched" {
			n++
		}
	}
	return n
}

// requireReasons waits until the history of each failing message's task says
// what was wrong.
func (f *farm) requireReasons(messages map[wire.Hash]fault.Mode) {
	f.t.Helper()
	for id, mode := range messages {
		want, fails := failing[mode]
		if !fails {
			continue
		}
		var task schedulerTask
		require.Eventually(f.t, func() bool {
			var ok bool
			if task, ok = f.task(id); !ok {
				return false
			}
			for _, step := range task.History {
				if strings.Contains(step.Reason, strings.ReplaceAll(want, "%s", task.ID.String())) {
					return true
				}
			}
			return false
		}, 2*time.Minute, 200*time.Millisecond, "the history of %s does not say %q: %+v", mode, want, task)
	}
}

// requireRefusals checks that a person is shown what became of what the sandbox
// refused.
func (f *farm) requireRefusals(messages map[wire.Hash]fault.Mode) {
	f.t.Helper()
	for id, mode := range messages {
		if _, fails := failing[mode]; fails {
			continue
		}
		task, ok := f.task(id)
		require.True(f.t, ok)
		said := ""
		for _, attempt := range task.Attempts {
			said += attempt.Progress
		}
		require.Contains(f.t, said, "; "+string(mode)+": ")
		require.NotContains(f.t, said, fault.Got)
		if mode == fault.Read {
			require.Contains(f.t, f.command("task", "show", task.ID.String()), "read: open /etc/shadow: ")
		}
	}
}

// requireCommitted checks that a project's settled proofs have a commitment, and
// their output is the payload.
func (f *farm) requireCommitted(project uint64) {
	f.t.Helper()
	var tasks []struct {
		Project uint64      `json:"project"`
		Status  string      `json:"status"`
		Proof   wire.Proof  `json:"proof"`
		Outputs []wire.Hash `json:"outputs"`
	}
	out := f.command("task", "ls", "--limit", "0", "--json")
	require.NoError(f.t, json.Unmarshal([]byte(out), &tasks), out)
	n := 0
	for _, task := range tasks {
		if task.Project != project || task.Status != "settled" {
			continue
		}
		n++
		require.True(f.t, task.Proof.Committed())
		require.Len(f.t, task.Outputs, 1)
		require.EqualValues(f.t, honest, task.Outputs[0].Big().Uint64())
	}
	require.Positive(f.t, n, "no task of the circuit with a commitment is settled")
}

// reapOrphans makes this process the parent of what loses its own.
func reapOrphans(t *testing.T) {
	t.Helper()
	require.NoError(t, unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0))
	t.Cleanup(func() { require.NoError(t, unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)) })
}

// livingChildren are this process's children that have not ended.
func livingChildren() (living []string) {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		fields := statFields(path)
		if len(fields) < 2 || fields[1] != strconv.Itoa(os.Getpid()) || fields[0] == "Z" {
			continue
		}
		command, _ := os.ReadFile(filepath.Join(filepath.Dir(path), "cmdline"))
		living = append(living, fmt.Sprintf("%s: %q", path, command))
	}
	return living
}
