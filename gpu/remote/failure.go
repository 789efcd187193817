package remote

import (
	"errors"
	"fmt"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/gristmill-zk/gristmill/gpu"
	"github.com/gristmill-zk/gristmill/gpu/proto"
	"github.com/gristmill-zk/gristmill/internal/subprocess"
)

// kinds are the errors of package gpu that keep their identity on the way.
var kinds = map[proto.Kind]error{
	proto.Kind_KIND_CLOSED:       gpu.ErrClosed,
	proto.Kind_KIND_BAD_KEY:      gpu.ErrBadKey,
	proto.Kind_KIND_BUDGET:       gpu.ErrBudget,
	proto.Kind_KIND_BAD_SOLUTION: gpu.ErrBadSolution,
	proto.Kind_KIND_UNSUPPORTED:  gpu.ErrUnsupported,
	proto.Kind_KIND_IN_USE:       gpu.ErrInUse,
	proto.Kind_KIND_NOT_LOADED:   gpu.ErrNotLoaded,
	proto.Kind_KIND_DEVICE:       gpu.ErrDevice,
}

// encodeFailure is an error as a message; nil stays nil.
func encodeFailure(err error) *proto.Failure {
	if err == nil {
		return nil
	}
	f := &proto.Failure{Text: err.Error()}
	for kind := range proto.Kind(len(proto.Kind_name)) {
		if sentinel := kinds[kind]; sentinel != nil && errors.Is(err, sentinel) {
			f.Kinds = append(f.Kinds, kind)
		}
	}
	return f
}

// decodeFailure is the other way.
func decodeFailure(f *proto.Failure) error {
	if f == nil {
		return nil
	}
	e := &engineError{text: subprocess.Clean(f.GetText())}
	for _, kind := range f.GetKinds() {
		if sentinel := kinds[kind]; sentinel != nil {
			e.kinds = append(e.kinds, sentinel)
		}
	}
	return e
}

// engineError is what an engine in another process said.
type engineError struct {
	text  string
	kinds []error
}

func (e *engineError) Error() string   { return e.text }
func (e *engineError) Unwrap() []error { return e.kinds }

// describeExit says how a process ended.
func describeExit(err error) string {
	var exit *exec.ExitError
	if err == nil {
		return "ended by itself with exit status 0"
	}
	if !errors.As(err, &exit) {
		return "ended: " + err.Error()
	}
	status, ok := exit.Sys().(syscall.WaitStatus)
	if !ok || !status.Signaled() {
		return fmt.Sprintf("ended by itself with exit status %d", exit.ExitCode())
	}
	text := "was ended by signal " + unix.SignalName(status.Signal())
	switch status.Signal() {
	case syscall.SIGKILL:
		text += " (by another process, or by the kernel for want of memory)"
	case syscall.SIGABRT:
		text += " (it aborted on an internal error)"
	}
	return text
}
