// Package failpoint lets tests kill the process at a named place.
//
// Every state write, send and receipt of the product calls [Hit] with a name
// "<package>.<what>.<before|after>". In a normal build Hit is an empty
// function. Built with the tag "failpoints" it reads two environment
// variables:
//
//   - GRISTMILL_FAILPOINT=name or name:n: the process sends itself SIGKILL the
//     n-th time (default first) it reaches that name;
//   - GRISTMILL_FAILPOINT_LOG=path: every name reached is appended to that
//     file, so that a test can tell which places a run went through.
//
// Names are string literals, so that a test can list them from the source.
package failpoint
