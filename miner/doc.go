// Package miner searches the nonce that makes a block header's hash meet its
// target: a [Job] in, a [Solution] out.
//
// It decides nothing. A [Source] (the sequencer in the same process, or
// [HTTPSource] over its mining API) says what to work on and takes what was
// found; [Service] keeps every core busy with the newest job and leaves an old
// one within milliseconds. Nothing is stored: a miner killed at any moment loses
// only the hashes it was about to try. A source that fails is asked again with
// growing pauses; a solution it calls stale is dropped.
//
// Each try hashes the same bytes as [wire.Header.Hash]. The first 64 bytes of
// a header do not change with the nonce, so their SHA-256 state is computed once
// per job and only two compressions are left per try.
package miner
