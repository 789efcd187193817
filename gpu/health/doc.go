// Package health says which GPUs a machine has and how they do, and whether one
// is fit for work.
//
// A [Source] reads all devices at once: [Program] asks NVML, the library below
// nvidia-smi, through a program that loads it; [SMI] asks nvidia-smi; [Fake] reads
// a file that somebody wrote, for tests and demonstrations, and marks every
// reading as fake. [Open] chooses: NVML first, nvidia-smi where it can not tell. The kernel's log, where the process may
// read it, adds the Xid events that the driver reported. What a device, driver
// or right to read does not give stays unknown ([Value]); unknown is never taken
// for good or bad. A device that the driver can no longer talk to is in the
// answer with its [Reading.Fault].
//
// [Healthy] judges a reading by [Limits] and has no memory: quarantine after
// repeated faults and the way back from it are the caller's.
//
// NVML is not loaded into this process. Without cgo that would still bind the
// program to the C library it was built for, and a fault in the library would end
// the program.
//
// Errors of sources name what is missing and what to do: [ErrNoTool],
// [ErrNoDriver], [ErrNoDevices], [ErrTimeout], [ErrUnreadable].
package health
