// Package conformance checks that an executable, in whatever language it is
// written, speaks the protocol between a worker and a circuit plugin
// (docs/plugin-protocol.md).
//
// [Run] starts the plugin of a bundle as a host does, but with nothing of the
// host's in between: it reads the handshake line itself, opens its own TLS
// connection and looks at every byte of the solution file. So what it finds is
// the plugin's doing. It says which checks failed and why, and leaves no process
// behind. For a circuit with a gnark commitment it plays that part of the host,
// too, without any key: it answers with a random point and looks whether the
// solution follows from it. It runs the plugin with the caller's rights, outside
// any sandbox: it is for those who write plugins.
package conformance
