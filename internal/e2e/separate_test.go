//go:build e2e

package e2e

import (
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gristmill-zk/gristmill/internal/redistest"
)

// roles are the processes of a farm and how each is started.
func (f *farm) roles(redis string) map[string][]string {
	return map[string][]string{
		"devnet":    {"devnet", "--listen", f.ports["rpc"]},
		"sequencer": {"sequencer", "--listen", f.ports["sequencer"], "--mining-listen", f.ports["mining"]},
		"miner":     {"miner", "--threads", "1"},
		"scheduler": {"scheduler", "--redis", redis, "--listen", f.ports["scheduler"]},
		"worker":    {"worker", "--redis", redis, "--name", "worker-1", "--allow-insecure-keys"},
	}
}

// setUp makes a project and a prover on a bare chain, command by command.
func (f *farm) setUp() {
	f.t.Helper()
	f.awaitRole("devnet")
	f.command("deploy", "--local", "--block-time", "2s", "--half-life", "20s")
	f.command("plugin", "build", "--binary", plugin)
	bundles, err := filepath.Glob(filepath.Join(f.dir, "bundles", "*"))
	require.NoError(f.t, err)
	require.Len(f.t, bundles, 1)
	f.command("project", "create", "--bundle", bundles[0], "--reward", "10", "--max-wait", "1s")
	f.command("project", "deposit", "--project", "1", "--amount", "1000")
	f.command("prover", "join", "--stake", "10")
	f.command("prover", "optin", "1")
}

// awaitRole waits until a role has written down where it listens.
func (f *farm) awaitRole(role string) {
	f.t.Helper()
	require.Eventually(f.t, func() bool {
		_, err := os.Stat(filepath.Join(f.dir, "roles", role+".json"))
		return err == nil
	}, time.Minute, 50*time.Millisecond, "%s does not listen", role)
}

// readmeBlocks are the commands of the README's section on separate processes,
// block by block, without their comments.
func readmeBlocks(t *testing.T) [][][]string {
	t.Helper()
	text, err := os.ReadFile("../../README.md")
	require.NoError(t, err)
	_, section, found := strings.Cut(string(text), "\n## As separate processes\n")
	require.True(t, found)
	section, _, _ = strings.Cut(section, "\n## ")
	var blocks [][][]string
	for i, block := range strings.Split(section, "```") {
		if i%2 == 0 {
			continue
		}
		var commands [][]string
		for line := range strings.SplitSeq(strings.TrimSpace(block), "\n") {
			line, _, _ = strings.Cut(line, "#")
			words := strings.Fields(line)
			require.Equal(t, "bin/gristmill", words[0], line)
			commands = append(commands, words[1:])
		}
		blocks = append(blocks, commands)
	}
	require.Len(t, blocks, 4, "the chain, the set-up, the roles, the use")
	return blocks
}

// TestSeparateAsTheReadmeSays runs the README's commands as they stand there,
// each in an environment that knows nothing but the data directory. Only where
// the roles listen is changed, as the usual ports may be taken here.
func TestSeparateAsTheReadmeSays(t *testing.T) {
	f := newFarm(t)
	redis := redistest.Start(t)
	bundle := ""
	fill := func(words []string) []string {
		words = slices.Clone(words)
		for i, word := range words {
			switch word {
			case "FOLDER":
				words[i] = bundle
			case "bin/plugins/meter":
				words[i] = plugin
			case "127.0.0.1:6379":
				words[i] = redis.Addr
			}
		}
		return words
	}
	listen := map[string][]string{
		"devnet": {"--listen", f.ports["rpc"]}, "sequencer": {"--listen", f.ports["sequencer"], "--mining-listen", f.ports["mining"]},
		"scheduler": {"--listen", f.ports["scheduler"]},
	}
	var running []*process
	t.Cleanup(func() {
		for _, p := range running {
			p.kill()
		}
	})
	start := func(words []string) {
		running = append(running, f.run(words[0], nil, append(fill(words), listen[words[0]]...)...))
	}
	blocks := readmeBlocks(t)
	start(blocks[0][0])
	f.awaitRole("devnet")
	for _, words := range blocks[1] {
		out := f.command(fill(words)...)
		if words[0] == "plugin" {
			bundle = strings.Fields(out)[1] // "bundle  FOLDER"
			require.DirExists(t, bundle)
		}
	}
	for _, words := range blocks[2] {
		start(words)
	}
	// A person waits until the terminals say where the roles listen.
	for _, role := range []string{"sequencer", "scheduler"} {
		f.awaitRole(role)
	}
	var said []string
	for _, words := range blocks[3] {
		said = append(said, f.command(fill(words)...))
	}
	require.Contains(t, said[0], "settled, task 0x")
	require.Contains(t, said[1], "audit ok")
	for _, p := range slices.Backward(running) {
		p.stop(t)
	}
}

// TestSeparateProcesses runs each role as a process of its own over a real
// redis-server, kills one after the other, and wipes Redis once.
func TestSeparateProcesses(t *testing.T) {
	f := newFarm(t)
	l := &ledger{}
	redis := redistest.Start(t)
	running := map[string]*process{}
	start := func(role string) { running[role] = f.run(role, nil, f.roles(redis.Addr)[role]...) }
	t.Cleanup(func() {
		for _, p := range running {
			p.kill()
		}
	})
	order := []string{"devnet", "sequencer", "miner", "scheduler", "worker"}
	start("devnet")
	f.setUp()
	for _, role := range order[1:] {
		start(role)
	}
	require.True(t, f.ready(time.Minute))
	devices := f.devices(4, l)
	sendAll(devices)
	f.requireAllSettledOnce(l, 2*time.Minute)

	rng := rand.New(rand.NewSource(time.Now().UnixNano()))
	for round := range 2 {
		for _, role := range order {
			for _, d := range devices {
				d.send()
			}
			<-time.After(time.Duration(rng.Intn(3000)) * time.Millisecond)
			if !running[role].dead() {
				running[role].kill()
			}
			for other, p := range running {
				if other != role && p.dead() {
					t.Logf("%s ended when another role died: %v", other, p.err)
					start(other)
				}
			}
			start(role)
		}
		if round == 0 {
			redis.FlushAll()
		}
	}
	require.True(t, f.ready(time.Minute))
	sendAll(devices)
	f.requireAllSettledOnce(l, 4*time.Minute)
	f.command("audit")
	for i := len(order) - 1; i >= 0; i-- {
		running[order[i]].stop(t)
	}
}

// TestExportedProofVerifiesWithSnarkJS exports the first settled proof and has
// snarkjs check it, and refuse it when a public input is another.
func TestExportedProofVerifiesWithSnarkJS(t *testing.T) {
	f := newFarm(t)
	l := &ledger{}
	f.start("")
	require.True(t, f.ready(3*time.Minute))
	devices := f.devices(4, l)
	sendAll(devices)
	f.requireAllSettledOnce(l, 2*time.Minute)
	task := f.settledTask()
	out := filepath.Join(t.TempDir(), "proof")
	f.command("proof", "export", task.String(), "--format", "snarkjs", "--out", out)
	verify := func(public string) ([]byte, error) {
		return exec.Command("node", "snarkjs/node_modules/.bin/snarkjs", "groth16", "verify",
			filepath.Join(out, "verification_key.json"), public, filepath.Join(out, "proof.json")).CombinedOutput()
	}
	text, err := verify(filepath.Join(out, "public.json"))
	require.NoError(t, err, "%s", text)
	require.Contains(t, string(text), "OK!")
	other := changeLastNumber(t, filepath.Join(out, "public.json"))
	text, err = verify(other)
	require.Error(t, err, "snarkjs accepted other outputs: %s", text)
	f.up.stop(t)
}
