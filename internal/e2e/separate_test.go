//go:build e2e

package e2e

import (
	"math/rand"
	"net"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gristmill-zk/gristmill/internal/redistest"
)

// roles are the processes of a farm and how each is started.
func (f *farm) roles(redis string) map[string][]string {
	rpc := "http://" + f.ports["rpc"]
	return map[string][]string{
		"devnet":    {"devnet", "--listen", f.ports["rpc"]},
		"sequencer": {"sequencer", "--rpc", rpc, "--listen", f.ports["sequencer"], "--mining-listen", f.ports["mining"]},
		"miner":     {"miner", "--sequencer", "http://" + f.ports["mining"], "--threads", "1"},
		"scheduler": {"scheduler", "--rpc", rpc, "--redis", redis, "--listen", f.ports["scheduler"]},
		"worker":    {"worker", "--redis", redis, "--name", "worker-1", "--allow-insecure-keys"},
	}
}

// setUp makes a project and a prover on a bare chain, command by command.
func (f *farm) setUp() {
	f.t.Helper()
	rpc := []string{"--rpc", "http://" + f.ports["rpc"]}
	command := func(args ...string) string { return f.command(append(args, rpc...)...) }
	require.Eventually(f.t, func() bool {
		conn, err := net.Dial("tcp", f.ports["rpc"])
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	}, 30*time.Second, 50*time.Millisecond, "the chain does not listen")
	command("deploy", "--local", "--block-time", "2s", "--half-life", "20s")
	f.command("plugin", "build", "--binary", plugin)
	bundles, err := filepath.Glob(filepath.Join(f.dir, "bundles", "*"))
	require.NoError(f.t, err)
	require.Len(f.t, bundles, 1)
	command("project", "create", "--bundle", bundles[0], "--reward", "10", "--max-wait", "1s")
	command("project", "deposit", "--project", "1", "--amount", "1000")
	command("prover", "join", "--stake", "10")
	command("prover", "optin", "1")
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
	devices := f.devices(4, l, "--rpc", "http://"+f.ports["rpc"])
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
