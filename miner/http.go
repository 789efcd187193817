package miner

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/gristmill-zk/gristmill/wire"
)

// WorkAnswer is the mining API's answer to GET /v1/mining/work.
type WorkAnswer struct {
	ID     string `json:"id" doc:"Name of the job; empty when there is nothing to mine at the moment."`
	Header string `json:"header,omitempty" doc:"The 80 header bytes in hex. The nonce and the BIP320 version bits are free."`
	Height uint64 `json:"height,omitempty" doc:"Height of the block."`
}

// SubmitRequest is the body of POST /v1/mining/submit.
type SubmitRequest struct {
	JobID  string `json:"job_id" doc:"The job that was solved."`
	Header string `json:"header" doc:"The solved 80 header bytes in hex."`
}

// SubmitAnswer is the mining API's answer to a solution it took.
type SubmitAnswer struct {
	Block string `json:"block" doc:"Hash of the block, as Bitcoin shows hashes."`
}

const (
	longPoll   = 25 * time.Second // how long the server may hold a work request
	answerMost = 64 << 10         // bytes of an answer that are read
)

// HTTPSource is a Source behind a sequencer's mining API.
type HTTPSource struct {
	base   *url.URL
	client *http.Client
}

// NewHTTPSource takes the API's base URL, as in http://127.0.0.1:8081. A nil
// client means one with sane timeouts.
func NewHTTPSource(base string, client *http.Client) (*HTTPSource, error) {
	u, err := url.Parse(base)
	if err != nil {
		return nil, fmt.Errorf("miner: source URL: %w", err)
	}
	if (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return nil, fmt.Errorf("miner: source URL %q is not http(s)://host", base)
	}
	if client == nil {
		client = &http.Client{Timeout: longPoll + 15*time.Second}
	}
	return &HTTPSource{base: u, client: client}, nil
}

// Work implements Source with a long poll.
func (h *HTTPSource) Work(ctx context.Context, have string) (Job, error) {
	for {
		q := url.Values{"have": {have}, "wait": {fmt.Sprint(int(longPoll / time.Second))}}
		var a WorkAnswer
		status, err := h.call(ctx, http.MethodGet, "v1/mining/work", q, nil, &a)
		if err != nil {
			return Job{}, fmt.Errorf("miner: work: %w", err)
		}
		if status == http.StatusNoContent {
			if err := ctx.Err(); err != nil {
				return Job{}, err
			}
			continue
		}
		job, err := a.job()
		if err != nil {
			return Job{}, fmt.Errorf("miner: work: %w", err)
		}
		return job, nil
	}
}

func (a WorkAnswer) job() (Job, error) {
	if a.ID == "" {
		return Job{}, nil
	}
	header, err := decodeHeader(a.Header)
	if err != nil {
		return Job{}, fmt.Errorf("bad answer of the source: %w", err)
	}
	target, err := wire.CompactToTarget(header.Bits)
	if err != nil {
		return Job{}, fmt.Errorf("bad answer of the source: nBits %#08x: %w", header.Bits, err)
	}
	return Job{ID: a.ID, Header: header, Target: target}, nil
}

func decodeHeader(s string) (wire.Header, error) {
	raw, err := hex.DecodeString(strings.TrimPrefix(s, "0x"))
	if err != nil {
		return wire.Header{}, fmt.Errorf("header: %w", err)
	}
	return wire.ParseHeader(raw)
}

// Answer is the form in which the mining API sends a job.
func (j Job) Answer(height uint64) WorkAnswer {
	if j.ID == "" {
		return WorkAnswer{}
	}
	raw := j.Header.Encode()
	return WorkAnswer{ID: j.ID, Header: hex.EncodeToString(raw[:]), Height: height}
}

// Solution reads what a miner handed in.
func (r SubmitRequest) Solution() (Solution, error) {
	if r.JobID == "" {
		return Solution{}, &wire.Reject{Code: wire.RejectMalformed, Field: "job_id", Msg: "is missing"}
	}
	header, err := decodeHeader(r.Header)
	if err != nil {
		return Solution{}, &wire.Reject{Code: wire.RejectMalformed, Field: "header", Msg: err.Error()}
	}
	return Solution{JobID: r.JobID, Header: header}, nil
}

// Submit implements Source.
func (h *HTTPSource) Submit(ctx context.Context, s Solution) error {
	raw := s.Header.Encode()
	body, err := json.Marshal(SubmitRequest{JobID: s.JobID, Header: hex.EncodeToString(raw[:])})
	if err != nil {
		return fmt.Errorf("miner: submit: %w", err)
	}
	var a SubmitAnswer
	if _, err := h.call(ctx, http.MethodPost, "v1/mining/submit", nil, body, &a); err != nil {
		return fmt.Errorf("miner: submit: %w", err)
	}
	if want := s.Header.Hash().BlockString(); a.Block != want {
		return fmt.Errorf("miner: submit: source took block %q, sent was %s: %w", a.Block, want, ErrRefused)
	}
	return nil
}

// problem is the part of an application/problem+json answer that matters here.
type problem struct {
	Code   string `json:"code"`
	Title  string `json:"title"`
	Detail string `json:"detail"`
}

func (h *HTTPSource) call(ctx context.Context, method, path string, q url.Values, body []byte, into any) (int, error) {
	u := h.base.JoinPath(path)
	u.RawQuery = q.Encode()
	req, err := http.NewRequestWithContext(ctx, method, u.String(), bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := h.client.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, answerMost+1))
	switch {
	case err != nil:
		return 0, fmt.Errorf("read the answer: %w", err)
	case len(raw) > answerMost:
		return 0, fmt.Errorf("bad answer of the source: more than %d bytes", answerMost)
	case resp.StatusCode == http.StatusNoContent && method == http.MethodGet:
		return resp.StatusCode, nil
	case resp.StatusCode != http.StatusOK:
		return 0, refusal(resp, raw)
	}
	return resp.StatusCode, decodeAnswer(resp, raw, into)
}

func decodeAnswer(resp *http.Response, raw []byte, into any) error {
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if kind != "application/json" {
		return fmt.Errorf("bad answer of the source: content type %q, wanted application/json", kind)
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return fmt.Errorf("bad answer of the source: %w", err)
	}
	return nil
}

// refusal turns an answer other than 200 into an error: 409 is ErrStale, any
// other 4xx except 408 and 429 is ErrRefused.
func refusal(resp *http.Response, raw []byte) error {
	var p problem
	if json.Unmarshal(raw, &p) != nil || (p.Code == "" && p.Detail == "") {
		p = problem{Detail: fmt.Sprintf("%.200q", raw)}
	}
	err := errors.New(strings.TrimSpace(p.Code + " " + p.Detail))
	switch code := resp.StatusCode; {
	case code == http.StatusConflict:
		return fmt.Errorf("%w: %w", ErrStale, err)
	case code >= 400 && code < 500 && code != http.StatusRequestTimeout && code != http.StatusTooManyRequests:
		return fmt.Errorf("%w: %s: %w", ErrRefused, resp.Status, err)
	default:
		return fmt.Errorf("source answered %s: %w", resp.Status, err)
	}
}

var _ Source = (*HTTPSource)(nil)
