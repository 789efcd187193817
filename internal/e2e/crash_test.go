//go:build e2e

package e2e

import (
	"io/fs"
	"math/rand"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var hitCall = regexp.MustCompile(`failpoint\.Hit\("([^"]+)"\)`)

// failpoints lists every failpoint in the source.
func failpoints(t *testing.T) []string {
	t.Helper()
	var names []string
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "node_modules" || d.Name() == ".git") {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, match := range hitCall.FindAllStringSubmatch(string(data), -1) {
			names = append(names, match[1])
		}
		return nil
	})
	require.NoError(t, err)
	require.Greater(t, len(names), 20, "failpoints found in the source")
	if only := os.Getenv("GRISTMILL_E2E_ONLY"); only != "" {
		names = slices.DeleteFunc(names, func(name string) bool { return !regexp.MustCompile(only).MatchString(name) })
	}
	slices.Sort(names)
	names = slices.Compact(names)
	return names
}

// bootstrap are places of the first start in the order that it passes them,
// with how often: early, and again half-way through the deployment.
var bootstrap = []string{
	"devnet.log.before", "devnet.log.after", "devnet.head.before", "devnet.head.after",
	"node.file.before", "node.file.after", "txmgr.journal.before", "txmgr.journal.after:3",
	"txmgr.broadcast.before:5", "txmgr.broadcast.after:2", "txmgr.finish.before:3", "txmgr.finish.after:3",
	"bundle.publish.before", "bundle.publish.after", "node.bootstrap.after",
}

// TestKilledDuringTheFirstStart kills a new node again and again while it makes
// keys, deploys the contracts and sets its project up.
func TestKilledDuringTheFirstStart(t *testing.T) {
	f := newFarm(t)
	var passed []string
	for _, name := range bootstrap {
		f.start(name)
		if f.ready(3 * time.Minute) {
			f.up.kill()
			passed = append(passed, name)
			continue
		}
		require.True(t, f.up.killed(), "the first start ended by itself at %s: %v", name, f.up.err)
	}
	require.Less(t, len(passed), len(bootstrap)/2, "kills that came too late for the first start: %v", passed)
	f.start("")
	require.True(t, f.ready(3*time.Minute))
	l := &ledger{}
	sendAll(f.devices(4, l))
	f.requireAllSettledOnce(l, 2*time.Minute)
	f.command("audit")
	f.up.stop(t)
}

const (
	// perPoint is how long a node may run until it reaches the failpoint that is
	// to kill it: a message needs about four seconds from its device to settlement.
	perPoint = 15 * time.Second
	// rounds is how often a failpoint is tried: what a node does next after a
	// kill is not always what leads past the point that is wanted.
	rounds = 4
)

// TestKilledAtEveryFailpoint kills one node at each failpoint in turn, on one
// data directory, and lets it go on from there. Points that a run did not pass
// are tried again, with more patience each time.
func TestKilledAtEveryFailpoint(t *testing.T) {
	names := failpoints(t)
	f := newFarm(t)
	l := &ledger{}
	f.start("")
	require.True(t, f.ready(3*time.Minute))
	devices := f.devices(4, l)
	sendAll(devices)
	f.requireAllSettledOnce(l, 2*time.Minute)
	f.up.kill()

	left := slices.DeleteFunc(slices.Clone(names), func(name string) bool { return rare[name] != "" })
	wanted := len(left)
	for round := 1; round <= rounds && len(left) > 0; round++ {
		left = slices.DeleteFunc(left, func(name string) bool { return f.killedAt(name, devices, time.Duration(round)*perPoint) })
		t.Logf("round %d: killed at %d of %d failpoints, left %v", round, wanted-len(left), wanted, left)
	}
	f.start("")
	require.True(t, f.ready(time.Minute))
	sendAll(devices)
	f.requireAllSettledOnce(l, 4*time.Minute)
	f.command("audit")
	f.up.stop(t)
	t.Logf("%d messages", len(l.ids()))
	require.Empty(t, left, "failpoints at which no run was killed")
}

// killedAt starts the node to be killed at a failpoint, gives it work, and says
// whether it got there. If not, it is killed wherever it is.
func (f *farm) killedAt(name string, devices []*device, patience time.Duration) bool {
	f.t.Helper()
	f.start(name)
	if f.ready(time.Minute) {
		for _, d := range devices {
			d.send()
		}
	}
	select {
	case <-f.up.done:
		require.True(f.t, f.up.killed(), "at %s the node ended by itself: %v", name, f.up.err)
		return true
	case <-time.After(patience):
		f.up.kill()
		return false
	}
}

// rare are failpoints of ways that one healthy node does not take. The tests
// named kill a process at each of them; they read the names from the source too.
var rare = rarely(map[string][]string{
	"TestKilledDuringTheFirstStart": {"bundle.publish.before", "bundle.publish.after"},
	"TestKilledAtEveryFailpoint of scheduler": {
		"scheduler.drop_key.before", "scheduler.drop_key.after", "scheduler.duty.before", "scheduler.duty.after",
		"scheduler.key.before", "scheduler.key.after", "scheduler.lost.before", "scheduler.lost.after",
		"scheduler.reanswer.after", "scheduler.reverted.after", "scheduler.rotten.before", "scheduler.rotten.after",
		"scheduler.settle_later.before", "scheduler.settle_later.after", "scheduler.stopped.after",
		"scheduler.take_up.before", "scheduler.take_up.after",
	},
	"TestKilledAtEveryFailpoint of sequencer": {
		"sequencer.refuse.before", "sequencer.refuse.after", "sequencer.split.before", "sequencer.split.after",
	},
	"TestKilledAtEveryFailpoint of chain/txmgr": {
		"txmgr.bump.before", "txmgr.bump.after", "txmgr.forget.before", "txmgr.forget.after", "txmgr.gap.before", "txmgr.gap.after",
		"txmgr.move.before", "txmgr.move.after", "txmgr.reopen.before", "txmgr.reopen.after",
	},
})

// TestRareFailpointsAreKilledElsewhere keeps the list above true: each name is in
// the source still, and so is the test that is said to kill at it.
func TestRareFailpointsAreKilledElsewhere(t *testing.T) {
	names := failpoints(t)
	for name, test := range rare {
		require.Contains(t, names, name)
		room := "internal/e2e"
		if _, in, ok := strings.Cut(test, " of "); ok {
			room = in
		}
		function, _, _ := strings.Cut(test, " of ")
		files, err := filepath.Glob(filepath.Join("../..", room, "*_test.go"))
		require.NoError(t, err)
		found := slices.ContainsFunc(files, func(file string) bool {
			data, err := os.ReadFile(file)
			return err == nil && strings.Contains(string(data), "func "+function+"(")
		})
		require.True(t, found, "%s: no test %s in %s", name, function, room)
	}
}

func rarely(tests map[string][]string) map[string]string {
	names := map[string]string{}
	for test, points := range tests {
		for _, name := range points {
			names[name] = test
		}
	}
	return names
}

// TestKilledAtRandom kills a node again and again at moments of its own choice.
func TestKilledAtRandom(t *testing.T) {
	f := newFarm(t)
	l := &ledger{}
	f.start("")
	require.True(t, f.ready(3*time.Minute))
	devices := f.devices(4, l)
	seed := time.Now().UnixNano()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewSource(seed))
	for range 12 {
		end := time.Now().Add(time.Duration(500+rng.Intn(7000)) * time.Millisecond)
		for time.Now().Before(end) && !f.up.dead() {
			devices[rng.Intn(len(devices))].send()
			<-time.After(time.Duration(rng.Intn(300)) * time.Millisecond)
		}
		require.False(t, f.up.dead(), "the node ended by itself: %v", f.up.err)
		f.up.kill()
		f.start("")
	}
	require.True(t, f.ready(time.Minute))
	sendAll(devices)
	f.requireAllSettledOnce(l, 4*time.Minute)
	f.command("audit")
	f.up.stop(t)
}

// TestStoppedPastEveryDeadline stops a node with offers and accepted tasks open
// and starts it again when every window has passed.
func TestStoppedPastEveryDeadline(t *testing.T) {
	f := newFarm(t, "--accept-window", "3s", "--prove-window", "5s")
	l := &ledger{}
	f.start("")
	require.True(t, f.ready(3*time.Minute))
	devices := f.devices(4, l)
	f.up.kill()
	// One stop with an offer open, one with an accepted task, one with a proof made.
	for _, name := range []string{"scheduler.fetch.before", "scheduler.answer_seen.after", "scheduler.settle.before"} {
		require.Contains(t, failpoints(t), name)
		f.start(name)
		if f.ready(time.Minute) {
			for _, d := range devices {
				d.send()
			}
		}
		select {
		case <-f.up.done:
		case <-time.After(40 * time.Second):
			f.up.kill()
		}
		<-time.After(10 * time.Second) // longer than both windows
	}
	f.start("")
	require.True(t, f.ready(time.Minute))
	sendAll(devices)
	f.requireAllSettledOnce(l, 3*time.Minute)
	f.up.stop(t)
}
