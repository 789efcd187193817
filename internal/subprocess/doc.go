// Package subprocess starts child processes that this process depends on, and
// ends them for certain.
//
// A [Process] leads a process group of its own. However its leader ends, the
// group is killed before the leader's number can belong to anyone else, so no
// grandchild stays behind. A [Spawner] starts all processes from one thread, so
// that the kernel kills them when this process is killed; standard input, which
// ends at the same moment, tells them too. [Log] brings what they print into
// the log, [RunDir] holds their sockets, and memory files of fixed size carry
// what is too large or too secret for a message.
//
// The kernel is the authority on whether a process lives: [Process.Gone] is
// closed only after it was reaped.
package subprocess
