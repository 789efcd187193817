package subprocess

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"syscall"
	"time"
)

// ErrUndying is a killed command that does not end, as one inside a driver that
// hangs. Its Answer's Gone says when it did.
var ErrUndying = errors.New("it does not end although it was killed")

// killGrace is how long a killed command may take to end.
const killGrace = 2 * time.Second

// Answer is what a command printed.
type Answer struct {
	Out, Err string          // the beginnings of standard output and error
	Gone     <-chan struct{} // closed when the command has ended
}

// Ask runs a command that answers and ends, such as a driver's tool, and returns
// at most limit bytes of each of its outputs. When ctx ends the command's process
// group is killed and the error is the cause; should it not end even then, Ask
// returns with ErrUndying all the same. A command that fails gives its
// *exec.ExitError, with what it printed.
func Ask(ctx context.Context, limit int, cmd *exec.Cmd) (Answer, error) {
	if ctx.Err() != nil {
		return Answer{}, context.Cause(ctx)
	}
	out, fault := &beginning{left: limit}, &beginning{left: limit}
	cmd.Stdout, cmd.Stderr = out, fault
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.WaitDelay = killGrace // a grandchild may hold the pipes
	if err := cmd.Start(); err != nil {
		return Answer{}, err
	}
	ended := make(chan struct{})
	var result error
	go func() {
		result = cmd.Wait()
		close(ended)
	}()
	select {
	case <-ended:
		return Answer{out.String(), fault.String(), ended}, result
	case <-ctx.Done():
	}
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	grace := time.NewTimer(2 * killGrace)
	defer grace.Stop()
	select {
	case <-ended:
		return Answer{Gone: ended}, context.Cause(ctx)
	case <-grace.C:
		return Answer{Gone: ended}, fmt.Errorf("%w: %w", ErrUndying, context.Cause(ctx))
	}
}

// beginning keeps the beginning of what is written. The buffer is a field, as an
// embedded one's ReadFrom would know no bound.
type beginning struct {
	buf  bytes.Buffer
	left int
}

func (b *beginning) String() string { return b.buf.String() }

// Write implements io.Writer. It never fails: the writer must not block.
func (b *beginning) Write(p []byte) (int, error) {
	keep := p[:min(len(p), b.left)]
	b.left -= len(keep)
	_, _ = b.buf.Write(keep)
	return len(p), nil
}
