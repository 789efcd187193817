// Package remote runs a proving engine in a process of its own, so that a fault
// of a device, a driver or a library ends that process and not the worker.
//
// An engine's program calls [Main] or [Serve]; the worker calls [New] and has a
// gpu.Engine. Messages are those of gpu/proto. Solutions and committed values
// lie in memory files that the engine's process can only read and that the
// worker overwrites after use; keys are passed as open files. The process
// inherits nothing of the worker's environment but what [Config] names.
//
// # Supervision
//
//	started ──► running ──► gone ──► (held off) ──► started at the next call
//	               │ ends by itself, is stuck, ignores a cancel or answers
//	               ▼ what is no answer: killed with its process group
//	            calls in flight return gpu.ErrDevice with the reason
//
// A process that itself reports gpu.ErrDevice finishes the work it has and is
// ended too: a device's fault tends to stay with the process that met it.
//
// The kernel is the authority on whether the process lives; until it is
// confirmed gone no other is started for the device. A process that fails
// several times in a row is held off for longer and longer; calls meanwhile
// fail at once, so that the work can go to another device. Keys are loaded again
// by the calls that need them.
//
// Progress, not liveness, is what is watched: work that has begun must reach
// another stage within StallTimeout, and of all work in a process something
// must. While the worker itself reads a key the clock stands still.
//
// A worker that is killed takes its engines along: the kernel ends a child whose
// parent died, and the child ends when its standard input does.
package remote
