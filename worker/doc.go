// Package worker turns jobs from the queue into verified proofs.
//
// A worker takes as many jobs at a time as it has slots. For each it fetches
// the task's messages and checks them against the job, opens the circuit's
// bundle by the digest that the job names, lets a plugin subprocess solve the
// circuit, reports "solved", has a device prove it, verifies the proof with
// the bundle's verifying key against the public inputs that the job implies,
// and reports "proved". Solving, proving and verifying of different jobs
// overlap: while the devices prove as many as they do at once, at least one more
// is solved for each. A job is only taken from the queue for a free slot, so
// what this worker cannot do yet stays there for others.
//
// Who decides what:
//   - the scheduler's store says whether an attempt is wanted. The worker keeps
//     a key in Redis alive while it is on an attempt, and drops the attempt
//     when the scheduler's stop key appears or Asynq cancels it;
//   - the worker owns its slots. Asynq forgets a handler whose context ended;
//     the slot is free only when the plugin's subprocess and the engine are
//     done with the job;
//   - nothing from outside is believed: data by its hash and commitment,
//     bundles by their digest, solutions by the plugin host's checks, proofs by
//     verification. A proof that does not verify never leaves.
//
// Which device proves, and what happens when one fails, is gpu/pool's policy:
// the same device once more, another one, the processor. A bundle under which no
// engine makes a right proof gets no more work here.
//
// A bundle that is not here is fetched by plugins/bundle/fetch, if the operator
// named sources. The attempt ends meanwhile, before it has a slot, with a result
// that says so and does not count against the task.
//
// What happens on failure: whatever ends an attempt is reported as a failed
// result with a code, a sentence for the operator, and whether another attempt
// may succeed; whether there is one is the scheduler's decision. Only when no
// result can be sent does Asynq get the job back. A worker killed at any
// moment leaves a key that expires within 15 seconds, by which the scheduler
// sees it.
package worker
