// Package ceremony makes a circuit's keys by several parties, over gnark's
// multi-party set-up for Groth16 on BN254: powers of tau (phase 1, for any
// circuit of one size), then a phase for the circuit (phase 2). Whoever takes
// part mixes in a secret and forgets it. As long as one of them did forget,
// nobody can forge proofs; if all of them kept theirs and met, they could.
//
// A ceremony is a directory that goes from hand to hand:
//
//	ceremony.json             the log: circuit, contributions, beacons, keys
//	circuit.r1cs              the circuit, as gnark writes it
//	phase1/0001.contribution  the state after each contribution
//	phase2/0000.start         where phase 2 begins; it follows from the rest
//	phase2/0001.contribution
//	proving.key               the result, as gnark's WriteDump writes it
//	verifying.key             as WriteRawTo does
//
// The log is the only authority on what is part of the ceremony. It is replaced
// as a whole after the file that it names is on disk, so a step that is killed
// leaves the ceremony as it was, and is just done again.
//
// [Ceremony.Verify] trusts nothing but the code: it repeats every step that
// needs no secret, checks each contribution's proof against the state before it,
// and compares the keys. A step that does not hold is a [StepError]. Names and
// times in the log are what the contributors said of themselves; a contributor
// who publishes the SHA-256 of the own contribution makes it certain.
package ceremony
