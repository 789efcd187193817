package wire

import (
	"errors"
	"fmt"
)

// RejectCode says why bytes from outside were refused. The strings are part of
// the HTTP API and of the protocol: they never change meaning.
type RejectCode string

// Codes that decoding and checking in this package give.
const (
	// RejectMalformed is a value that no encoder of ours would have written.
	RejectMalformed RejectCode = "malformed"
	// RejectTruncated is an input that ends inside a field.
	RejectTruncated RejectCode = "truncated"
	// RejectTrailing is an input that goes on after its last field.
	RejectTrailing RejectCode = "trailing_bytes"
	// RejectVersion is an encoding version this code does not know.
	RejectVersion RejectCode = "unsupported_version"
	// RejectUnknownField is a JSON member that the form does not have.
	RejectUnknownField RejectCode = "unknown_field"
	// RejectMissingField is a JSON member that the form requires.
	RejectMissingField RejectCode = "missing_field"
	// RejectUnknownScheme is a signature scheme this code does not know.
	RejectUnknownScheme RejectCode = "unknown_scheme"
	// RejectBadKey is a device key that is no canonical, usable public key.
	RejectBadKey RejectCode = "bad_key"
	// RejectBadSignature is a signature that does not verify, or is not in
	// the one form that is accepted (low s, canonical points).
	RejectBadSignature RejectCode = "bad_signature"
	// RejectPayloadTooLong is a payload above the project version's limit.
	RejectPayloadTooLong RejectCode = "payload_too_long"
	// RejectTooBig is an input above the size that is read at all.
	RejectTooBig RejectCode = "too_big"
	// RejectNotField is a number that is not below the field's modulus.
	RejectNotField RejectCode = "not_a_field_element"
	// RejectWrongProject is a message that stands in another project's body.
	RejectWrongProject RejectCode = "wrong_project"
	// RejectBadCount is a count of zero, or above the batch size.
	RejectBadCount RejectCode = "bad_count"
	// RejectBadBits is a compact target that is negative, zero or above 256 bits.
	RejectBadBits RejectCode = "bad_bits"
	// RejectBadHeaderVersion is a header version with other than BIP320's bits changed.
	RejectBadHeaderVersion RejectCode = "bad_header_version"
	// RejectNotEnoughWork is a header whose hash is above its target.
	RejectNotEnoughWork RejectCode = "not_enough_work"
	// RejectWrongDeployment is a coinbase that commits to another deployment.
	RejectWrongDeployment RejectCode = "wrong_deployment"
	// RejectBadAuthorisation is a task authorisation nobody signed.
	RejectBadAuthorisation RejectCode = "bad_authorisation"
	// RejectWrongData is a body that is not the one a task commits to.
	RejectWrongData RejectCode = "wrong_data"
	// RejectBadPoint is a curve point off its curve or out of its subgroup.
	RejectBadPoint RejectCode = "bad_point"
)

// Codes that only the sequencer's API gives: it alone knows projects, nonces
// and its own load. They stand here because the client reads them.
const (
	// RejectUnknownProject is a project that the chain does not have.
	RejectUnknownProject RejectCode = "unknown_project"
	// RejectDeviceNotAllowed is a device that the project has not listed.
	RejectDeviceNotAllowed RejectCode = "device_not_allowed"
	// RejectStaleNonce is a nonce not above the device's last, with other content.
	RejectStaleNonce RejectCode = "stale_nonce"
	// RejectProjectPaused is a project whose owner paused it.
	RejectProjectPaused RejectCode = "project_paused"
	// RejectOutOfFunds is a project whose escrow cannot pay for another task.
	RejectOutOfFunds RejectCode = "out_of_funds"
	// RejectContentType is a request that does not say it is JSON.
	RejectContentType RejectCode = "wrong_content_type"
	// RejectNotFound is a message, task, project or body nobody here knows.
	RejectNotFound RejectCode = "not_found"
	// RejectOverloaded asks to come back after the time in Retry-After.
	RejectOverloaded RejectCode = "overloaded"
	// RejectUnavailable is a fault on the server's side; the request may be repeated.
	RejectUnavailable RejectCode = "unavailable"
)

// rejectStatus is the one place where codes become HTTP statuses.
var rejectStatus = map[RejectCode]int{
	RejectMalformed:        400,
	RejectTruncated:        400,
	RejectTrailing:         400,
	RejectVersion:          400,
	RejectUnknownField:     400,
	RejectMissingField:     400,
	RejectUnknownScheme:    400,
	RejectBadKey:           400,
	RejectBadSignature:     401,
	RejectPayloadTooLong:   400,
	RejectTooBig:           413,
	RejectNotField:         400,
	RejectWrongProject:     400,
	RejectBadCount:         400,
	RejectBadBits:          400,
	RejectBadHeaderVersion: 400,
	RejectNotEnoughWork:    400,
	RejectWrongDeployment:  400,
	RejectBadAuthorisation: 401,
	RejectWrongData:        400,
	RejectBadPoint:         400,
	RejectUnknownProject:   403,
	RejectDeviceNotAllowed: 403,
	RejectStaleNonce:       409,
	RejectProjectPaused:    402,
	RejectOutOfFunds:       402,
	RejectContentType:      415,
	RejectNotFound:         404,
	RejectOverloaded:       429,
	RejectUnavailable:      503,
}

// RejectCodes returns every code, in no order.
func RejectCodes() []RejectCode {
	codes := make([]RejectCode, 0, len(rejectStatus))
	for code := range rejectStatus {
		codes = append(codes, code)
	}
	return codes
}

// HTTPStatus is the status an HTTP API answers with for this code; 400 for a
// code it does not know.
func (c RejectCode) HTTPStatus() int {
	if status, ok := rejectStatus[c]; ok {
		return status
	}
	return 400
}

// Retryable says whether the same bytes may be accepted later.
func (c RejectCode) Retryable() bool {
	return c == RejectOverloaded || c == RejectUnavailable
}

// Reject is the refusal of bytes from outside.
type Reject struct {
	// Code is what a program decides on.
	Code RejectCode
	// Field names the field that was refused, in dotted path form, or is empty.
	Field string
	// Msg is for people; its wording may change.
	Msg string
}

// Error implements error.
func (r *Reject) Error() string {
	if r.Field == "" {
		return fmt.Sprintf("%s: %s", r.Code, r.Msg)
	}
	return fmt.Sprintf("%s: %s: %s", r.Code, r.Field, r.Msg)
}

// Is makes errors.Is(err, &Reject{Code: c}) ask for the code alone.
func (r *Reject) Is(target error) bool {
	t, ok := target.(*Reject)
	return ok && t.Code == r.Code && (t.Field == "" || t.Field == r.Field)
}

// CodeOf returns the code of the first Reject in err's chain, "" when there is none.
func CodeOf(err error) RejectCode {
	var r *Reject
	if errors.As(err, &r) {
		return r.Code
	}
	return ""
}

func reject(code RejectCode, field, format string, args ...any) *Reject {
	return &Reject{Code: code, Field: field, Msg: fmt.Sprintf(format, args...)}
}

// within puts a path in front of the field that a nested decoder named.
func within(path string, err error) error {
	var r *Reject
	if !errors.As(err, &r) {
		return fmt.Errorf("%s: %w", path, err)
	}
	field := path
	if r.Field != "" {
		field += "." + r.Field
	}
	return &Reject{Code: r.Code, Field: field, Msg: r.Msg}
}
