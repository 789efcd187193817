// Package circuits makes what benchmarks prove: circuits that fill a domain of
// 2^n constraints, with keys and a witness.
//
// meter and geofence are the shipped circuits with as many messages as fit, each
// signed by a device of its own. dense has wires as large as the field, bits mostly wires of
// 0 or 1: the two ends between which real circuits lie.
//
// Keys are made on the spot by one machine, so they are worth nothing outside
// measurements. A folder can keep them between runs; a key there is taken only
// for the very constraint system that it was made for.
package circuits
