package wire

import (
	"encoding/binary"
	"encoding/json"
	"math"
)

const (
	envelopeVersion = 1
	// envelopeCommitted is the version of an envelope whose proof has a
	// commitment.
	envelopeCommitted = 2
	curveBN254        = 1
	// CurveBN254 is the one curve of proofs so far.
	CurveBN254 = "bn254"
	// MaxOutputs is the most outputs a circuit may have.
	MaxOutputs = 300
	// maxName bounds engine and worker names.
	maxName = 128
)

// ProofEnvelope is a proof with what it takes to check and to account for it.
//
// Binary: version u8 ‖ taskId 32 ‖ attempt u32 ‖ prover 20 ‖ curve u8 = 1 ‖
// proof 8 × 32 or 12 × 32 ‖ outputCount u16 ‖ outputs × 32 ‖ bundleDigest 32 ‖
// vkId 32 ‖ engineLen u8 ‖ engine ‖ solve, prove and verify milliseconds as IEEE
// 754 doubles. The version is 1 for a proof of 8 words, 2 for one of 12.
type ProofEnvelope struct {
	TaskID  Hash    `json:"task_id"`
	Attempt uint32  `json:"attempt"`
	Prover  Address `json:"prover"`
	Curve   string  `json:"curve"`
	Proof   Proof   `json:"proof"`
	// Outputs are the public inputs after binding and data commitment.
	Outputs []Hash `json:"outputs"`
	// BundleDigest names the circuit, VKID the key that the proof verifies under.
	BundleDigest Hash `json:"bundle_digest"`
	VKID         Hash `json:"vk_id"`
	// Engine says what made the proof; for people.
	Engine   string  `json:"engine"`
	SolveMS  float64 `json:"solve_ms"`
	ProveMS  float64 `json:"prove_ms"`
	VerifyMS float64 `json:"verify_ms"`
}

// Validate checks everything but the proof equation: that needs the key.
func (e *ProofEnvelope) Validate() error {
	if e.Curve != CurveBN254 {
		return reject(RejectMalformed, "curve", "%.32q, known is %q", e.Curve, CurveBN254)
	}
	if len(e.Outputs) > MaxOutputs {
		return reject(RejectBadCount, "outputs", "%d outputs, the most is %d", len(e.Outputs), MaxOutputs)
	}
	for i, out := range e.Outputs {
		if _, err := out.Element(); err != nil {
			return within(indexed("outputs", i), err)
		}
	}
	if _, err := e.Proof.Points(); err != nil {
		return err
	}
	if err := checkName("engine", e.Engine); err != nil {
		return err
	}
	for field, ms := range map[string]float64{"solve_ms": e.SolveMS, "prove_ms": e.ProveMS, "verify_ms": e.VerifyMS} {
		if math.IsNaN(ms) || math.IsInf(ms, 0) || ms < 0 || math.Signbit(ms) {
			return reject(RejectMalformed, field, "%v is no duration", ms)
		}
	}
	return nil
}

// MarshalBinary returns the binary form of a valid envelope.
func (e *ProofEnvelope) MarshalBinary() ([]byte, error) {
	if err := e.Validate(); err != nil {
		return nil, err
	}
	out := []byte{envelopeVersion}
	if e.Proof.Committed() {
		out[0] = envelopeCommitted
	}
	out = append(out, e.TaskID[:]...)
	out = binary.BigEndian.AppendUint32(out, e.Attempt)
	out = append(out, e.Prover[:]...)
	out = append(out, curveBN254)
	for _, word := range e.Proof.words() {
		out = append(out, word[:]...)
	}
	out = binary.BigEndian.AppendUint16(out, uint16(len(e.Outputs)))
	for i := range e.Outputs {
		out = append(out, e.Outputs[i][:]...)
	}
	out = append(out, e.BundleDigest[:]...)
	out = append(out, e.VKID[:]...)
	out = append(out, uint8(len(e.Engine)))
	out = append(out, e.Engine...)
	for _, ms := range []float64{e.SolveMS, e.ProveMS, e.VerifyMS} {
		out = binary.BigEndian.AppendUint64(out, math.Float64bits(ms))
	}
	return out, nil
}

// UnmarshalBinary reads exactly one valid envelope.
func (e *ProofEnvelope) UnmarshalBinary(data []byte) error {
	r := &reader{rest: data}
	words := plainWords
	if len(data) > 0 && data[0] == envelopeCommitted {
		words = committedWords
		r.version(envelopeCommitted)
	} else {
		r.version(envelopeVersion)
	}
	decoded := ProofEnvelope{
		TaskID:  r.hash("task_id"),
		Attempt: r.u32("attempt"),
		Prover:  r.address("prover"),
		Curve:   CurveBN254,
	}
	if curve := r.u8("curve"); r.err == nil && curve != curveBN254 {
		return reject(RejectMalformed, "curve", "number %d, known is %d", curve, curveBN254)
	}
	for i := range words {
		decoded.Proof[i] = r.hash("proof")
	}
	if r.err == nil && words == committedWords && !decoded.Proof.Committed() {
		return reject(RejectBadPoint, "proof.commitment", "not a point of the curve")
	}
	count := int(r.u16("outputs"))
	if r.err == nil && count > MaxOutputs {
		return reject(RejectBadCount, "outputs", "%d outputs, the most is %d", count, MaxOutputs)
	}
	decoded.Outputs = make([]Hash, 0, min(count, MaxOutputs))
	for i := 0; i < count && r.err == nil; i++ {
		decoded.Outputs = append(decoded.Outputs, r.hash(indexed("outputs", i)))
	}
	decoded.BundleDigest = r.hash("bundle_digest")
	decoded.VKID = r.hash("vk_id")
	decoded.Engine = string(r.take("engine", int(r.u8("engine"))))
	decoded.SolveMS = math.Float64frombits(r.u64("solve_ms"))
	decoded.ProveMS = math.Float64frombits(r.u64("prove_ms"))
	decoded.VerifyMS = math.Float64frombits(r.u64("verify_ms"))
	if err := r.end(); err != nil {
		return err
	}
	if err := decoded.Validate(); err != nil {
		return err
	}
	*e = decoded
	return nil
}

// plainEnvelope has the fields without the methods.
type plainEnvelope ProofEnvelope

// UnmarshalJSON reads exactly one valid envelope with no unknown members.
func (e *ProofEnvelope) UnmarshalJSON(data []byte) error {
	var decoded plainEnvelope
	if err := decodeStrict(data, MaxResultSize, &decoded); err != nil {
		return err
	}
	candidate := ProofEnvelope(decoded)
	if err := candidate.Validate(); err != nil {
		return err
	}
	*e = candidate
	return nil
}

// MarshalJSON writes a valid envelope.
func (e *ProofEnvelope) MarshalJSON() ([]byte, error) {
	if err := e.Validate(); err != nil {
		return nil, err
	}
	plain := plainEnvelope(*e)
	if plain.Outputs == nil {
		plain.Outputs = []Hash{}
	}
	return json.Marshal(plain)
}

func checkName(field, name string) error {
	if len(name) > maxName {
		return reject(RejectTooBig, field, "has %d bytes, the most is %d", len(name), maxName)
	}
	for _, c := range name {
		if c < 0x20 || c > 0x7e {
			return reject(RejectMalformed, field, "has a character that is not printable ASCII")
		}
	}
	return nil
}
