package host_test

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gristmill-zk/gristmill/plugins/host"
	"github.com/gristmill-zk/gristmill/plugins/internal/faulty"
)

// use is what a long run must not let grow.
type use struct{ fds, pluginFDs, routines, resident, pluginResident int }

func measure(t *testing.T, plugin int) use {
	t.Helper()
	debug.FreeOSMemory()
	theirs, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", plugin))
	require.NoError(t, err)
	return use{
		fds: descriptors(t), pluginFDs: len(theirs), routines: runtime.NumGoroutine(),
		resident: int(host.ResidentMemory(strconv.Itoa(os.Getpid()))), pluginResident: int(host.ResidentMemory(strconv.Itoa(plugin))),
	}
}

// A thousand tasks through one plugin leave nothing behind, here or there. It
// does not run beside others.
func TestThousandTasksLeaveNothing(t *testing.T) {
	if testing.Short() {
		t.Skip("takes several seconds")
	}
	b := setup(t, host.Config{})
	solve := func(n int) {
		for i := range n {
			task, err := newTask(faulty.Honest, uint64(i+1))
			require.NoError(t, err)
			_, err = b.circuit.Solve(t.Context(), task)
			require.NoError(t, err)
		}
	}
	solve(300) // what grows at first: heaps, buffers, threads
	pids := host.Running(b.host)
	require.Len(t, pids, 1)
	before := measure(t, pids[0])
	solve(700)
	require.Equal(t, pids, host.Running(b.host), "it is one process")
	after := measure(t, pids[0])
	t.Logf("before %+v, after %+v", before, after)
	require.LessOrEqual(t, after.fds, before.fds+2)
	require.LessOrEqual(t, after.pluginFDs, before.pluginFDs+2)
	require.LessOrEqual(t, after.routines, before.routines+2)
	const noise = 24 << 20
	require.LessOrEqual(t, after.resident, before.resident+noise)
	require.LessOrEqual(t, after.pluginResident, before.pluginResident+noise)
}
