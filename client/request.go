package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"time"

	"github.com/gristmill-zk/gristmill/wire"
)

// maxAnswer bounds what is read of an answer.
const maxAnswer = 16 << 20

// request makes one request, again and again while that may help, and decodes
// the answer into out.
func (c *Client) request(ctx context.Context, method, path string, query url.Values, body []byte, out any) error {
	for attempt := 1; ; attempt++ {
		err := c.once(ctx, method, path, query, body, out)
		if err == nil || ctx.Err() != nil || !mayHelp(err) || attempt >= c.cfg.Attempts {
			return err
		}
		delay := c.delay(attempt, err)
		c.cfg.Logger.DebugContext(ctx, "request again", "method", method, "path", path, "attempt", attempt, "delay", delay, "error", err)
		if waitErr := wait(ctx, delay); waitErr != nil {
			return fmt.Errorf("%w (last failure: %w)", waitErr, err)
		}
	}
}

// mayHelp says whether a failed request may succeed when it is made again.
func mayHelp(err error) bool {
	var refused *Error
	if errors.As(err, &refused) {
		return refused.Retryable()
	}
	return !errors.Is(err, ErrWrongAnswer)
}

func (c *Client) delay(attempt int, err error) time.Duration {
	var refused *Error
	if errors.As(err, &refused) && refused.RetryAfter > 0 {
		return min(refused.RetryAfter, c.cfg.MaxDelay)
	}
	delay := c.cfg.MaxDelay
	if shift := attempt - 1; shift < 30 {
		delay = min(c.cfg.MinDelay<<shift, c.cfg.MaxDelay)
	}
	return delay/2 + rand.N(delay/2+1)
}

func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

func (c *Client) once(ctx context.Context, method, path string, query url.Values, body []byte, out any) error {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	target := c.base.JoinPath(path)
	target.RawQuery = query.Encode()
	req, err := http.NewRequestWithContext(ctx, method, target.String(), bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("client: %w", err)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.cfg.HTTP.Do(req)
	if err != nil {
		return fmt.Errorf("client: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("client: read answer to %s %s: %w", method, path, err)
	}
	if resp.StatusCode/100 != 2 {
		return refusal(resp, answer)
	}
	if err := json.Unmarshal(answer, out); err != nil {
		return fmt.Errorf("client: %s %s: %w: %w", method, path, ErrWrongAnswer, err)
	}
	return nil
}

// refusal reads problem+json; an answer from something in between, which has
// none, keeps its status.
func refusal(resp *http.Response, answer []byte) error {
	refused := &Error{Status: resp.StatusCode, RetryAfter: retryAfter(resp.Header)}
	var problem struct {
		Code   wire.RejectCode `json:"code"`
		Field  string          `json:"field"`
		Detail string          `json:"detail"`
	}
	if json.Unmarshal(answer, &problem) == nil && problem.Code != "" {
		refused.Code, refused.Field, refused.Detail = problem.Code, problem.Field, problem.Detail
		return refused
	}
	refused.Code, refused.Detail = codeOfStatus(resp.StatusCode), "HTTP status "+resp.Status
	return refused
}

func codeOfStatus(status int) wire.RejectCode {
	switch {
	case status == http.StatusTooManyRequests:
		return wire.RejectOverloaded
	case status == http.StatusNotFound:
		return wire.RejectNotFound
	case status >= 500:
		return wire.RejectUnavailable
	default:
		return wire.RejectMalformed
	}
}
