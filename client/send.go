package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/gristmill-zk/gristmill/wire"
)

// MaxBatch is the most messages of one SendBatch; the sequencer takes no more.
const MaxBatch = 256

// maxBody is the most bytes of one request of SendBatch: below the 4 MiB that a
// sequencer takes unless its operator says otherwise. Large messages go in
// several requests.
const maxBody = 3 << 20

// Receipt says that a message is durable at the sequencer.
type Receipt struct {
	ID    wire.Hash `json:"id"`
	State State     `json:"state"`
	// Duplicate says that the sequencer had these bytes before.
	Duplicate bool `json:"duplicate"`
}

// Send sends one signed message and returns when it is durable.
func (c *Client) Send(ctx context.Context, m *wire.Message) (Receipt, error) {
	id, err := m.ID()
	if err != nil {
		return Receipt{}, err
	}
	body, err := json.Marshal(m)
	if err != nil {
		return Receipt{}, fmt.Errorf("client: encode message: %w", err)
	}
	var receipt Receipt
	if err := c.request(ctx, http.MethodPost, "/v1/messages", nil, body, &receipt); err != nil {
		return Receipt{}, err
	}
	if receipt.ID != id {
		return Receipt{}, fmt.Errorf("client: sent %s, taken was %s: %w", id, receipt.ID, ErrWrongAnswer)
	}
	return receipt, nil
}

// SendResult is the outcome for one message of a batch.
type SendResult struct {
	Receipt
	// Err is nil when the message is durable; an *Error when it was refused.
	Err error
}

// batchEntry is the sequencer's answer to one message of an array.
type batchEntry struct {
	Status    int             `json:"status"`
	ID        wire.Hash       `json:"id"`
	State     State           `json:"state"`
	Duplicate bool            `json:"duplicate"`
	Code      wire.RejectCode `json:"code"`
	Field     string          `json:"field"`
	Detail    string          `json:"detail"`
}

// SendBatch sends up to MaxBatch signed messages together. Results stand in
// the order of msgs and are there even beside an error, which says that the
// sequencer could not be asked to the end: what has no receipt then is not
// known to be durable. Messages refused for load are sent again, alone.
func (c *Client) SendBatch(ctx context.Context, msgs []*wire.Message) ([]SendResult, error) {
	if len(msgs) == 0 || len(msgs) > MaxBatch {
		return nil, fmt.Errorf("client: batch of %d messages, allowed are 1 to %d", len(msgs), MaxBatch)
	}
	results, open := make([]SendResult, len(msgs)), make([]int, len(msgs))
	for i, m := range msgs {
		id, err := m.ID()
		if err != nil {
			return nil, fmt.Errorf("client: message %d: %w", i, err)
		}
		results[i].ID, open[i] = id, i
	}
	for attempt := 1; ; attempt++ {
		var err error
		if open, err = c.sendOpen(ctx, msgs, results, open); err != nil {
			return results, err
		}
		if len(open) == 0 || attempt >= c.cfg.Attempts {
			return results, nil
		}
		if err := wait(ctx, c.delay(attempt, results[open[0]].Err)); err != nil {
			return results, err
		}
	}
}

// sendOpen sends the open messages once, in order and in as many requests as
// their bytes take, stores their outcomes and returns those that are worth
// another try.
func (c *Client) sendOpen(ctx context.Context, msgs []*wire.Message, results []SendResult, open []int) (again []int, err error) {
	for len(open) > 0 {
		body, n, err := packBatch(msgs, open)
		if err == nil {
			err = c.sendPart(ctx, body, results, open[:n])
		}
		if err != nil {
			for _, i := range open {
				results[i].Err = err
			}
			return append(again, open...), err
		}
		for _, i := range open[:n] {
			if mayHelpAlone(results[i].Err) {
				again = append(again, i)
			}
		}
		open = open[n:]
	}
	return again, nil
}

// packBatch is the JSON array of the first n open messages, as many as fit.
func packBatch(msgs []*wire.Message, open []int) (body []byte, n int, err error) {
	body = []byte{'['}
	for _, i := range open {
		one, err := json.Marshal(msgs[i])
		if err != nil {
			return nil, 0, fmt.Errorf("client: encode message: %w", err)
		}
		if n > 0 && len(body)+len(one)+2 > maxBody {
			break
		}
		if n > 0 {
			body = append(body, ',')
		}
		body, n = append(body, one...), n+1
	}
	return append(body, ']'), n, nil
}

func (c *Client) sendPart(ctx context.Context, body []byte, results []SendResult, part []int) error {
	var answer struct {
		Results []batchEntry `json:"results"`
	}
	if err := c.request(ctx, http.MethodPost, "/v1/messages", nil, body, &answer); err != nil {
		return err
	}
	if len(answer.Results) != len(part) {
		return fmt.Errorf("client: %d answers to %d messages: %w", len(answer.Results), len(part), ErrWrongAnswer)
	}
	for at, i := range part {
		results[i].take(answer.Results[at])
	}
	return nil
}

func (r *SendResult) take(e batchEntry) {
	switch {
	case e.Status/100 != 2:
		r.Err = &Error{Status: e.Status, Code: e.Code, Field: e.Field, Detail: e.Detail}
	case e.ID != r.ID:
		r.Err = fmt.Errorf("client: sent %s, taken was %s: %w", r.ID, e.ID, ErrWrongAnswer)
	default:
		r.State, r.Duplicate, r.Err = e.State, e.Duplicate, nil
	}
}

func mayHelpAlone(err error) bool {
	var refused *Error
	return errors.As(err, &refused) && refused.Retryable()
}
