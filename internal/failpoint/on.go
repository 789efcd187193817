//go:build failpoints

package failpoint

import (
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// Enabled says whether this build can be killed at failpoints.
const Enabled = true

var state struct {
	sync.Once
	sync.Mutex
	name string
	left int
	log  *os.File
	seen map[string]bool
}

// Hit marks a place where a crash test may kill the process.
func Hit(name string) {
	state.Do(setup)
	state.Lock()
	defer state.Unlock()
	if state.log != nil && !state.seen[name] {
		state.seen[name] = true
		_, _ = state.log.WriteString(name + "\n")
	}
	if name != state.name {
		return
	}
	state.left--
	if state.left > 0 {
		return
	}
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {} // the signal is on its way: nothing more may happen here
}

func setup() {
	state.seen = map[string]bool{}
	state.name, state.left = os.Getenv("GRISTMILL_FAILPOINT"), 1
	if name, n, ok := strings.Cut(state.name, ":"); ok {
		if times, err := strconv.Atoi(n); err == nil {
			state.name, state.left = name, times
		}
	}
	if path := os.Getenv("GRISTMILL_FAILPOINT_LOG"); path != "" {
		state.log, _ = os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	}
}
