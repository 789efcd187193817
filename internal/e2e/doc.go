// Package e2e tests the product from outside: the real binary, built with
// failpoints, killed at every one of them and at random, alone and as separate
// processes over a real Redis.
//
// The rule it checks is the one users rely on: every message that was
// acknowledged ends in exactly one settled task. The set of acknowledged
// messages is what the test's own devices got a 2xx for; the set of settled ones
// is read from the chain's events and the bodies they commit to, and from
// nothing else.
//
// The tests need minutes and carry the build tag e2e (make test-e2e). Two
// variables help to look into a failure: GRISTMILL_E2E_ONLY is a regular
// expression that failpoints must match, GRISTMILL_E2E_KEEP a folder that data
// directories of failed tests are copied to.
package e2e
