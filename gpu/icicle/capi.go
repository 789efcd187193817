//go:build icicle

package icicle

/*
#cgo CXXFLAGS: -std=c++17 -O2
#cgo LDFLAGS: -licicle_curve_bn254 -licicle_field_bn254 -licicle_device -lstdc++ -lm -ldl
#include <stdlib.h>
#include "bridge.h"
*/
import "C"

import (
	"fmt"
	"runtime"
	"unsafe"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"

	"github.com/gristmill-zk/gristmill/gpu"
)

// code is what a call to ICICLE returns; zero is success.
type code int

var codeNames = [...]string{
	"success", "invalid device", "out of memory", "invalid pointer", "allocation failed", "deallocation failed",
	"copy failed", "synchronization failed", "stream creation failed", "stream destruction failed",
	"not implemented", "invalid argument", "backend not loaded", "license", "unknown error",
}

func (c code) String() string {
	if c == C.gm_exception {
		return "exception"
	}
	if int(c) < len(codeNames) {
		return codeNames[c]
	}
	return fmt.Sprintf("code %d", int(c))
}

const (
	codeOutOfMemory    code = 2
	codeAllocation     code = 4
	codeNotImplemented code = 10
)

// failed is a gpu.ErrDevice for a call that did not succeed, and nil for one
// that did.
func failed(what string, c C.int) error {
	if c == 0 {
		return nil
	}
	if c == C.gm_exception {
		return fmt.Errorf("%w: %s: %s", gpu.ErrDevice, what, C.GoString(C.gm_message()))
	}
	if code(c) == codeOutOfMemory {
		if total, free, err := availableMemory(); err == nil {
			return fmt.Errorf("%w: %s: out of device memory, %d bytes of %d are free", gpu.ErrDevice, what, free, total)
		}
	}
	return fmt.Errorf("%w: %s: %s", gpu.ErrDevice, what, code(c))
}

// on runs work on one thread that has the device set, as ICICLE keeps the
// device for each thread.
func (d *device) on(work func() error) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := failed(fmt.Sprintf("set device %s %d", d.kind, d.index), C.gm_set_device(d.cKind, C.int(d.index))); err != nil {
		return err
	}
	return work()
}

// availableMemory is what the thread's device has.
func availableMemory() (total, free int64, err error) {
	var t, f C.size_t
	c := C.gm_available_memory(&t, &f)
	if code(c) == codeNotImplemented {
		return 0, 0, fmt.Errorf("%w: available memory", gpu.ErrUnsupported)
	}
	return int64(t), int64(f), failed("available memory", c)
}

// buffer is memory on a device. The zero buffer is empty.
type buffer struct {
	ptr  unsafe.Pointer
	size int
}

func allocate(what string, size int) (buffer, error) {
	if size == 0 {
		return buffer{}, nil
	}
	var ptr unsafe.Pointer
	c := C.gm_malloc(&ptr, C.size_t(size))
	if code(c) == codeAllocation || code(c) == codeOutOfMemory {
		if total, free, err := availableMemory(); err == nil {
			return buffer{}, fmt.Errorf("%w: %s takes %d bytes of device memory, %d of %d are free: give the engine a smaller --memory, or the card fewer programs",
				gpu.ErrDevice, what, size, free, total)
		}
		return buffer{}, fmt.Errorf("%w: %s takes %d bytes, more than the device has free", gpu.ErrDevice, what, size)
	}
	return buffer{ptr, size}, failed("allocate "+what, c)
}

func (b *buffer) free() error {
	if b.ptr == nil {
		return nil
	}
	c := C.gm_free(b.ptr)
	*b = buffer{}
	return failed("free device memory", c)
}

// at is the part of the buffer that begins after offset bytes.
func (b buffer) at(offset int) buffer {
	return buffer{unsafe.Add(b.ptr, offset), b.size - offset}
}

func (b buffer) zero(size int, s stream) error {
	if size == 0 {
		return nil
	}
	return failed("clear device memory", C.gm_zero(b.ptr, C.size_t(size), s.ptr))
}

// upload copies host values to the device; they may be changed once it returns.
func upload[T any](to buffer, from []T, s stream) error {
	if len(from) == 0 {
		return nil
	}
	size := len(from) * int(unsafe.Sizeof(from[0]))
	if size > to.size {
		return fmt.Errorf("%w: upload of %d bytes into a buffer of %d", gpu.ErrDevice, size, to.size)
	}
	return failed("upload", C.gm_upload(to.ptr, unsafe.Pointer(&from[0]), C.size_t(size), s.ptr))
}

// download waits for the stream and returns one scalar.
func (b buffer) download(s stream) (value fr.Element, err error) {
	c := C.gm_download(unsafe.Pointer(&value), b.ptr, C.size_t(unsafe.Sizeof(value)), s.ptr)
	return value, failed("download", c)
}

// stream orders work on the device. The CPU device has only the null stream.
type stream struct{ ptr unsafe.Pointer }

func newStream() (s stream, err error) {
	return s, failed("create a stream", C.gm_stream_create(&s.ptr))
}

func (s stream) destroy() error { return failed("destroy a stream", C.gm_stream_destroy(s.ptr)) }
func (s stream) wait() error    { return failed("wait for the device", C.gm_stream_wait(s.ptr)) }

func (b buffer) plainScalars(n int, s stream) error {
	return failed("convert scalars", C.gm_plain_scalars(b.ptr, C.uint64_t(n), s.ptr))
}

func (b buffer) plainPoints(g group, n int, s stream) error {
	if g == g2 {
		return failed("convert G2 points", C.gm_plain_g2(b.ptr, C.size_t(n), s.ptr))
	}
	return failed("convert G1 points", C.gm_plain_g1(b.ptr, C.size_t(n), s.ptr))
}

func (b buffer) mul(other buffer, n int, s stream) error {
	return failed("multiply vectors", C.gm_mul(b.ptr, other.ptr, C.uint64_t(n), s.ptr))
}

func (b buffer) sub(other buffer, n int, s stream) error {
	return failed("subtract vectors", C.gm_sub(b.ptr, other.ptr, C.uint64_t(n), s.ptr))
}

// Orderings of a transform's input and output: natural, reversed by bits, or
// mixed, which is whatever the device finds quickest.
const (
	naturalToReversed = 1
	naturalToMixed    = 4
	mixedToNatural    = 5
)

// transform is a batch of transforms of n elements in place; coset, not in
// Montgomery form, shifts the domain.
func (b buffer) transform(n, batch int, inverse bool, ordering int, coset *[4]uint64, s stream) error {
	return failed("number-theoretic transform",
		C.gm_ntt(b.ptr, C.int(n), C.int(batch), C.bool(inverse), C.int(ordering), unsafe.Pointer(coset), s.ptr))
}

func initTransforms(root *[4]uint64) error {
	return failed("prepare transforms", C.gm_ntt_init(unsafe.Pointer(root)))
}

func releaseTransforms() error { return failed("release transforms", C.gm_ntt_release()) }

// multiExp puts the projective sum of n points with scalars into result, which
// has the group's size.
func multiExp(g group, scalars, points buffer, n int, p plan, result unsafe.Pointer, s stream) error {
	if g == g2 {
		return failed("G2 multi-exponentiation",
			C.gm_msm_g2(scalars.ptr, points.ptr, C.int(n), C.int(p.window), C.int(p.factor), result, s.ptr))
	}
	return failed("G1 multi-exponentiation",
		C.gm_msm_g1(scalars.ptr, points.ptr, C.int(n), C.int(p.window), C.int(p.factor), result, s.ptr))
}

// precompute writes p.factor multiples of each of n points to another buffer.
func precompute(g group, points buffer, n int, p plan, to buffer, s stream) error {
	if g == g2 {
		return failed("precompute G2 points",
			C.gm_precompute_g2(points.ptr, C.int(n), C.int(p.window), C.int(p.factor), to.ptr, s.ptr))
	}
	return failed("precompute G1 points",
		C.gm_precompute_g1(points.ptr, C.int(n), C.int(p.window), C.int(p.factor), to.ptr, s.ptr))
}
