package wire_test

import (
	"bytes"
	"encoding"
	"encoding/json"
	"testing"

	"github.com/gristmill-zk/gristmill/wire"
)

// binaryForm is what every binary decoder here is.
type binaryForm interface {
	encoding.BinaryMarshaler
	encoding.BinaryUnmarshaler
}

// canonical fails unless input is refused with a Reject, or is exactly what
// the decoded value encodes to: so every value has one encoding.
func canonical(t *testing.T, v binaryForm, input []byte) bool {
	if err := v.UnmarshalBinary(input); err != nil {
		requireReject(t, err)
		return false
	}
	again, err := v.MarshalBinary()
	if err != nil {
		t.Fatalf("decoded but does not encode: %v", err)
	}
	if !bytes.Equal(input, again) {
		t.Fatalf("two encodings of one value:\n%x\n%x", input, again)
	}
	return true
}

func requireReject(t *testing.T, err error) {
	if wire.CodeOf(err) == "" {
		t.Fatalf("refused without a code: %v", err)
	}
}

func seed(f *testing.F, inputs ...[]byte) {
	f.Add([]byte{})
	for _, in := range inputs {
		f.Add(in)
		f.Add(in[:len(in)/2])
		f.Add(append(append([]byte{}, in...), 0))
	}
}

func FuzzMessage(f *testing.F) {
	for _, scheme := range wire.Schemes() {
		m := signed(scheme, 1, 1, 1, []byte("seed"), 32)
		seed(f, must(m.MarshalBinary()))
	}
	f.Fuzz(func(t *testing.T, input []byte) {
		var m wire.Message
		if !canonical(t, &m, input) {
			return
		}
		kept := bytes.Clone(input)
		if err := m.Verify(devnet, wire.MaxPayload); err != nil {
			requireReject(t, err)
		}
		for i := range input {
			input[i] ^= 0xff
		}
		if again, _ := m.MarshalBinary(); !bytes.Equal(again, kept) {
			t.Fatal("the message shares memory with its input")
		}
	})
}

func FuzzMessageJSON(f *testing.F) {
	for _, scheme := range wire.Schemes() {
		m := signed(scheme, 1, 1, 1, []byte("seed"), 32)
		seed(f, must(json.Marshal(m)))
	}
	f.Add([]byte(`{"scheme":"p256","key":"0x","project":"1","nonce":18446744073709551615,"time":0,"payload":"0x","signature":"0x"}`))
	f.Add([]byte(`{"a":[[[[[[[[[[1]]]]]]]]]]}`))
	f.Fuzz(func(t *testing.T, input []byte) {
		var m, again wire.Message
		if err := m.UnmarshalJSON(input); err != nil {
			requireReject(t, err)
			return
		}
		text, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		if err := again.UnmarshalJSON(text); err != nil {
			t.Fatalf("own JSON is refused: %v", err)
		}
		if must(m.ID()) != must(again.ID()) {
			t.Fatal("JSON changes the message")
		}
		var binary wire.Message
		canonical(t, &binary, must(m.MarshalBinary()))
	})
}

func FuzzBody(f *testing.F) {
	one, three := fixtureBody(1, 1), fixtureBody(2, 3)
	seed(f, must(one.MarshalBinary()), must(three.MarshalBinary()))
	f.Fuzz(func(t *testing.T, input []byte) {
		var b wire.Body
		if canonical(t, &b, input) {
			if _, err := b.Commitment(devnet, wire.MaxBatch, wire.MaxPayload); err != nil {
				requireReject(t, err)
			}
		}
	})
}

func FuzzCoinbase(f *testing.F) {
	c := wire.Coinbase{Minter: minter, Operator: operator, Beneficiary: beneficiary, Height: 3, TaskCount: 2, ExtraNonce: pattern(9, 1)}
	seed(f, must(c.Encode(devnet)))
	f.Fuzz(func(t *testing.T, input []byte) {
		parsed, err := wire.ParseCoinbase(devnet, input)
		if err != nil {
			requireReject(t, err)
			return
		}
		if again := must(parsed.Encode(devnet)); !bytes.Equal(input, again) {
			t.Fatalf("two encodings of one coinbase:\n%x\n%x", input, again)
		}
	})
}

func FuzzHeader(f *testing.F) {
	h := mined(wire.Header{Version: wire.HeaderVersion, Bits: 0x207fffff})
	raw := h.Encode()
	seed(f, raw[:])
	f.Fuzz(func(t *testing.T, input []byte) {
		header, err := wire.ParseHeader(input)
		if err != nil {
			requireReject(t, err)
			return
		}
		if again := header.Encode(); !bytes.Equal(input, again[:]) {
			t.Fatal("header changes in passing")
		}
		if err := header.CheckWork(); err != nil {
			requireReject(t, err)
		}
	})
}

func FuzzProofEnvelope(f *testing.F) {
	seed(f, must(fixtureEnvelope().MarshalBinary()))
	seed(f, must(fixtureCommitted().MarshalBinary()))
	f.Fuzz(func(t *testing.T, input []byte) {
		var e, fromJSON wire.ProofEnvelope
		if !canonical(t, &e, input) {
			return
		}
		if err := json.Unmarshal(must(json.Marshal(&e)), &fromJSON); err != nil {
			t.Fatalf("own JSON is refused: %v", err)
		}
		if again := must(fromJSON.MarshalBinary()); !bytes.Equal(input, again) {
			t.Fatal("JSON changes the envelope")
		}
	})
}

func FuzzProofEnvelopeJSON(f *testing.F) {
	seed(f, must(json.Marshal(fixtureEnvelope())))
	seed(f, must(json.Marshal(fixtureCommitted())))
	f.Fuzz(func(t *testing.T, input []byte) {
		var e wire.ProofEnvelope
		if err := e.UnmarshalJSON(input); err != nil {
			requireReject(t, err)
			return
		}
		var binary wire.ProofEnvelope
		if !canonical(t, &binary, must(e.MarshalBinary())) {
			t.Fatal("own encoding is refused")
		}
	})
}

func FuzzJob(f *testing.F) {
	seed(f, must(fixtureJob().Encode()))
	f.Fuzz(func(t *testing.T, input []byte) {
		job, err := wire.ParseJob(input)
		if err != nil {
			requireReject(t, err)
			return
		}
		encoded, err := job.Encode()
		if err != nil {
			requireReject(t, err) // escapes may make it longer than allowed
			return
		}
		again := must(wire.ParseJob(encoded))
		if !bytes.Equal(encoded, must(again.Encode())) {
			t.Fatal("job changes in passing")
		}
	})
}

func FuzzResult(f *testing.F) {
	for _, kind := range []wire.ResultKind{wire.ResultSolved, wire.ResultProved, wire.ResultFailed} {
		seed(f, must(fixtureResult(kind).Encode()))
	}
	f.Fuzz(func(t *testing.T, input []byte) {
		result, err := wire.ParseResult(input)
		if err != nil {
			requireReject(t, err)
			return
		}
		encoded, err := result.Encode()
		if err != nil {
			requireReject(t, err)
			return
		}
		again := must(wire.ParseResult(encoded))
		if !bytes.Equal(encoded, must(again.Encode())) {
			t.Fatal("result changes in passing")
		}
	})
}

// FuzzAuthorisation: whoever a changed signature recovers to, it is not the
// sequencer, unless nothing changed.
func FuzzAuthorisation(f *testing.F) {
	task, _ := fixtureTask(1, 1, 1700000000)
	sequencer := must(task.Authoriser(devnet))
	f.Add(task.Authorisation.Expiry, task.Authorisation.Signature)
	f.Add(task.Authorisation.Expiry+1, task.Authorisation.Signature)
	f.Add(uint64(0), []byte{})
	f.Fuzz(func(t *testing.T, expiry uint64, signature []byte) {
		changed := task
		changed.Authorisation = wire.Authorisation{Expiry: expiry, Signature: signature}
		signer, err := changed.Authoriser(devnet)
		if err != nil {
			requireReject(t, err)
			return
		}
		same := expiry == task.Authorisation.Expiry && bytes.Equal(signature, task.Authorisation.Signature)
		if (signer == sequencer) != same {
			t.Fatalf("%x with expiry %d recovers to %s", signature, expiry, signer)
		}
	})
}

func FuzzText(f *testing.F) {
	f.Add(devnet.Registry.String())
	f.Add(filled(3).String())
	f.Fuzz(func(t *testing.T, text string) {
		if h, err := wire.ParseHash(text); err == nil {
			if again := must(wire.ParseHash(h.String())); again != h {
				t.Fatal("hash changes in passing")
			}
		} else {
			requireReject(t, err)
		}
		if a, err := wire.ParseAddress(text); err == nil {
			if again := must(wire.ParseAddress(a.String())); again != a {
				t.Fatal("address changes in passing")
			}
		} else {
			requireReject(t, err)
		}
	})
}
