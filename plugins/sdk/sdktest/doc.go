// Package sdktest checks a team's circuit: that it accepts good tasks, and that
// it accepts nothing else.
//
// [New] compiles the circuit once. [Circuit.Task] signs payloads as devices
// would; [Circuit.Check] solves a body through Assign and the circuit, and
// [Circuit.Outputs] also returns what would be settled.
//
// [Circuit.Golden] keeps signed messages with the outputs that they must give,
// and wrong ones with the reason, in a file of the repository. A change of the
// payload's format or of the statement that was not meant shows there. Run the
// test with -update to write the file anew.
//
// [Circuit.Probe] is the search for under-constrained inputs: it changes every
// single input of a good witness, public ones, secrets and those of each slot,
// solves again, and fails the test for each input whose change the circuit
// accepts, unless it is named as free. Each is tried with one added, a random
// element added, its negative and zero; circuits of more than 2^17 constraints
// only with the first two. Slots that are not used must count for nothing: the
// probe puts another signed message into them and expects the same outputs to
// hold. What the probe can not see: inputs that are free only together, and
// wires that a dishonest prover computes differently from our solver, that is,
// wrong answers of hints. Constrain every hint's answer yourself.
package sdktest
