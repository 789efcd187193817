// Package cpu is the proving engine in pure Go: Groth16 over BN254 on the
// processor, with gnark-crypto's field, transform and multi-exponentiations.
//
// It reads the proving keys that gnark's ProvingKey.WriteDump writes, checks
// their shape and that every point lies on its curve, and keeps them resident
// in least-recently-used order under a byte budget. A key in use is never
// freed: a load that needs its room waits.
//
// It works from a solution, so a circuit, its solver and its witness format
// are somebody else's matter. Circuits with BSB22 commitments call Commit while
// they are solved.
//
// The engine runs in the caller's process. A proof in flight is a handful of
// goroutines that end before Prove returns; a cancelled Prove returns after
// the multi-exponentiation piece at hand (at most 2^18 points).
package cpu
