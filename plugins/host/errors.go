package host

import (
	"fmt"

	"github.com/gristmill-zk/gristmill/wire"
)

// Code says what kind of failure an [Error] is.
type Code string

// The codes.
const (
	CodeBadTask     Code = "bad-task"     // the plugin refuses the task's messages
	CodeUnsatisfied Code = "unsatisfied"  // the messages do not satisfy the circuit
	CodeBadSolution Code = "bad-solution" // what the plugin returned is not a solution of the task
	CodeCrashed     Code = "crashed"      // the process ended or broke the protocol
	CodeCommit      Code = "commit"       // the circuit's commitment could not be made, which is not the plugin's doing
	CodeTimeout     Code = "timeout"      // the task's deadline passed; the process was killed
	CodeCanceled    Code = "canceled"     // the caller gave up; the process was killed
	CodeStart       Code = "start"        // the process did not come up as the manifest says
	CodeClosed      Code = "closed"       // the host is closing
)

// Error is how a plugin failed. No process that failed is left when it is
// returned. One that refused the task, or found it unsatisfied, did its duty
// and is kept for the next.
type Error struct {
	Code   Code
	Plugin string    // name of the circuit
	Task   wire.Hash // zero when no task was involved
	Err    error
}

// Error implements error.
func (e *Error) Error() string {
	if e.Task.IsZero() {
		return fmt.Sprintf("plugin %s: %s: %v", e.Plugin, e.Code, e.Err)
	}
	return fmt.Sprintf("plugin %s: task %s: %s: %v", e.Plugin, e.Task, e.Code, e.Err)
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Retry says whether another attempt at the same task makes sense.
func (e *Error) Retry() bool { return e.Code != CodeBadTask && e.Code != CodeUnsatisfied }

// coded is an error whose code is known where it happens.
type coded struct {
	code Code
	err  error
}

func (e *coded) Error() string { return e.err.Error() }
func (e *coded) Unwrap() error { return e.err }
