// Package farm measures the whole product: signed readings go through an
// embedded deployment until their proofs are settled on its chain.
//
// Everything is real and in one process on one machine: sequencer, miner,
// chain, scheduler, queue, plugin, engine and contracts. All messages are sent
// at once, so the figures are those of a farm with a full backlog. Where a
// task's time goes is taken from the events of the parts themselves. Stages
// overlap (an offer is accepted while its proof is made), so they do not add up
// to the total.
//
// A task that does not settle makes the measurement fail. A cancelled
// measurement stops the deployment and returns the cause.
package farm
