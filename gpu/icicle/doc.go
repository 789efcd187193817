// Package icicle is the proving engine on ICICLE: Groth16 over BN254 on a CUDA
// card, or on ICICLE's own CPU device, which is there for tests. It is built
// with the tag icicle, cgo and the libraries that scripts/icicle.sh makes;
// without the tag the package is empty. It belongs into a process of its own,
// one for each device (cmd/gristmill-engine-icicle): ICICLE's worker threads
// can abort the process, and a card that faulted takes its process with it.
//
// The engine is authoritative for nothing: its proofs are verified by the
// caller. It calls ICICLE's C interface through a bridge that turns C++
// exceptions into errors, checks the code of every call, and sets the device of
// the calling thread each time, since goroutines move.
//
// A key is converted out of Montgomery form once, when it is loaded, and stays
// on the device with multiples of its points precomputed as far as that pays.
// A proof uploads its wires once, in one buffer: all of them, followed by those
// picked for a set of points that many wires have no part in. ICICLE has no
// operation that gathers, so the host picks. A set that nearly all wires have
// part in keeps points at infinity for the others instead and reads the wires
// where they lie. Each list of scalars holds a one that meets a point at
// infinity, as ICICLE's CUDA code was not written for sums in which every
// scalar is zero.
//
// Two strands run side by side on two streams: the sums over the wires, and the
// quotient with the only sum that waits for it. The coset of the quotient is
// that of a root of unity of twice the domain's order, whose powers the device
// has already; so Xⁿ-1 is -2 on it. The constant 1/(Xⁿ-1) and the factor that
// Montgomery form leaves in the quotient are taken off the sum, one point,
// instead of the quotient's n elements or the key's n points.
//
// Up to Parallel proofs are on the device, each with streams and a work buffer
// that last as long as the engine; one more prepares its wires meanwhile.
// Device buffers are overwritten before another proof takes them, and when they
// are freed; what a library allocates for itself is out of reach.
//
// Errors are those of package gpu. Too little device memory is gpu.ErrDevice
// with the numbers (other work on the card may hold it), a key above the
// engine's own budget gpu.ErrBudget. A device that is not there is an error from
// Open that names the missing part and what to do; nothing falls back to
// another device.
package icicle
