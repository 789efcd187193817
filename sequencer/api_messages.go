package sequencer

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/gristmill-zk/gristmill/wire"
)

// messageForm documents the JSON form of a message; wire.Message decodes it.
type messageForm struct {
	Scheme    string `json:"scheme" enum:"eddsa-bn254,secp256k1,p256,ed25519"`
	Key       string `json:"key" pattern:"^0x([0-9a-fA-F]{2})*$" doc:"The device's public key."`
	Project   number `json:"project" doc:"The project's number."`
	Nonce     number `json:"nonce" doc:"Above the device's last nonce in the project."`
	Time      number `json:"time" doc:"The device's clock, milliseconds since 1970."`
	Payload   string `json:"payload" pattern:"^0x([0-9a-fA-F]{2})*$"`
	Signature string `json:"signature" pattern:"^0x([0-9a-fA-F]{2})*$"`
}

// number documents an unsigned number of 64 bits, which may come as a decimal
// string: numbers of some clients end at 2^53.
type number uint64

// Schema implements huma.SchemaProvider.
func (number) Schema(huma.Registry) *huma.Schema {
	least := 0.0
	return &huma.Schema{OneOf: []*huma.Schema{
		{Type: huma.TypeInteger, Minimum: &least}, {Type: huma.TypeString, Pattern: "^[0-9]{1,20}$"},
	}}
}

// MessageAnswer is the answer to one message that was taken.
type MessageAnswer struct {
	ID        wire.Hash `json:"id" doc:"SHA-256 of the message's encoding."`
	State     string    `json:"state" enum:"pending,batched,mined,settled,refused"`
	Duplicate bool      `json:"duplicate" doc:"The same bytes were taken before."`
}

// MessageResult is the answer to one message of an array.
type MessageResult struct {
	Status    int             `json:"status" doc:"The HTTP status this message alone would have got."`
	ID        *wire.Hash      `json:"id,omitempty"`
	State     string          `json:"state,omitempty"`
	Duplicate bool            `json:"duplicate,omitempty"`
	Code      wire.RejectCode `json:"code,omitempty"`
	Field     string          `json:"field,omitempty"`
	Detail    string          `json:"detail,omitempty"`
}

type messagesAnswer struct {
	Results []MessageResult `json:"results" doc:"One per message, in order."`
}

type messagesOutput struct {
	Status int
	Body   any
}

func (s *Sequencer) registerMessages(api huma.API) {
	one, most := schemaOf[messageForm](api), maxArray
	op := huma.Operation{
		OperationID: "send-messages", Method: http.MethodPost, Path: "/v1/messages",
		Summary: "Send one message, or an array of them",
		Description: "A message that is answered 200 or 202 is on disk. Of an array each message is answered for itself: " +
			"202 when all were taken, else 207.",
		Middlewares: huma.Middlewares{withBody(s.cfg.MaxBody, s.bodies)},
		RequestBody: jsonBody("A message or an array of messages.", &huma.Schema{
			OneOf: []*huma.Schema{one, {Type: huma.TypeArray, Items: one, MaxItems: &most}},
		}),
		Responses: map[string]*huma.Response{
			"200": jsonResponse("Taken before", schemaOf[MessageAnswer](api)),
			"202": jsonResponse("Taken", &huma.Schema{OneOf: []*huma.Schema{schemaOf[MessageAnswer](api), schemaOf[messagesAnswer](api)}}),
			"207": jsonResponse("Not all of the array were taken", schemaOf[messagesAnswer](api)),
		},
		DefaultStatus: http.StatusAccepted,
	}
	documentProblems(api, &op, 400, 401, 402, 403, 405, 408, 409, 413, 415, 429, 503)
	huma.Register(api, op, func(ctx context.Context, _ *struct{}) (*messagesOutput, error) {
		out, err := s.postMessages(ctx, bodyFrom(ctx))
		if err != nil {
			return nil, problemOf(err)
		}
		return out, nil
	})
	requireBody(api, "/v1/messages")
}

func jsonResponse(description string, schema *huma.Schema) *huma.Response {
	return &huma.Response{Description: description, Content: map[string]*huma.MediaType{"application/json": {Schema: schema}}}
}

func (s *Sequencer) postMessages(ctx context.Context, body []byte) (*messagesOutput, error) {
	if trimmed := bytes.TrimLeft(body, " \t\r\n"); len(trimmed) > 0 && trimmed[0] == '[' {
		return s.postArray(ctx, body)
	}
	m := new(wire.Message)
	if err := m.UnmarshalJSON(body); err != nil {
		return nil, err
	}
	a := s.Accept(ctx, m)[0]
	if a.Err != nil {
		return nil, s.answerable(ctx, a.Err)
	}
	status := http.StatusAccepted
	if a.Duplicate {
		status = http.StatusOK
	}
	return &messagesOutput{status, MessageAnswer{a.ID, a.State, a.Duplicate}}, nil
}

// answerable logs what is not the client's fault.
func (s *Sequencer) answerable(ctx context.Context, err error) error {
	var p *Problem
	if errors.As(err, &p) {
		return err
	}
	if code := wire.CodeOf(err); code == "" || code == wire.RejectUnavailable {
		return s.failed(ctx, err)
	}
	return err
}

func (s *Sequencer) postArray(ctx context.Context, body []byte) (*messagesOutput, error) {
	raw, err := splitArray(body)
	if err != nil {
		return nil, err
	}
	results := make([]MessageResult, len(raw))
	var msgs []*wire.Message
	var at []int
	for i := range raw {
		m := new(wire.Message)
		if err := m.UnmarshalJSON(raw[i]); err != nil {
			results[i] = refusedResult(err)
			continue
		}
		msgs, at = append(msgs, m), append(at, i)
	}
	if len(msgs) > 0 {
		for j, a := range s.Accept(ctx, msgs...) {
			if a.Err != nil {
				results[at[j]] = refusedResult(s.answerable(ctx, a.Err))
			} else {
				results[at[j]] = takenResult(a)
			}
		}
	}
	return &messagesOutput{arrayStatus(results), messagesAnswer{results}}, nil
}

// splitArray finds the array's elements without looking into them.
func splitArray(body []byte) ([]json.RawMessage, error) {
	dec := json.NewDecoder(bytes.NewReader(body))
	var raw []json.RawMessage
	if err := dec.Decode(&raw); err != nil {
		if errors.Is(err, io.ErrUnexpectedEOF) {
			return nil, refuse(wire.RejectTruncated, "", "JSON ends early")
		}
		return nil, refuse(wire.RejectMalformed, "", "not JSON: %v", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, refuse(wire.RejectTrailing, "", "bytes after the JSON value")
	}
	if len(raw) == 0 || len(raw) > maxArray {
		return nil, refuse(wire.RejectBadCount, "", "%d messages, allowed are 1 to %d", len(raw), maxArray)
	}
	return raw, nil
}

func arrayStatus(results []MessageResult) int {
	for _, r := range results {
		if r.Status >= 300 {
			return http.StatusMultiStatus
		}
	}
	return http.StatusAccepted
}

func takenResult(a Accepted) MessageResult {
	status := http.StatusAccepted
	if a.Duplicate {
		status = http.StatusOK
	}
	return MessageResult{Status: status, ID: &a.ID, State: a.State, Duplicate: a.Duplicate}
}

func refusedResult(err error) MessageResult {
	p := problemOf(err)
	return MessageResult{Status: p.Status, Code: p.Code, Field: p.Field, Detail: p.Detail}
}
