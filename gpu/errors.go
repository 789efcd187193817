package gpu

import "errors"

// Errors of engines. They come wrapped with what was wrong; test them with
// errors.Is.
var (
	// ErrClosed is any call to an engine after Close.
	ErrClosed = errors.New("proving engine is closed")
	// ErrBadKey is a proving key that is torn, altered or no key at all.
	// Another attempt with the same bytes fails again.
	ErrBadKey = errors.New("bad proving key")
	// ErrBudget is a key that does not fit into the engine's memory even alone.
	ErrBudget = errors.New("proving key exceeds the engine's memory")
	// ErrBadSolution is a solution whose sizes are not the key's, or with
	// elements that are not canonical.
	ErrBadSolution = errors.New("solution does not fit the proving key")
	// ErrUnsupported is a key or solution that needs what the engine cannot do.
	ErrUnsupported = errors.New("not supported by this proving engine")
	// ErrInUse is Evict of a key that proofs in flight use.
	ErrInUse = errors.New("proving key is in use")
	// ErrNotLoaded is Evict of a key that is not resident.
	ErrNotLoaded = errors.New("proving key is not loaded")
	// ErrDevice is a fault of the device: the same work may succeed elsewhere.
	ErrDevice = errors.New("proving device failed")
)
