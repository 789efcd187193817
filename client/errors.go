package client

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/gristmill-zk/gristmill/wire"
)

// ErrWrongAnswer is a sequencer that answered with success but not to what was asked.
var ErrWrongAnswer = errors.New("the sequencer's answer does not belong to the request")

// Error is a refusal by the sequencer. errors.As also finds a *wire.Reject in it.
type Error struct {
	// Status is the HTTP status.
	Status int
	// Code says why; wire has the list.
	Code wire.RejectCode
	// Field is the refused field, if one is to blame.
	Field string
	// Detail is for people.
	Detail string
	// RetryAfter is the pause that the sequencer asked for, 0 if it did not.
	RetryAfter time.Duration
}

// Error implements error.
func (e *Error) Error() string {
	if e.Field != "" {
		return fmt.Sprintf("sequencer: %s (%s): %s", e.Code, e.Field, e.Detail)
	}
	return fmt.Sprintf("sequencer: %s: %s", e.Code, e.Detail)
}

// Unwrap gives the refusal as wire's error, so wire.CodeOf works.
func (e *Error) Unwrap() error {
	return &wire.Reject{Code: e.Code, Field: e.Field, Msg: e.Detail}
}

// Retryable says whether the same bytes may be accepted later.
func (e *Error) Retryable() bool {
	return e.Status == http.StatusTooManyRequests || e.Status == http.StatusRequestTimeout || e.Status >= 500
}

func retryAfter(h http.Header) time.Duration {
	value := h.Get("Retry-After")
	if seconds, err := strconv.ParseUint(value, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	return 0
}
