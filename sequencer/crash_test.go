package sequencer

import (
	"context"
	"fmt"
	"log/slog"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gristmill-zk/gristmill/internal/failpoint"
	"github.com/gristmill-zk/gristmill/miner"
	"github.com/gristmill-zk/gristmill/wire"
)

// childDir makes the test binary a sequencer with its own chain, miner and
// devices in that folder. It ends when every message it acknowledged has come
// to its end; killed and started again it goes on.
const childDir = "GRISTMILL_SEQUENCER_CHILD"

// child is such a process. Project 1 is ordinary, but every second body's first
// task dies. Project 2 strikes its device off the list once its message is
// acknowledged. Tasks of project 3 with more than one message die.
type child struct {
	dir   string
	chain *fakeChain
	seq   *Sequencer
	acked map[wire.Hash]bool
}

func runChild(dir string) {
	c := &child{dir: dir, chain: newFakeChain(filepath.Join(dir, "chain.json")), acked: map[wire.Hash]bool{}}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	if err := c.run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func (c *child) run(ctx context.Context) error {
	base := *c.chain.projects[1]
	for id, batch := range map[uint64]uint32{2: 9, 3: 2} {
		p := base
		p.BatchSize, p.free, p.denied = batch, big.NewInt(1_000_000), map[wire.Hash]bool{}
		c.chain.projects[id] = &p
	}
	c.chain.projects[2].MaxWait, c.chain.projects[3].MaxWait = 1, 1
	log, err := os.OpenFile(filepath.Join(c.dir, "acks"), os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	for id := range readAcks(c.dir) {
		c.acked[id] = true
	}
	c.seq, err = New(ctx, Config{
		Chain: c.chain, Key: [32]byte{31: 7}, DB: filepath.Join(c.dir, "sequencer.db"), Poll: 5 * time.Millisecond,
		RetryFirst: 2 * time.Millisecond, RetryMost: 10 * time.Millisecond, CacheFor: time.Millisecond,
		AuthorisationTTL: time.Second, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return err
	}
	m, err := miner.New(miner.Config{Source: c.seq, Workers: 1, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	ready := make(chan struct{})
	go func() { _ = c.seq.Run(ctx, func() { close(ready) }) }()
	<-ready
	go func() { _ = m.Run(ctx, func() {}) }()
	go c.endTasks(ctx)
	return c.sendAll(ctx, log)
}

// script is what the devices send, the same in every run.
func script() []*wire.Message {
	t := &testing.B{}
	a, b := newDevice(t, wire.SchemeEdDSABN254, 1), newDevice(t, wire.SchemeEd25519, 2)
	msgs := []*wire.Message{b.message(t, 2, 1, "the list changes")}
	for i := range uint64(2) {
		msgs = append(msgs, a.message(t, 3, 1+i, "together we die"))
	}
	for i := range uint64(9) {
		msgs = append(msgs, a.message(t, 1, 1+i, "a reading"))
	}
	return msgs
}

func (c *child) sendAll(ctx context.Context, log *os.File) error {
	msgs := script()
	for _, m := range msgs {
		id, err := m.ID()
		if err != nil {
			return err
		}
		for !c.acked[id] {
			a := c.seq.Accept(ctx, m)[0]
			if a.Err == nil {
				c.acked[id] = true
				if _, err := fmt.Fprintln(log, id); err != nil {
					return err
				}
			} else if !sleep(ctx, 10*time.Millisecond) {
				return a.Err
			}
		}
		if m.Project == 2 {
			device, _ := m.Key.ID()
			c.chain.change(2, func(p *fakeProject) { p.denied[device] = true })
		}
	}
	for id := range c.acked {
		for {
			v, err := loadMessage(ctx, c.seq.db.Read(), id)
			if err != nil {
				return err
			}
			if v.State == stateSettled || v.State == stateRefused {
				break
			}
			if !sleep(ctx, 10*time.Millisecond) {
				return fmt.Errorf("message %s of project %d is still %s", id, v.Project, v.State)
			}
		}
	}
	return nil
}

// endTasks plays the provers.
func (c *child) endTasks(ctx context.Context) {
	for sleep(ctx, 5*time.Millisecond) {
		ended := map[wire.Hash]bool{} // bodies that had a task before
		for _, t := range c.chain.tasks(KindTaskDead) {
			ended[t.DataHash] = true
		}
		for _, id := range c.chain.taskIDs(KindTaskOffered) {
			c.chain.mu.Lock()
			t := c.chain.head().After.Tasks[id]
			c.chain.mu.Unlock()
			var count int
			_ = c.seq.db.Read().QueryRowContext(ctx, `SELECT count FROM batches WHERE data_hash = ?`, t.DataHash[:]).Scan(&count)
			switch {
			case t.Project == 3 && count > 1, t.Project == 1 && t.DataHash[0]%2 == 0 && !ended[t.DataHash]:
				c.chain.end(id, KindTaskDead, "offers exhausted")
			default:
				c.chain.end(id, KindTaskSettled, "")
			}
		}
		c.chain.tick() // time goes on, which a split waits for
	}
}

func readAcks(dir string) map[wire.Hash]bool {
	acks := map[wire.Hash]bool{}
	raw, _ := os.ReadFile(filepath.Join(dir, "acks"))
	for line := range strings.Lines(string(raw)) {
		if id, err := wire.ParseHash(strings.TrimSpace(line)); err == nil {
			acks[id] = true
		}
	}
	return acks
}

// failpoints lists the names in this package's source.
func failpoints(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("*.go")
	require.NoError(t, err)
	var names []string
	for _, f := range files {
		if strings.HasSuffix(f, "_test.go") {
			continue
		}
		raw, err := os.ReadFile(f)
		require.NoError(t, err)
		for _, m := range regexp.MustCompile(`failpoint\.Hit\("([^"]+)"\)`).FindAllStringSubmatch(string(raw), -1) {
			names = append(names, m[1])
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func startChild(t *testing.T, dir, point string) error {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), childDir+"="+dir, "GRISTMILL_FAILPOINT="+point)
	out, err := cmd.CombinedOutput()
	if err != nil && len(out) > 0 {
		t.Logf("child: %s", out)
	}
	return err
}

// TestKilledAtEveryFailpoint kills the process at each place, some of them
// several times, and lets it finish. Everything acknowledged must have come to
// exactly one end.
func TestKilledAtEveryFailpoint(t *testing.T) {
	t.Parallel()
	if !failpoint.Enabled {
		t.Skip("built without the tag failpoints")
	}
	names := failpoints(t)
	require.GreaterOrEqual(t, len(names), 20)
	slots := make(chan struct{}, 4)
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			slots <- struct{}{}
			defer func() { <-slots }()
			dir := t.TempDir()
			requireKilled(t, startChild(t, dir, name))
			_ = startChild(t, dir, name+":2") // it may finish before it comes there twice
			require.NoError(t, startChild(t, dir, ""))
			requireOneEnd(t, dir)
		})
	}
}

func requireKilled(t *testing.T, err error) {
	t.Helper()
	var exit *exec.ExitError
	require.ErrorAs(t, err, &exit, "the child never came there")
	require.Equal(t, syscall.SIGKILL, exit.Sys().(syscall.WaitStatus).Signal())
}

// requireOneEnd reads the chain and the bodies only.
func requireOneEnd(t *testing.T, dir string) {
	t.Helper()
	chain := newFakeChain(filepath.Join(dir, "chain.json"))
	db, err := openDB(t.Context(), filepath.Join(dir, "sequencer.db"))
	require.NoError(t, err)
	defer func() { require.NoError(t, db.Close()) }()
	settled := map[wire.Hash]int{}
	for _, task := range chain.tasks(KindTaskSettled) {
		raw, err := loadBody(t.Context(), db.Read(), task.DataHash)
		require.NoError(t, err)
		require.Equal(t, task.DataHash, wire.DataHash(raw))
		var body wire.Body
		require.NoError(t, body.UnmarshalBinary(raw))
		for i := range body.Messages {
			id, err := body.Messages[i].ID()
			require.NoError(t, err)
			settled[id]++
		}
	}
	acked := readAcks(dir)
	require.Len(t, acked, len(script()))
	for id := range acked {
		v, err := loadMessage(t.Context(), db.Read(), id)
		require.NoError(t, err)
		if v.State == stateRefused {
			require.Equal(t, uint64(2), v.Project, v.Reason)
			require.Zero(t, settled[id])
			continue
		}
		require.Equal(t, 1, settled[id], "message %s of project %d", id, v.Project)
	}
	require.LessOrEqual(t, len(settled), len(acked))
}
