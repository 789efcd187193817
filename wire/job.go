package wire

import (
	"encoding/json"
	"net/url"
	"strings"
)

const (
	jobVersion = 1
	// MaxJobSize bounds a job in the queue: it carries names of data, not data.
	MaxJobSize = 16 << 10
	// MaxResultSize bounds a result; 300 outputs in hex need more than a job.
	MaxResultSize = 32 << 10
	maxDataURLs   = 16
	maxURL        = 512
	maxURI        = 1024 // of a bundle; the most that a project version may have
)

// Job is what a scheduler asks a worker to do: one attempt at one task. It
// travels through the queue as JSON; ParseJob is the strict reader. No time ends
// it: a late task still settles while it is nobody else's, so only the
// scheduler, which follows the chain, can say that an attempt is in vain.
type Job struct {
	// V is the envelope's version, 1.
	V          int        `json:"v"`
	Deployment Deployment `json:"deployment"`
	TaskID     Hash       `json:"task_id"`
	// Attempt counts from 1; it fences late results.
	Attempt uint32 `json:"attempt"`
	// Prover is the account that the proof is bound to.
	Prover  Address `json:"prover"`
	Project uint64  `json:"project"`
	Version uint32  `json:"version"`
	// BundleDigest is the circuit that the chain pins, BundleURI where it may be got.
	BundleDigest Hash   `json:"bundle_digest"`
	BundleURI    string `json:"bundle_uri"`
	// VKID is the verifying key that the chain pins beside the bundle, Outputs
	// how many outputs it takes: a circuit with others proves in vain.
	VKID     Hash   `json:"vk_id"`
	Outputs  uint16 `json:"outputs"`
	DataHash Hash   `json:"data_hash"`
	// DataURLs are places that serve the body, the likeliest first.
	DataURLs       []string `json:"data_urls"`
	BatchSize      uint32   `json:"batch_size"`
	PayloadLimit   uint32   `json:"payload_limit"`
	Count          uint32   `json:"count"`
	DataCommitment Hash     `json:"data_commitment"`
	// Due is when something is lost if the proof is not there: the task's
	// deadline, or the end of its offer. In seconds since 1970 by the chain's
	// clock; 0 when nothing is. It orders work, it does not end it.
	Due uint64 `json:"due,omitempty"`
	// ReplyQueue is the queue that results go to.
	ReplyQueue string `json:"reply_queue"`
}

// NewJob returns a job with its version set.
func NewJob() *Job { return &Job{V: jobVersion} }

// Encode validates the job and returns its JSON.
func (j *Job) Encode() ([]byte, error) {
	if err := j.Validate(); err != nil {
		return nil, err
	}
	whole := *j
	if whole.DataURLs == nil {
		whole.DataURLs = []string{}
	}
	return encodeBounded(whole, MaxJobSize)
}

// ParseJob reads exactly one valid job.
func ParseJob(data []byte) (*Job, error) {
	j := new(Job)
	if err := decodeStrict(data, MaxJobSize, j); err != nil {
		return nil, err
	}
	return j, j.Validate()
}

// Validate names the first field that makes the job unusable.
func (j *Job) Validate() error {
	if j.V != jobVersion {
		return reject(RejectVersion, "v", "version %d, known is %d", j.V, jobVersion)
	}
	if j.Attempt == 0 {
		return reject(RejectMalformed, "attempt", "attempts count from 1")
	}
	if _, err := j.DataCommitment.Element(); err != nil {
		return within("data_commitment", err)
	}
	if j.Deployment.ChainID == 0 || j.Deployment.Registry.IsZero() {
		return reject(RejectMalformed, "deployment", "names no registry of a chain")
	}
	if j.BatchSize == 0 || j.BatchSize > MaxBatch {
		return reject(RejectBadCount, "batch_size", "%d, allowed are 1 to %d", j.BatchSize, MaxBatch)
	}
	if j.Count == 0 || j.Count > j.BatchSize {
		return reject(RejectBadCount, "count", "%d messages in a batch of %d", j.Count, j.BatchSize)
	}
	if j.PayloadLimit == 0 || j.PayloadLimit > MaxPayload {
		return reject(RejectMalformed, "payload_limit", "%d, allowed are 1 to %d", j.PayloadLimit, MaxPayload)
	}
	if j.VKID.IsZero() {
		return reject(RejectMissingField, "vk_id", "names no verifying key")
	}
	if j.Outputs > MaxOutputs {
		return reject(RejectBadCount, "outputs", "%d outputs, the most is %d", j.Outputs, MaxOutputs)
	}
	if j.ReplyQueue == "" {
		return reject(RejectMissingField, "reply_queue", "is required")
	}
	if err := checkName("reply_queue", j.ReplyQueue); err != nil {
		return err
	}
	return j.checkURLs()
}

func (j *Job) checkURLs() error {
	if len(j.BundleURI) > maxURI {
		return reject(RejectTooBig, "bundle_uri", "has %d bytes, the most is %d", len(j.BundleURI), maxURI)
	}
	if len(j.DataURLs) > maxDataURLs {
		return reject(RejectTooBig, "data_urls", "%d of them, the most is %d", len(j.DataURLs), maxDataURLs)
	}
	for i, raw := range j.DataURLs {
		field := indexed("data_urls", i)
		if len(raw) > maxURL {
			return reject(RejectTooBig, field, "has %d bytes, the most is %d", len(raw), maxURL)
		}
		u, err := url.Parse(raw)
		if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
			return reject(RejectMalformed, field, "not an http or https URL")
		}
	}
	return nil
}

// ResultKind says what a result reports.
type ResultKind string

// The kinds of results. Solved precedes proved and lets the scheduler accept
// the task while the proof is being made.
const (
	ResultSolved ResultKind = "solved"
	ResultProved ResultKind = "proved"
	ResultFailed ResultKind = "failed"
)

// WorkError is why an attempt failed.
type WorkError struct {
	// Code is for programs, in lower_snake_case.
	Code    string `json:"code"`
	Message string `json:"message"`
	// Retry says whether another attempt may succeed.
	Retry bool `json:"retry"`
	// RetryAfter is set when the worker only lacks what is on its way, such as
	// the circuit: it could do the task in about that many seconds, and the
	// attempt does not count against the task.
	RetryAfter uint32 `json:"retry_after_s,omitempty"`
}

// MaxRetryAfter is the longest that a worker may ask for, in seconds.
const MaxRetryAfter = 3600

// Error implements error.
func (e *WorkError) Error() string { return e.Code + ": " + e.Message }

// MaxProgress bounds what is told of an attempt's progress, in bytes.
const MaxProgress = 1500

// CutProgress makes a text one that a result may have: valid UTF-8 of at most
// MaxProgress bytes.
func CutProgress(text string) string {
	if len(text) > MaxProgress {
		text = text[:MaxProgress]
	}
	return strings.ToValidUTF8(text, "")
}

// maxErrorMessage bounds what a worker may say about a failure.
const maxErrorMessage = 4096

// Result is what a worker reports about an attempt.
type Result struct {
	// V is the envelope's version, 1.
	V       int    `json:"v"`
	TaskID  Hash   `json:"task_id"`
	Attempt uint32 `json:"attempt"`
	// Worker names the reporting worker; for people.
	Worker string     `json:"worker"`
	Kind   ResultKind `json:"kind"`
	// ProofEnvelope is set when Kind is proved, Error when it is failed.
	ProofEnvelope *ProofEnvelope `json:"proof_envelope,omitempty"`
	Error         *WorkError     `json:"error,omitempty"`
	// Progress is what the attempt has come to in the words of worker and plugin,
	// the newest last; for people, at most MaxProgress bytes.
	Progress string `json:"progress,omitempty"`
	// At is when the worker reported, milliseconds since 1970 by its clock.
	At int64 `json:"at"`
}

// NewResult returns a result with its version set.
func NewResult() *Result { return &Result{V: jobVersion} }

// Encode validates the result and returns its JSON.
func (r *Result) Encode() ([]byte, error) {
	if err := r.Validate(); err != nil {
		return nil, err
	}
	return encodeBounded(r, MaxResultSize)
}

// ParseResult reads exactly one valid result.
func ParseResult(data []byte) (*Result, error) {
	r := new(Result)
	if err := decodeStrict(data, MaxResultSize, r); err != nil {
		return nil, err
	}
	return r, r.Validate()
}

// Validate names the first field that contradicts the kind.
func (r *Result) Validate() error {
	if r.V != jobVersion {
		return reject(RejectVersion, "v", "version %d, known is %d", r.V, jobVersion)
	}
	if r.Attempt == 0 {
		return reject(RejectMalformed, "attempt", "attempts count from 1")
	}
	if err := checkName("worker", r.Worker); err != nil {
		return err
	}
	if len(r.Progress) > MaxProgress {
		return reject(RejectTooBig, "progress", "has %d bytes, the most is %d", len(r.Progress), MaxProgress)
	}
	if r.At < 0 {
		return reject(RejectMalformed, "at", "%d is before 1970", r.At)
	}
	switch r.Kind {
	case ResultSolved, ResultProved, ResultFailed:
	default:
		return reject(RejectMalformed, "kind", "unknown kind %.32q", string(r.Kind))
	}
	if (r.Kind == ResultProved) != (r.ProofEnvelope != nil) {
		return reject(RejectMalformed, "proof_envelope", "stands with kind %q", ResultProved)
	}
	if (r.Kind == ResultFailed) != (r.Error != nil) {
		return reject(RejectMalformed, "error", "stands with kind %q", ResultFailed)
	}
	return r.checkParts()
}

func (r *Result) checkParts() error {
	if e := r.ProofEnvelope; e != nil {
		if err := e.Validate(); err != nil {
			return within("proof_envelope", err)
		}
		if e.TaskID != r.TaskID || e.Attempt != r.Attempt {
			return reject(RejectMalformed, "proof_envelope", "is of task %s attempt %d", e.TaskID, e.Attempt)
		}
	}
	if e := r.Error; e != nil {
		if e.Code == "" {
			return reject(RejectMissingField, "error.code", "is required")
		}
		if err := checkName("error.code", e.Code); err != nil {
			return err
		}
		if e.RetryAfter > MaxRetryAfter {
			return reject(RejectMalformed, "error.retry_after_s", "%d, the most is %d", e.RetryAfter, MaxRetryAfter)
		}
		if e.RetryAfter > 0 && !e.Retry {
			return reject(RejectMalformed, "error.retry_after_s", "stands with retry only")
		}
		if len(e.Message) > maxErrorMessage {
			return reject(RejectTooBig, "error.message", "has %d bytes, the most is %d", len(e.Message), maxErrorMessage)
		}
	}
	return nil
}

func encodeBounded(v any, limit int) ([]byte, error) {
	out, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	if len(out) > limit {
		return nil, reject(RejectTooBig, "", "has %d bytes, the most is %d", len(out), limit)
	}
	return out, nil
}
