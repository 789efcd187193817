// Package gpu is the seam between gristmill and what makes its proofs.
//
// An [Engine] owns one device. It keeps proving keys resident under a memory
// budget and turns solutions of circuits (the values of all wires and of the
// three sides of every constraint) into Groth16 proofs over BN254. It knows
// nothing of tasks, plugins, bundles or queues, and this package imports
// nothing else of gristmill.
//
// An engine computes; it does not judge. It refuses what it can see to be
// unusable (sizes, elements that are not canonical, a damaged key) with one of
// the errors below, but whether a proof is right is only known after it was
// verified: the caller verifies every proof before it leaves the process. The
// caller also draws the [Blinding], so that the secrecy of witnesses does not
// hang on an engine's random numbers, and two engines can be compared proof by
// proof.
//
// Package enginetest holds the suite that every engine passes.
package gpu
