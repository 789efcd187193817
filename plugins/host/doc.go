// Package host runs circuit plugins for a worker: one supervised subprocess
// per running solve, reused from task to task.
//
// A plugin is foreign code. It is given the messages of one task and answers
// with a solution, which the host copies to memory of its own and checks
// before anyone spends a proof on it. Whatever a plugin does costs one attempt
// of one task: a crash, a hang, a wrong or torn solution become an [Error] that
// says whether another attempt makes sense; the process is killed with its
// whole group and awaited before the call returns, and the next task gets a
// fresh one.
//
// The host is authoritative about what a proof is about (binding and data
// commitment are compared with the task's own); the bundle's digest is
// authoritative about which code runs: the executable is copied into a sealed
// memory file, hashed there, and that very file is executed.
package host
