package sequencer

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"github.com/gristmill-zk/gristmill/wire"
)

// Codes of this API that no message is ever refused with.
const (
	// codeStaleJob is a solution of a job that is over (409).
	codeStaleJob wire.RejectCode = "stale_job"
	// codeMethod is a method that the resource does not have (405).
	codeMethod wire.RejectCode = "wrong_method"
	// codeTimeout is a request body that did not come in time (408).
	codeTimeout wire.RejectCode = "request_timeout"
)

// Problem is an error answer: RFC 9457's application/problem+json.
type Problem struct {
	Type   string          `json:"type" doc:"Always about:blank: code says what happened."`
	Title  string          `json:"title" doc:"The status in words."`
	Status int             `json:"status" doc:"The HTTP status."`
	Detail string          `json:"detail" doc:"What is wrong, for people."`
	Code   wire.RejectCode `json:"code" doc:"What is wrong, for programs."`
	Field  string          `json:"field,omitempty" doc:"The field that was refused."`
}

// Error implements error.
func (p *Problem) Error() string { return p.Detail }

// GetStatus implements huma.StatusError.
func (p *Problem) GetStatus() int { return p.Status }

// ContentType implements huma.ContentTypeFilter.
func (p *Problem) ContentType(string) string { return "application/problem+json" }

// GetHeaders implements huma.HeadersError.
func (p *Problem) GetHeaders() http.Header {
	h := http.Header{}
	if p.Status == http.StatusTooManyRequests || p.Status == http.StatusServiceUnavailable {
		h.Set("Retry-After", strconv.Itoa(retryAfter))
	}
	return h
}

// retryAfter is the pause, in seconds, that an overloaded server asks for.
const retryAfter = 1

func problem(status int, code wire.RejectCode, field, detail string) *Problem {
	return &Problem{Type: "about:blank", Title: http.StatusText(status), Status: status, Detail: detail, Code: code, Field: field}
}

// problemOf turns any error into an answer. What is no refusal of ours is not
// shown to the client.
func problemOf(err error) *Problem {
	var p *Problem
	if errors.As(err, &p) {
		return p
	}
	var r *wire.Reject
	if errors.As(err, &r) {
		detail := r.Msg
		if r.Field != "" {
			detail = r.Field + ": " + r.Msg
		}
		return problem(r.Code.HTTPStatus(), r.Code, r.Field, detail)
	}
	return problem(http.StatusServiceUnavailable, wire.RejectUnavailable, "", "the server could not do this now; try again")
}

func (p *Problem) write(w http.ResponseWriter) {
	for k, v := range p.GetHeaders() {
		w.Header()[k] = v
	}
	w.Header().Set("Content-Type", p.ContentType(""))
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p) // the client went away
}

func refuse(code wire.RejectCode, field, format string, args ...any) *wire.Reject {
	return &wire.Reject{Code: code, Field: field, Msg: fmt.Sprintf(format, args...)}
}

// unavailable keeps the cause for the log and hides it from the client.
func unavailable(cause error) error {
	return fmt.Errorf("%w (%w)", refuse(wire.RejectUnavailable, "", "the chain could not be asked; try again"), cause)
}
