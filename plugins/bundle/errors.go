package bundle

import (
	"errors"
	"fmt"
)

// What can be wrong with a bundle. Errors of this package that blame the
// bundle are an [*Error] and answer errors.Is with one of these.
var (
	ErrMissing   = errors.New("is missing")
	ErrAltered   = errors.New("is not what the manifest says")
	ErrMalformed = errors.New("is malformed")
	ErrFormat    = errors.New("has an unknown format version")
	ErrPath      = errors.New("has a path outside the bundle")
	ErrSize      = errors.New("has a size out of bounds")
	ErrMismatch  = errors.New("does not belong to the other parts")
	ErrInsecure  = errors.New("has keys from an insecure development setup")
	ErrUntrusted = errors.New("is of a bundle that the operator's allow-list refuses")
)

// ErrTooBig says that a bundle has more bytes than are allowed here, or than
// there is room for.
var ErrTooBig = errors.New("is too big")

// Error blames one part of a bundle.
type Error struct {
	Part   string // name of the part, or the manifest's file name
	Kind   error  // one of the errors above
	Detail string // what exactly, may be empty
}

// Error implements error.
func (e *Error) Error() string {
	if e.Detail == "" {
		return fmt.Sprintf("bundle: %s %v", e.Part, e.Kind)
	}
	return fmt.Sprintf("bundle: %s %v: %s", e.Part, e.Kind, e.Detail)
}

// Unwrap makes errors.Is find the kind.
func (e *Error) Unwrap() error { return e.Kind }

func blame(part string, kind error, format string, args ...any) *Error {
	return &Error{Part: part, Kind: kind, Detail: fmt.Sprintf(format, args...)}
}
