// Package nvml reads devices with NVIDIA's management library, which nvidia-smi
// is built on: sooner than the tool, and where a container has only the library.
//
// The library is found when the program runs; without one the answer is
// health.ErrNoDriver. It is C code in the process that loads it, and a driver
// that hangs keeps its caller for ever, so only gristmill-engine-icicle loads it,
// in a process that answers once and ends (its --health); health.Program asks
// it. The package needs cgo and the build tag icicle.
package nvml
