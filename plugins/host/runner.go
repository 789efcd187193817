package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/hashicorp/go-plugin/runner"
	"golang.org/x/sys/unix"
)

// drainOutput is how long what a dead process left in its pipes is read. Only a
// process that escaped its group could hold them open longer.
const drainOutput = time.Second

// processRunner starts one plugin process for go-plugin and ends it for certain.
//
// The process leads a group of its own. When the leader ends, for whatever
// reason, the rest of the group is killed before the leader is reaped: until
// then its number can not belong to anyone else.
type processRunner struct {
	ctx       context.Context // until outlive, its end ends the process
	unwatch   func() bool
	cmd       *exec.Cmd
	spawner   *spawner
	limits    []limit
	socketDir string

	stdout, stderr *os.File // our ends
	stdin          *os.File // the process ends when this does
	gone           chan struct{}
	exit           error // set before gone is closed

	mu     sync.Mutex
	pid    int
	reaped bool
}

var _ runner.Runner = (*processRunner)(nil)

// limit is one resource limit of the process.
type limit struct {
	resource int
	value    uint64
}

// newRunner prepares a process. go-plugin's start takes no context, so ctx is
// watched here: ending the process is what ends the start.
func newRunner(ctx context.Context, cmd *exec.Cmd, s *spawner, limits []limit, socketDir string) *processRunner {
	return &processRunner{ctx: ctx, unwatch: func() bool { return true }, cmd: cmd, spawner: s, limits: limits, socketDir: socketDir, gone: make(chan struct{})}
}

// Start implements runner.Runner.
func (r *processRunner) Start(context.Context) error {
	if err := r.ctx.Err(); err != nil {
		return err
	}
	theirs, err := r.pipes()
	defer closeAll(theirs)
	if err != nil {
		closeAll([]*os.File{r.stdin, r.stdout, r.stderr})
		return fmt.Errorf("pipe: %w", err)
	}
	r.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := r.spawner.run(r.cmd.Start); err != nil {
		closeAll([]*os.File{r.stdin, r.stdout, r.stderr})
		return err
	}
	r.mu.Lock()
	r.pid = r.cmd.Process.Pid
	r.mu.Unlock()
	go r.reap()
	r.unwatch = context.AfterFunc(r.ctx, r.kill)
	for _, l := range r.limits {
		if err := unix.Prlimit(r.pid, l.resource, &unix.Rlimit{Cur: l.value, Max: l.value}, nil); err != nil {
			r.kill()
			<-r.gone
			return fmt.Errorf("limit resource %d: %w", l.resource, err)
		}
	}
	return nil
}

// pipes connects the three standard files and returns the process's ends.
func (r *processRunner) pipes() (theirs []*os.File, err error) {
	open := func(ours **os.File, reading bool) (*os.File, error) {
		rd, wr, err := os.Pipe()
		if err != nil {
			return nil, err
		}
		if reading {
			*ours = rd
			theirs = append(theirs, wr)
			return wr, nil
		}
		*ours = wr
		theirs = append(theirs, rd)
		return rd, nil
	}
	stdin, err1 := open(&r.stdin, false)
	stdout, err2 := open(&r.stdout, true)
	stderr, err3 := open(&r.stderr, true)
	r.cmd.Stdin, r.cmd.Stdout, r.cmd.Stderr = stdin, stdout, stderr
	return theirs, errors.Join(err1, err2, err3)
}

func closeAll(files []*os.File) {
	for _, f := range files {
		if f != nil {
			_ = f.Close()
		}
	}
}

// reap waits for the process to end, kills what is left of its group, and only
// then lets its number go.
func (r *processRunner) reap() {
	for {
		err := unix.Waitid(unix.P_PID, r.pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	r.mu.Lock()
	_ = syscall.Kill(-r.pid, syscall.SIGKILL)
	r.exit = r.cmd.Wait()
	r.reaped = true
	r.mu.Unlock()

	_ = r.stdin.Close()
	deadline := time.Now().Add(drainOutput)
	_ = r.stdout.SetReadDeadline(deadline)
	_ = r.stderr.SetReadDeadline(deadline)
	close(r.gone)
}

// kill ends the process and its group. It may be called at any time, also
// before the process was started.
func (r *processRunner) kill() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.pid != 0 && !r.reaped {
		_ = syscall.Kill(-r.pid, syscall.SIGKILL)
	}
}

// outlive lets the process live on after the context it was started with.
func (r *processRunner) outlive() { r.unwatch() }

// closePipes lets go of our ends once nobody reads them.
func (r *processRunner) closePipes() { closeAll([]*os.File{r.stdout, r.stderr}) }

// Wait implements runner.Runner.
func (r *processRunner) Wait(context.Context) error {
	<-r.gone
	return r.exit
}

// Kill implements runner.Runner.
func (r *processRunner) Kill(context.Context) error {
	r.kill()
	return nil
}

// Stdout implements runner.Runner.
func (r *processRunner) Stdout() io.ReadCloser {
	return r.stdout
}

// Stderr implements runner.Runner.
func (r *processRunner) Stderr() io.ReadCloser {
	return r.stderr
}

// Name implements runner.Runner.
func (r *processRunner) Name() string { return r.cmd.Args[0] }

// ID implements runner.Runner.
func (r *processRunner) ID() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.pid == 0 {
		return ""
	}
	return strconv.Itoa(r.pid)
}

// Diagnose implements runner.Runner.
func (r *processRunner) Diagnose(context.Context) string {
	return "the plugin must be an executable of this platform made with the gristmill SDK"
}

// PluginToHost implements runner.Runner. A plugin says where it listens: it may
// only be a socket of its own directory, so that it can not make the host
// connect anywhere else.
func (r *processRunner) PluginToHost(network, address string) (string, string, error) {
	if network != "unix" || filepath.Dir(filepath.Clean(address)) != r.socketDir {
		return "", "", &net.AddrError{Err: "not a socket in the plugin's directory", Addr: network + " " + address}
	}
	return network, address, nil
}

// HostToPlugin implements runner.Runner.
func (r *processRunner) HostToPlugin(network, address string) (string, string, error) {
	return network, address, nil
}
