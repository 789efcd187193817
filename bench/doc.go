// Package bench measures proving engines against each other: circuits × sizes ×
// engines × modes, in turns on one machine in one run.
//
// Engines stand behind gpu.Engine. A peer that has no such seam, gnark's own
// Prove, takes part under the same rules: the same circuit, key file and
// witness, and every proof checked by gnark's verifier. Only proofs that
// verified count; one that did not is reported and makes the run fail after its
// results are written down.
//
// What is timed is the proof of a solved circuit. gnark's Prove solves the
// circuit itself, so its solving is measured apart in the same turn and taken
// off. In the queued mode every engine solves and proves, because a task that
// waits in a queue needs both.
//
// An engine that was asked for and is not there is an error before anything is
// measured, never a quiet change to another one. A cancelled run returns the
// cause and no results.
//
// The packages below: circuits (what is proven), stats (medians and tests),
// machine (what ran it, memory and energy), results (the record and its JSON,
// CSV, Markdown and HTML forms, and the comparison of two records), mining
// (hash rate) and farm (tasks through the whole product).
package bench
