package worker

import (
	"context"
	"errors"
	"fmt"

	"github.com/gristmill-zk/gristmill/gpu"
	"github.com/gristmill-zk/gristmill/wire"
)

// Codes of failed results. Those of plugins are "plugin_" and the host's code
// with underscores.
const (
	CodeBadJob          = "bad_job"          // the envelope is not one this worker reads
	CodeDataUnavailable = "data_unavailable" // no URL served the body with the right hash
	CodeWrongData       = "wrong_data"       // the body has the right hash but is not the task's
	CodeBundleMissing   = "bundle_missing"   // this worker does not have the circuit
	CodeBundleFetching  = "bundle_fetching"  // the circuit is being fetched
	CodeBundleTooBig    = "bundle_too_big"   // the circuit has more bytes than this worker fetches
	CodeBundleBad       = "bundle_bad"       // its copy of the circuit is damaged
	CodeBundleInsecure  = "bundle_insecure"  // keys of a development set-up are not allowed here
	CodeBundleUntrusted = "bundle_untrusted" // the operator's allow-list has neither its signers nor its digest
	CodeBundleMismatch  = "bundle_mismatch"  // the circuit has another key or other sizes than the project version
	CodeKeyTooBig       = "key_too_big"      // the proving key exceeds the engine's memory
	CodeUnsupported     = "unsupported"      // the engine cannot prove this circuit
	CodeEngine          = "engine"           // the engine failed
	CodeWrongProof      = "wrong_proof"      // the engine's proofs do not verify
	CodeTimeout         = "timeout"          // the queue's time for the job ran out
	CodeStopping        = "worker_stopping"  // the worker was told to end first
	CodeCanceled        = "canceled"         // the queue took the job away
	CodeInternal        = "internal"         // anything else
)

// Reasons to end an attempt from outside.
var (
	errStopped  = errors.New("the scheduler does not want this attempt any more")
	errStopping = errors.New("the worker is stopping")
)

func failure(code string, retry bool, format string, args ...any) *wire.WorkError {
	return &wire.WorkError{Code: code, Message: fmt.Sprintf(format, args...), Retry: retry}
}

// classify puts what ended an attempt into the words of a result. ctx is the
// attempt's: when it has ended, that is the reason, whatever came of it.
func classify(ctx context.Context, err error) *wire.WorkError {
	if ctx.Err() != nil {
		return interrupted(context.Cause(ctx))
	}
	var known *wire.WorkError
	if errors.As(err, &known) {
		return known
	}
	// A commitment that an engine failed comes back through the plugin's host.
	if failed := pluginFailure(err); failed != nil && !isEngine(err) {
		return failed
	}
	switch {
	case errors.Is(err, gpu.ErrBadKey):
		return failure(CodeBundleBad, true, "the proving key of this worker's bundle is damaged: %v", err)
	case errors.Is(err, gpu.ErrBudget):
		return failure(CodeKeyTooBig, true, "give the engine more memory or take the project off this worker: %v", err)
	case errors.Is(err, gpu.ErrUnsupported):
		return failure(CodeUnsupported, false, "%v", err)
	case errors.Is(err, gpu.ErrClosed):
		return interrupted(errStopping)
	case isEngine(err):
		return failure(CodeEngine, true, "%v", err)
	}
	return failure(CodeInternal, true, "%v", err)
}

func interrupted(cause error) *wire.WorkError {
	switch {
	case errors.Is(cause, errStopping):
		return failure(CodeStopping, true, "the worker was stopped before the proof was done")
	case errors.Is(cause, context.DeadlineExceeded):
		return failure(CodeTimeout, true, "the time the queue gives a job ran out")
	}
	return failure(CodeCanceled, true, "the queue took the job away: %v", cause)
}

// engineError marks what came from the engine.
type engineError struct{ err error }

func (e engineError) Error() string { return "proving engine: " + e.err.Error() }
func (e engineError) Unwrap() error { return e.err }

func isEngine(err error) bool {
	var e engineError
	return errors.As(err, &e)
}
