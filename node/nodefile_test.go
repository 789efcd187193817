package node

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

// role plays a role in a data directory until the test ends.
func role(t *testing.T, dir DataDir, name string) *group {
	t.Helper()
	g := &group{opts: RoleOptions{Dir: dir}}
	t.Cleanup(func() { require.NoError(t, g.end()) })
	require.NoError(t, g.lock(name))
	return g
}

func TestRolesFindEachOther(t *testing.T) {
	t.Parallel()
	dir := newDir(t)
	_, err := LoadInfo(dir)
	require.ErrorIs(t, err, ErrNotRunning)

	net := role(t, dir, roleDevnet)
	_, _, err = findChain(dir, "")
	require.ErrorIs(t, err, ErrStarting)
	require.ErrorContains(t, err, "gristmill devnet (pid")
	url, _, err := findChain(dir, "http://flag")
	require.NoError(t, err)
	require.Equal(t, "http://flag", url)

	require.NoError(t, net.record(roleDevnet, Info{RPC: "http://chain"}))
	require.NoError(t, role(t, dir, roleSequencer).record(roleSequencer, Info{Sequencer: "http://messages", Mining: "http://work"}))
	require.NoError(t, role(t, dir, roleScheduler).record(roleScheduler, Info{Scheduler: "http://prover"}))
	url, info, err := findChain(dir, "")
	require.NoError(t, err)
	require.Equal(t, "http://chain", url)
	require.Equal(t, Info{RPC: "http://chain", Sequencer: "http://messages", Mining: "http://work", Scheduler: "http://prover"}, info)

	require.NoError(t, net.end())
	net.closes = nil
	_, info, err = findChain(dir, "")
	require.ErrorContains(t, err, "--rpc")
	require.Empty(t, info.RPC)
	require.Equal(t, "http://messages", info.Sequencer)
}

// TestAMinerFindsTheSequencerOfItsDataDirectory starts the miner first, then the
// sequencer, then the sequencer again on another port.
func TestAMinerFindsTheSequencerOfItsDataDirectory(t *testing.T) {
	t.Parallel()
	dir := newDir(t)
	source := &foundSource{dir: dir}
	at := func() string {
		_, err := source.find()
		require.NoError(t, err)
		return source.url
	}
	require.Equal(t, "http://"+DefaultMining, at())
	sequencer := role(t, dir, roleSequencer)
	require.Equal(t, "http://"+DefaultMining, at())
	for _, url := range []string{"http://127.0.0.1:1", "http://127.0.0.1:2"} {
		require.NoError(t, sequencer.record(roleSequencer, Info{Mining: url}))
		require.Equal(t, url, at())
	}
}

// TestWhatKilledProcessesLeftDoesNotCount has the file of a process that was
// killed lie there, nobody's and then while another starts.
func TestWhatKilledProcessesLeftDoesNotCount(t *testing.T) {
	t.Parallel()
	dir := newDir(t)
	require.NoError(t, writeJSON(infoPath(dir, upRole), Info{PID: os.Getpid() + 1, RPC: "http://gone"}))
	_, err := LoadInfo(dir)
	require.ErrorIs(t, err, ErrNotRunning)
	up := role(t, dir, upRole)
	_, err = LoadInfo(dir)
	require.ErrorIs(t, err, ErrStarting)
	require.ErrorContains(t, err, "the node (pid")
	require.NoError(t, up.record(upRole, Info{RPC: "http://here"}))
	info, err := LoadInfo(dir)
	require.NoError(t, err)
	require.Equal(t, "http://here", info.RPC)
}

// TestALookDoesNotKeepARoleFromStarting looks again and again while a role starts.
func TestALookDoesNotKeepARoleFromStarting(t *testing.T) {
	t.Parallel()
	dir := newDir(t)
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
				_, _, _ = dir.Holder(roleDevnet)
			}
		}
	}()
	for range 200 {
		lock, err := dir.Lock(roleDevnet)
		require.NoError(t, err)
		require.NoError(t, lock.Release())
	}
	close(stop)
	<-stopped
}
