// Package cpu is the proving engine in pure Go: Groth16 over BN254 on the
// processor, over gnark-crypto's fields and transforms.
//
// It reads the proving keys that gnark's ProvingKey.WriteDump writes, checks
// their shape and that every point lies on its curve, and keeps them resident
// in least-recently-used order under a byte budget. A key in use is never
// freed: a load that needs its room waits. The checks stay although the files
// are the operator's own: with them a key of 2^18 constraints takes 0.2 s of one
// core, and a torn or altered file is named at once instead of showing in proofs
// that do not verify.
//
// It works from a solution, so a circuit, its solver and its witness format
// are somebody else's matter. Circuits with BSB22 commitments call Commit while
// they are solved.
//
// Most of a proof are four sums of scalars times the key's points (package
// fixedbase). After some proofs under one key the engine makes tables of
// multiples of its points, beside its work, which make the sums shorter: that
// pays after a few dozen proofs and takes up to sixteen times the key's memory, of
// what is free in the budget. When another key needs the room the tables go
// first, and proofs are as fast as without. Tables never change a proof.
//
// The engine runs in the caller's process. It hands out its cores to pieces of
// work of all proofs in flight and to the making of tables, so it never keeps
// more cores busy than it may. A proof in flight is a handful of goroutines that
// end before Prove returns; a cancelled Prove returns after the pieces at hand: a
// transform, or the points of one window. The making of tables ends with Close,
// and when it fails proofs go on without.
package cpu
