// Package enginetest is the suite that every proving engine passes, with the
// circuits, keys and solutions it needs. What a proof is worth is decided by
// gnark's verifier, never by the engine under test.
package enginetest
