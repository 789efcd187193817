package subprocess

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

// Process is one child process. It is the runner.Runner of a go-plugin client,
// and ends for certain.
//
// The process leads a group of its own. When the leader ends, for whatever
// reason, the rest of the group is killed before the leader is reaped: until
// then its number can not belong to anyone else.
type Process struct {
	ctx     context.Context // until Outlive, its end ends the process
	unwatch func() bool
	cmd     *exec.Cmd
	opts    Options

	stdout, stderr *os.File // our ends
	stdin          *os.File // the process ends when this does
	gone           chan struct{}
	exit           error // set before gone is closed

	mu     sync.Mutex
	pid    int
	reaped bool
}

var _ runner.Runner = (*Process)(nil)

// Options say how a process is run.
type Options struct {
	// Spawner starts the process. It must outlive it.
	Spawner *Spawner
	// Limits are the process's resource limits.
	Limits []Limit
	// SocketDir is the only directory in which the process may say it listens.
	SocketDir string
	// HostDir is where SocketDir is for this process, once the other has a
	// number; nil means in the same place.
	HostDir func(pid int) string
	// Advice is told to people when the process is no plugin.
	Advice string
}

// Limit is one resource limit, soft and hard.
type Limit struct {
	Resource int // unix.RLIMIT_…
	Value    uint64
}

// NewProcess prepares a process. go-plugin's start takes no context, so ctx is
// watched here: ending the process is what ends the start.
func NewProcess(ctx context.Context, cmd *exec.Cmd, opts Options) *Process {
	return &Process{ctx: ctx, unwatch: func() bool { return true }, cmd: cmd, opts: opts, gone: make(chan struct{})}
}

// Start implements runner.Runner.
func (r *Process) Start(context.Context) error {
	if err := r.ctx.Err(); err != nil {
		return err
	}
	theirs, err := r.pipes()
	defer closeAll(theirs)
	if err != nil {
		closeAll([]*os.File{r.stdin, r.stdout, r.stderr})
		return fmt.Errorf("pipe: %w", err)
	}
	if r.cmd.SysProcAttr == nil {
		r.cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	r.cmd.SysProcAttr.Setpgid, r.cmd.SysProcAttr.Pdeathsig = true, syscall.SIGKILL
	if err := r.opts.Spawner.run(r.cmd.Start); err != nil {
		closeAll([]*os.File{r.stdin, r.stdout, r.stderr})
		return err
	}
	r.mu.Lock()
	r.pid = r.cmd.Process.Pid
	r.mu.Unlock()
	go r.reap()
	r.unwatch = context.AfterFunc(r.ctx, r.End)
	for _, l := range r.opts.Limits {
		if err := unix.Prlimit(r.pid, l.Resource, &unix.Rlimit{Cur: l.Value, Max: l.Value}, nil); err != nil {
			r.End()
			<-r.gone
			return fmt.Errorf("limit resource %d: %w", l.Resource, err)
		}
	}
	return nil
}

// pipes connects the three standard files and returns the process's ends.
func (r *Process) pipes() (theirs []*os.File, err error) {
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
func (r *Process) reap() {
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

// End ends the process and its group. It may be called at any time, also
// before the process was started.
func (r *Process) End() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.pid != 0 && !r.reaped {
		_ = syscall.Kill(-r.pid, syscall.SIGKILL)
	}
}

// Outlive lets the process live on after the context it was started with.
func (r *Process) Outlive() { r.unwatch() }

// ClosePipes lets go of our ends once nobody reads them.
func (r *Process) ClosePipes() { closeAll([]*os.File{r.stdout, r.stderr}) }

// Gone is closed when the process and its group are no more.
func (r *Process) Gone() <-chan struct{} { return r.gone }

// Exit is how the process ended, once it is gone: nil, or an *exec.ExitError.
func (r *Process) Exit() error {
	<-r.gone
	return r.exit
}

// Wait implements runner.Runner.
func (r *Process) Wait(context.Context) error {
	<-r.gone
	return r.exit
}

// Kill implements runner.Runner.
func (r *Process) Kill(context.Context) error {
	r.End()
	return nil
}

// Stdout implements runner.Runner.
func (r *Process) Stdout() io.ReadCloser {
	return r.stdout
}

// Stderr implements runner.Runner.
func (r *Process) Stderr() io.ReadCloser {
	return r.stderr
}

// Name implements runner.Runner.
func (r *Process) Name() string { return r.cmd.Args[0] }

// ID implements runner.Runner.
func (r *Process) ID() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.pid == 0 {
		return ""
	}
	return strconv.Itoa(r.pid)
}

// Diagnose implements runner.Runner.
func (r *Process) Diagnose(context.Context) string {
	return r.opts.Advice
}

// PluginToHost implements runner.Runner. A process says where it listens: it
// may only be a socket of its own directory, so that it can not make the host
// connect anywhere else.
func (r *Process) PluginToHost(network, address string) (string, string, error) {
	if network != "unix" || filepath.Dir(filepath.Clean(address)) != r.opts.SocketDir {
		return "", "", &net.AddrError{Err: "not a socket in the process's directory", Addr: network + " " + address}
	}
	if r.opts.HostDir != nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		address = filepath.Join(r.opts.HostDir(r.pid), filepath.Base(address))
	}
	return network, address, nil
}

// HostToPlugin implements runner.Runner.
func (r *Process) HostToPlugin(network, address string) (string, string, error) {
	return network, address, nil
}
