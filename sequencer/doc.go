// Package sequencer turns signed device messages into mined blocks of tasks.
//
// A message comes in over HTTP, is checked, and is on disk before it is
// acknowledged. The assembler packs messages of one project into a body, keeps
// it by its hash and authorises the task with the project's sequencer key. A
// template is the next block on the chain's tip with the tasks that are ready;
// miners ([miner.Source], in process or over the mining API) search it, and a
// solved one is journalled and sent to the minter contract.
//
// # Who is authoritative
//
// The chain: a message is settled because a TaskSettled event of its batch
// stands on the canonical chain, never because the sequencer did something.
// The events that concern this sequencer's batches are kept as facts, in the
// same transaction as the cursor's position; the state of a batch is computed
// from its facts, so a rollback is the deletion of facts. The database (SQLite)
// is the authority on which messages were acknowledged and on the bodies.
//
// # What keeps a message from being lost or paid twice
//
// A message belongs to at most one body at a time. A batch whose task was
// skipped, died, was recalled, lost its race or left the chain is offered again
// as the same body; since the contracts pay a (project, dataHash) once ever, no
// unknown outcome can pay it twice. Only when that keeps failing are the
// messages freed for other bodies, and then not before every authorisation that
// was ever signed for the old body has expired in the chain's own time.
//
// # Failures
//
// A process killed at any moment resumes from the database: unauthorised
// batches are authorised, journalled blocks are sent again under the same key,
// the cursor goes on from its position. While the chain is out of reach,
// messages of projects that are not in the cache are answered 503 and mining
// stops; nothing acknowledged is lost.
package sequencer
