package wire_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/consensys/gnark-crypto/ecc/bn254"
	"github.com/consensys/gnark-crypto/ecc/bn254/fp"
	"github.com/stretchr/testify/require"

	"github.com/gristmill-zk/gristmill/wire"
)

// apiOnly are the codes that only the sequencer's API gives; here their
// statuses are pinned, there their causes.
var apiOnly = map[wire.RejectCode]int{
	wire.RejectUnknownProject: 403, wire.RejectDeviceNotAllowed: 403, wire.RejectStaleNonce: 409,
	wire.RejectProjectPaused: 402, wire.RejectOutOfFunds: 402, wire.RejectContentType: 415,
	wire.RejectNotFound: 404, wire.RejectOverloaded: 429, wire.RejectUnavailable: 503,
}

// edit returns a copy of b changed by f.
func edit(b []byte, f func([]byte) []byte) []byte { return f(slices.Clone(b)) }

func set(b []byte, at int, value byte) []byte {
	return edit(b, func(b []byte) []byte { b[at] = value; return b })
}

type rejectCase struct {
	code  wire.RejectCode
	field string
	err   error
}

func decodeMessage(b []byte) error { return new(wire.Message).UnmarshalBinary(b) }

func decodeBody(b []byte) error { return new(wire.Body).UnmarshalBinary(b) }

func decodeEnvelope(b []byte) error { return new(wire.ProofEnvelope).UnmarshalBinary(b) }

func second[T any](_ T, err error) error { return err }

func messageRejects() []rejectCase {
	m := signed(wire.SchemeEdDSABN254, 1, 1, 1, []byte("reading"), 32)
	raw := must(m.MarshalBinary())
	offCurve := m
	offCurve.Key.Bytes = bytes.Repeat([]byte{3}, 32)
	otherNonce := m
	otherNonce.Nonce++
	tooLong := must(m.MarshalBinary())
	binary.BigEndian.PutUint32(tooLong[3+32+24:], wire.MaxPayload+1)
	return []rejectCase{
		{wire.RejectVersion, "version", decodeMessage(set(raw, 0, 2))},
		{wire.RejectUnknownScheme, "scheme", decodeMessage(set(raw, 1, 9))},
		{wire.RejectBadKey, "key", decodeMessage(set(raw, 2, 31))},
		{wire.RejectPayloadTooLong, "payload", decodeMessage(tooLong)},
		{wire.RejectBadSignature, "signature", decodeMessage(set(raw, len(raw)-65, 63))},
		{wire.RejectTruncated, "signature", decodeMessage(raw[:len(raw)-1])},
		{wire.RejectTruncated, "version", decodeMessage(nil)},
		{wire.RejectTrailing, "", decodeMessage(append(slices.Clone(raw), 0))},
		{wire.RejectBadKey, "key", offCurve.Verify(devnet, 32)},
		{wire.RejectBadSignature, "signature", otherNonce.Verify(devnet, 32)},
		{wire.RejectBadSignature, "signature", m.Verify(mainnet, 32)},
		{wire.RejectPayloadTooLong, "payload", m.Verify(devnet, 6)},
		{wire.RejectMalformed, "payloadLimit", m.Verify(devnet, 0)},
		{wire.RejectUnknownScheme, "scheme", second(wire.NewSigner(0, make([]byte, 32)))},
		{wire.RejectUnknownScheme, "scheme", second(wire.ParseScheme("EDDSA-bn254"))},
		{wire.RejectBadKey, "secret", second(wire.NewSigner(wire.SchemeP256, make([]byte, 32)))},
		{wire.RejectBadKey, "secret", second(wire.NewSigner(wire.SchemeSecp256k1, bytes.Repeat([]byte{0xff}, 32)))},
		{wire.RejectBadKey, "secret", second(wire.NewSigner(wire.SchemeEd25519, make([]byte, 31)))},
	}
}

func jsonRejects() []rejectCase {
	m := signed(wire.SchemeP256, 1, 1, 1, []byte("reading"), 32)
	text := string(must(json.Marshal(m)))
	try := func(old, replacement string) error {
		changed := strings.Replace(text, old, replacement, 1)
		if changed == text {
			panic("nothing replaced: " + old)
		}
		return new(wire.Message).UnmarshalJSON([]byte(changed))
	}
	return []rejectCase{
		{wire.RejectUnknownField, "extra", try(`"scheme"`, `"extra":1,"scheme"`)},
		{wire.RejectMissingField, "nonce", try(`"nonce":1,`, ``)},
		{wire.RejectMissingField, "nonce", try(`"nonce"`, `"Nonce"`)},
		{wire.RejectMalformed, "nonce", try(`"nonce":1`, `"nonce":1,"nonce":1`)},
		{wire.RejectMalformed, "nonce", try(`"nonce":1`, `"nonce":null`)},
		{wire.RejectMalformed, "payload", try(`"0x72656164696e67"`, `null`)},
		{wire.RejectMalformed, "nonce", try(`"nonce":1`, `"nonce":-1`)},
		{wire.RejectMalformed, "nonce", try(`"nonce":1`, `"nonce":1.0`)},
		{wire.RejectMalformed, "nonce", try(`"nonce":1`, `"nonce":"01"`)},
		{wire.RejectMalformed, "nonce", try(`"nonce":1`, `"nonce":18446744073709551616`)},
		{wire.RejectMalformed, "project", try(`"project":1`, `"project":{"a":1}`)},
		{wire.RejectMalformed, "payload", try(`"payload":"0x`, `"payload":"`)},
		{wire.RejectMalformed, "payload", try(`"payload":"0x`, `"payload":"0xg`)},
		{wire.RejectMalformed, "payload", try(`"payload":"0x`, `"payload":"0x0`)},
		{wire.RejectBadKey, "key", try(`"key":"0x`, `"key":"0x00`)},
		{wire.RejectBadSignature, "signature", try(`"signature":"0x`, `"signature":"0x00`)},
		{wire.RejectUnknownScheme, "scheme", try(`"p256"`, `"rsa"`)},
		{wire.RejectMalformed, "", try(`}`, `,}`)},
		{wire.RejectMalformed, "", try(`}`, "\xff}")},
		{wire.RejectTruncated, "", new(wire.Message).UnmarshalJSON([]byte(text[:len(text)-1]))},
		{wire.RejectTrailing, "", new(wire.Message).UnmarshalJSON([]byte(text + text))},
		{wire.RejectMalformed, "", new(wire.Message).UnmarshalJSON([]byte("[]"))},
		{wire.RejectTooBig, "", new(wire.Message).UnmarshalJSON(bytes.Repeat([]byte(" "), wire.MaxMessageJSON+1))},
	}
}

func bodyRejects() []rejectCase {
	body := fixtureBody(1, 2)
	raw := must(body.MarshalBinary())
	mixed := body
	mixed.Messages = []wire.Message{body.Messages[0], signed(wire.SchemeEd25519, 2, 2, 1, nil, 32)}
	foreign := set(raw, 8, 9) // the body's own project number
	count := func(n uint32) []byte {
		return edit(raw, func(b []byte) []byte { binary.BigEndian.PutUint32(b[13:], n); return b })
	}
	long := edit(raw, func(b []byte) []byte { binary.BigEndian.PutUint32(b[17:], 1<<31); return b })
	task, taskBody := fixtureTask(5, 2, 0)
	wrong := func(f func(*wire.Task)) error {
		changed := task
		f(&changed)
		return second(changed.CheckBody(devnet, taskBody, 8, 32))
	}
	return []rejectCase{
		{wire.RejectVersion, "version", decodeBody(set(raw, 0, 0))},
		{wire.RejectBadCount, "count", decodeBody(count(0))},
		{wire.RejectBadCount, "count", decodeBody(count(wire.MaxBatch + 1))},
		{wire.RejectTruncated, "messages", decodeBody(count(wire.MaxBatch))},
		{wire.RejectTrailing, "", decodeBody(count(1))},
		{wire.RejectTruncated, "messages[0]", decodeBody(long)},
		{wire.RejectTrailing, "", decodeBody(append(slices.Clone(raw), 1))},
		{wire.RejectVersion, "messages[0].version", decodeBody(set(raw, 21, 7))},
		{wire.RejectWrongProject, "messages[0].project", decodeBody(foreign)},
		{wire.RejectWrongProject, "messages[1].project", second(mixed.MarshalBinary())},
		{wire.RejectTooBig, "", decodeBody(make([]byte, wire.MaxBodySize+1))},
		{wire.RejectBadCount, "count", second(body.Commitment(devnet, 1, 32))},
		{wire.RejectPayloadTooLong, "messages[0].payload", second(body.Commitment(devnet, 4, 1))},
		{wire.RejectWrongData, "size", second(task.CheckBody(devnet, taskBody[1:], 8, 32))},
		{wire.RejectWrongData, "dataHash", second(task.CheckBody(devnet, set(taskBody, 40, taskBody[40]^1), 8, 32))},
		{wire.RejectWrongData, "body", wrong(func(t *wire.Task) { t.Version++ })},
		{wire.RejectWrongData, "dataCommitment", wrong(func(t *wire.Task) { t.DataCommitment[31] ^= 1 })},
	}
}

func blockRejects() []rejectCase {
	header := mined(wire.Header{Version: wire.HeaderVersion, Bits: 0x207fffff})
	rolled, hard, negative := header, header, header
	rolled.Version |= 0x80000000
	hard.Bits = 0x1d00ffff
	negative.Bits = 0x1d80ffff
	raw := header.Encode()
	coinbase := wire.Coinbase{Minter: minter, ExtraNonce: make([]byte, 8)}
	encoded := must(coinbase.Encode(devnet))
	parse := func(b []byte) error { return second(wire.ParseCoinbase(devnet, b)) }
	task, _ := fixtureTask(5, 1, 0)
	unsigned, large := task, task
	unsigned.Authorisation.Signature = nil
	large.DataCommitment = filled(0xff)
	return []rejectCase{
		{wire.RejectBadHeaderVersion, "version", rolled.CheckWork()},
		{wire.RejectNotEnoughWork, "header", hard.CheckWork()},
		{wire.RejectBadBits, "bits", negative.CheckWork()},
		{wire.RejectTruncated, "header", second(wire.ParseHeader(raw[:79]))},
		{wire.RejectTrailing, "header", second(wire.ParseHeader(append(raw[:], 0)))},
		{wire.RejectMalformed, "tag", parse(set(encoded, 0, 'G'))},
		{wire.RejectWrongDeployment, "deploymentId", second(wire.ParseCoinbase(mainnet, encoded))},
		{wire.RejectTruncated, "extraNonce", parse(encoded[:len(encoded)-1])},
		{wire.RejectTrailing, "extraNonce", parse(append(slices.Clone(encoded), make([]byte, 25)...))},
		{wire.RejectBadAuthorisation, "authorisation", second(unsigned.Authoriser(devnet))},
		{wire.RejectNotField, "dataCommitment", second(large.Authoriser(devnet))},
		{wire.RejectMalformed, "", second(wire.ParseHash("0x12"))},
		{wire.RejectMalformed, "", second(wire.ParseAddress("0x5fbDB2315678afecb367f032d93F642f64180aa3"))},
	}
}

func envelopeRejects() []rejectCase {
	raw := must(fixtureEnvelope().MarshalBinary())
	const proofAt = 1 + 32 + 4 + 20 + 1
	const outputsAt = proofAt + 8*32
	negativeZero, offSubgroup := fixtureEnvelope(), fixtureEnvelope()
	negativeZero.ProveMS = math.Copysign(0, -1)
	point := bn254.MapToCurve2(&bn254.E2{A0: fp.NewElement(5)})
	if !point.IsOnCurve() || point.IsInSubGroup() {
		panic("the point tests nothing")
	}
	_, _, g1, _ := bn254.Generators()
	offSubgroup.Proof = wire.NewProof(wire.ProofPoints{A: g1, B: point, C: g1})
	job := func(f func(*wire.Job)) error {
		j := fixtureJob()
		f(j)
		return second(j.Encode())
	}
	result := func(kind wire.ResultKind, f func(*wire.Result)) error {
		r := fixtureResult(kind)
		f(r)
		return second(r.Encode())
	}
	text := string(must(fixtureJob().Encode()))
	parse := func(old, replacement string) error {
		return second(wire.ParseJob([]byte(strings.Replace(text, old, replacement, 1))))
	}
	committed := must(fixtureCommitted().MarshalBinary())
	const commitmentAt = proofAt + 8*32
	none := slices.Clone(committed)
	clear(none[commitmentAt : commitmentAt+4*32])
	unknown := slices.Clone(committed)
	clear(unknown[commitmentAt+2*32 : commitmentAt+4*32])
	proofJSON := func(words int) error {
		return json.Unmarshal(must(json.Marshal(make([]wire.Hash, words))), new(wire.Proof))
	}
	return []rejectCase{
		{wire.RejectBadPoint, "proof.commitment", decodeEnvelope(set(committed, commitmentAt+31, 5))},
		{wire.RejectBadPoint, "proof.knowledge", decodeEnvelope(unknown)},
		{wire.RejectBadPoint, "proof.commitment", decodeEnvelope(none)},
		{wire.RejectNotField, "proof[9]", decodeEnvelope(set(committed, commitmentAt+32, 0xff))},
		{wire.RejectBadCount, "proof", proofJSON(7)},
		{wire.RejectBadCount, "proof", proofJSON(9)},
		{wire.RejectBadCount, "proof", proofJSON(13)},
		{wire.RejectBadPoint, "proof.commitment", proofJSON(12)},
		{wire.RejectVersion, "version", decodeEnvelope(set(raw, 0, 9))},
		{wire.RejectMalformed, "curve", decodeEnvelope(set(raw, proofAt-1, 2))},
		{wire.RejectBadPoint, "proof.a", decodeEnvelope(set(raw, proofAt+31, 5))},
		{wire.RejectBadPoint, "proof.b", decodeEnvelope(set(raw, proofAt+3*32+31, 5))},
		{wire.RejectBadPoint, "proof.c", decodeEnvelope(set(raw, proofAt+7*32+31, 5))},
		{wire.RejectNotField, "proof[2]", decodeEnvelope(set(raw, proofAt+64, 0xff))},
		{wire.RejectNotField, "outputs[0]", decodeEnvelope(set(raw, outputsAt+2, 0xff))},
		{wire.RejectBadCount, "outputs", decodeEnvelope(set(raw, outputsAt, 0xff))},
		{wire.RejectMalformed, "engine", decodeEnvelope(set(raw, len(raw)-25, 0xff))},
		{wire.RejectMalformed, "verify_ms", decodeEnvelope(set(raw, len(raw)-8, 0xff))},
		{wire.RejectTruncated, "verify_ms", decodeEnvelope(raw[:len(raw)-1])},
		{wire.RejectTrailing, "", decodeEnvelope(append(slices.Clone(raw), 0))},
		{wire.RejectMalformed, "prove_ms", negativeZero.Validate()},
		{wire.RejectBadPoint, "proof.b", offSubgroup.Validate()},
		{wire.RejectVersion, "v", job(func(j *wire.Job) { j.V = 2 })},
		{wire.RejectMalformed, "attempt", job(func(j *wire.Job) { j.Attempt = 0 })},
		{wire.RejectMalformed, "deployment", job(func(j *wire.Job) { j.Deployment = wire.Deployment{} })},
		{wire.RejectBadCount, "count", job(func(j *wire.Job) { j.Count = 9 })},
		{wire.RejectBadCount, "batch_size", job(func(j *wire.Job) { j.BatchSize = 0 })},
		{wire.RejectMalformed, "payload_limit", job(func(j *wire.Job) { j.PayloadLimit = wire.MaxPayload + 1 })},
		{wire.RejectMissingField, "vk_id", job(func(j *wire.Job) { j.VKID = wire.Hash{} })},
		{wire.RejectBadCount, "outputs", job(func(j *wire.Job) { j.Outputs = wire.MaxOutputs + 1 })},
		{wire.RejectUnknownField, "deadline", parse(`"reply_queue"`, `"deadline":0,"reply_queue"`)},
		{wire.RejectMissingField, "reply_queue", job(func(j *wire.Job) { j.ReplyQueue = "" })},
		{wire.RejectMalformed, "data_urls[0]", job(func(j *wire.Job) { j.DataURLs = []string{"file:///etc/shadow"} })},
		{wire.RejectTooBig, "data_urls", job(func(j *wire.Job) { j.DataURLs = make([]string, 17) })},
		{wire.RejectTooBig, "bundle_uri", job(func(j *wire.Job) { j.BundleURI = strings.Repeat("a", 1025) })},
		{wire.RejectNotField, "data_commitment", job(func(j *wire.Job) { j.DataCommitment = filled(0xff) })},
		{wire.RejectMalformed, "kind", result("done", func(*wire.Result) {})},
		{wire.RejectMalformed, "proof_envelope", result(wire.ResultProved, func(r *wire.Result) { r.ProofEnvelope = nil })},
		{wire.RejectMalformed, "proof_envelope", result(wire.ResultProved, func(r *wire.Result) { r.Attempt++ })},
		{wire.RejectMalformed, "error", result(wire.ResultSolved, func(r *wire.Result) { r.Error = &wire.WorkError{Code: "x"} })},
		{wire.RejectTooBig, "progress", result(wire.ResultSolved, func(r *wire.Result) { r.Progress = strings.Repeat("x", wire.MaxProgress+1) })},
		{wire.RejectMissingField, "error.code", result(wire.ResultFailed, func(r *wire.Result) { r.Error.Code = "" })},
		{wire.RejectMalformed, "error.retry_after_s", result(wire.ResultFailed, func(r *wire.Result) { r.Error.RetryAfter = wire.MaxRetryAfter + 1 })},
		{wire.RejectMalformed, "error.retry_after_s", result(wire.ResultFailed, func(r *wire.Result) { r.Error.Retry, r.Error.RetryAfter = false, 1 })},
		{wire.RejectMissingField, "deployment.chain_id", parse(`"chain_id":31337,`, ``)},
		{wire.RejectUnknownField, "deployment.x", parse(`"chain_id"`, `"x":0,"chain_id"`)},
		{wire.RejectMalformed, "prover", parse(`"prover":"0x`, `"prover":"0y`)},
		{wire.RejectMissingField, "task_id", parse(`"task_id"`, `"TASK_ID"`)},
		{wire.RejectTooBig, "", second(wire.ParseJob(make([]byte, wire.MaxJobSize+1)))},
	}
}

// TestRejects walks every refusal: its code, the field it names, and that
// every code of the package is met at least once.
func TestRejects(t *testing.T) {
	t.Parallel()
	groups := map[string][]rejectCase{
		"message": messageRejects(), "json": jsonRejects(), "body": bodyRejects(),
		"block": blockRejects(), "envelope": envelopeRejects(),
	}
	met := map[wire.RejectCode]bool{}
	for name, cases := range groups {
		for i, c := range cases {
			label := fmt.Sprintf("%s[%d] %s %s", name, i, c.code, c.field)
			var r *wire.Reject
			require.Truef(t, errors.As(c.err, &r), "%s: %v", label, c.err)
			require.Equalf(t, c.code, r.Code, "%s: %v", label, c.err)
			require.Equalf(t, c.field, r.Field, "%s: %v", label, c.err)
			require.NotEmpty(t, r.Msg, label)
			require.ErrorIs(t, c.err, &wire.Reject{Code: c.code})
			require.Contains(t, r.Error(), string(c.code))
			met[c.code] = true
		}
	}
	for _, code := range wire.RejectCodes() {
		if status, ok := apiOnly[code]; ok {
			require.Equal(t, status, code.HTTPStatus(), code)
			require.False(t, met[code], "%s is the API's alone", code)
			continue
		}
		require.Truef(t, met[code], "no case gives %s", code)
		require.Contains(t, []int{400, 401, 413}, code.HTTPStatus(), code)
		require.False(t, code.Retryable(), code)
	}
	require.Equal(t, 400, wire.RejectCode("never heard of").HTTPStatus())
	require.Empty(t, wire.CodeOf(errors.New("other")))
}

func TestRetryAfterGoesThroughTheQueue(t *testing.T) {
	t.Parallel()
	sent := fixtureResult(wire.ResultFailed)
	sent.Error.RetryAfter = 7
	raw, err := sent.Encode()
	require.NoError(t, err)
	require.Contains(t, string(raw), `"retry_after_s":7`)
	got, err := wire.ParseResult(raw)
	require.NoError(t, err)
	require.Equal(t, sent, got)
}
