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
// [Circuit.Probe] is the search for what is under-constrained, around one good
// solution. Only what depends on a change is solved again, so that many can be
// tried; circuits of more than 2^17 constraints get fewer kinds of change.
//
//   - Inputs: it changes every single input of the witness, public ones, secrets
//     and those of each slot, by adding and taking away one, adding a random
//     element, negating, and zero. Hints answer to the changed input, or all calls
//     of one hint go on answering as before: a hint that says yes is as good as
//     none. It fails for each input whose change the circuit accepts, unless it
//     is named as free.
//   - Answers of hints ([Circuit.Forgeries]): it replaces every output of every
//     call of a hint by those values and by what the hint answered in another
//     call, and lets what follows follow: other hints answer to it, and where a
//     constraint would break, an output, a secret field of the team's or another
//     output of the same call moves to mend it. A call is named by hint, output
//     and the lines that led to it.
//   - Slots that are not used must count for nothing: it puts another signed
//     message into them and expects the same outputs to hold.
//
// A forged answer that the circuit accepts is always a fault if one of the
// project's outputs changes with it: two proofs of one task would say different
// things. If none does, only wires inside the circuit are free. gnark's own
// gadgets leave such freedoms on purpose (the inverse of zero, carries, the sign
// of a decomposition), so they are told in the log of the test (go test -v) and
// do not fail it. Of the team's own hints they are faults, since a hint whose
// answer does not matter is one too many, unless named as free; and only with a
// body that fills all slots, as nothing has to be said about what an unused one
// holds. The answers of gnark's commitments are left out: one is random by
// design, the other is checked by the verifier.
//
// What the probe can not see: inputs and answers that are free only together, be
// it two calls; an output that would have to move through a constraint that is
// not linear in it, such as a minimum's; what is free only around other messages
// than the body's; and, in a circuit so large that only a part of the answers was
// forged, the others. Constrain every hint's answer yourself.
package sdktest
