package fetch

import (
	"errors"
	"fmt"

	"github.com/gristmill-zk/gristmill/plugins/bundle"
)

// Kind says why a bundle is not there.
type Kind string

// The kinds of failures.
const (
	Absent      Kind = "absent"      // the sources answered, and do not have it
	Unreachable Kind = "unreachable" // a source did not answer, or not to the end
	Busy        Kind = "busy"        // another process receives it into the same store
	Untrusted   Kind = "untrusted"   // nobody on the allow-list signed it
	Insecure    Kind = "insecure"    // keys of a development set-up
	TooBig      Kind = "too-big"     // more bytes than allowed, or than there is room for
	Damaged     Kind = "damaged"     // not what its digest says, or parts that do not belong together
)

// Failure is why a bundle could not be fetched. Its text names each source, and
// says what the operator can do.
type Failure struct {
	Kind Kind
	Err  error
}

// Error implements error.
func (f *Failure) Error() string { return fmt.Sprintf("%v: %s", f.Err, f.Advice()) }

// Unwrap gives what the sources said.
func (f *Failure) Unwrap() error { return f.Err }

// passes says that another try may succeed with nobody doing anything.
func (f *Failure) passes() bool { return f.Kind == Unreachable || f.Kind == Busy }

// Refused says that the operator's own terms are in the way: another try does
// not help.
func (f *Failure) Refused() bool {
	return f.Kind == Untrusted || f.Kind == Insecure || f.Kind == TooBig
}

// Advice says what the operator can do.
func (f *Failure) Advice() string {
	switch f.Kind {
	case Absent:
		return "ask the project's team to push it there (gristmill plugin push tags a bundle with its digest), or name the source that has it with --bundle-source"
	case Busy:
		return "wait until the other process that shares the data directory is done"
	case Untrusted:
		return "if you trust a signer, add its public key (name+hash+key, as the team publishes it) to the file of --trust; if you looked through the bundle yourself, add its digest; then start the worker again"
	case Insecure:
		return "ask the project's team for keys of a ceremony; only for development, --allow-insecure-keys takes such bundles"
	case TooBig:
		return "raise --bundle-max-bytes, or make room in the data directory"
	case Damaged:
		return "ask the project's team to push it again, or name another source with --bundle-source"
	}
	return "look at the source's address, the network and the credentials in docker's config file (gristmill doctor asks each source)"
}

// kindOf tells failures of one source apart.
func kindOf(err error) Kind {
	var wrong *bundle.Error
	switch {
	case errors.Is(err, bundle.ErrNotThere):
		return Absent
	case errors.Is(err, bundle.ErrBusy):
		return Busy
	case errors.Is(err, bundle.ErrUntrusted):
		return Untrusted
	case errors.Is(err, bundle.ErrInsecure):
		return Insecure
	case errors.Is(err, bundle.ErrTooBig):
		return TooBig
	case errors.As(err, &wrong):
		return Damaged
	}
	return Unreachable
}

// weight orders kinds: of several sources' failures the one counts that is most
// worth acting on. As long as one source may yet answer, that is to ask again.
var weight = map[Kind]int{Busy: 7, Unreachable: 6, Untrusted: 5, Insecure: 4, TooBig: 3, Damaged: 2, Absent: 1}

// together is the failure of all sources.
func together(errs []error) *Failure {
	f := &Failure{Err: errors.Join(errs...)}
	for _, err := range errs {
		if k := kindOf(err); weight[k] > weight[f.Kind] {
			f.Kind = k
		}
	}
	return f
}
