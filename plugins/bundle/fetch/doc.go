// Package fetch brings bundles that a worker lacks into its store, by the digest
// that the chain names, from the sources that its operator named.
//
// A [Fetcher] is asked for a bundle with [Fetcher.Want], which never waits: it
// starts what is to be done in the background and says how it stands, so that
// whoever asks can turn to something else. However many ask, a bundle is fetched
// once; different bundles do not wait for each other.
//
// The operator decides, the sources are trusted with nothing: a bundle must have
// the digest, a signature of the operator's allow-list (unless AllowUntrusted),
// keys that are allowed here and a size within the limit, all of which is known
// before a part is asked for. [bundle.Receive] does the rest, as for an install
// by hand.
//
// What happens on failure: the sources are tried in order. When one did not answer
// or the connection broke, all are tried again, with growing pauses, until the time
// for the bundle is over; what came is kept and continued. When all that answered
// do not have it, or what they have is refused, that is the end until somebody
// wants it again, after a pause. What went wrong last is in a file in the store,
// for `gristmill doctor` ([Failures]).
package fetch
