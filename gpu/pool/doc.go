// Package pool proves on several devices under one failure policy.
//
// A proof is made on one device and judged by the caller's verify function;
// nothing leaves the pool that did not pass it. What fails goes, in this order,
// to the same device once more, to another device, and to the fallback, which
// is the CPU engine:
//
//	device ──► same device ──► another device ──► fallback ──► ErrBlocked
//
// A fault is held against a device only when another engine then proved the
// same solution under the same key. When no engine can, the fault is the key's
// or the solution's, and no device is blamed. A device with several faults in a
// row is quarantined: it gets no work until it has proved a known answer, tried
// again after longer and longer rests. A device that its readings show to be
// unfit gets none while they do.
//
// A device takes as many proofs as it makes at once; others wait in the pool.
// They wait in the order in which they are due, then of their arrival. A free
// device takes the first, or one whose key it has, so that keys are not swapped
// for each proof; but one that was passed over several times, or is due soon,
// is passed over no more.
//
// Verification happens after the device was released, so a device is never idle
// for it.
package pool
