package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"time"

	"github.com/gristmill-zk/gristmill/wire"
)

var httpClient = &http.Client{Timeout: 30 * time.Second}

// errNotFound is a 404.
var errNotFound = errors.New("not found")

func getJSON(ctx context.Context, url string, into any) error {
	data, err := getBytes(ctx, url)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, into); err != nil {
		return fmt.Errorf("%s: %w", url, err)
	}
	return nil
}

// getBytes reads at most as much as a body may have.
func getBytes(ctx context.Context, url string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	resp, err := httpClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	data, err := io.ReadAll(io.LimitReader(resp.Body, wire.MaxBodySize+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s: %w", url, err)
	case len(data) > wire.MaxBodySize:
		return nil, fmt.Errorf("%s: answer exceeds %d bytes", url, wire.MaxBodySize)
	case resp.StatusCode == http.StatusNotFound:
		return nil, fmt.Errorf("%s: %w", url, errNotFound)
	case resp.StatusCode != http.StatusOK:
		return nil, refusalOf(url, resp, data)
	}
	return data, nil
}

// refusal is an answer that says no, with the problem+json that our services
// say it in; Code is empty when something in between answered.
type refusal struct {
	URL    string
	Status string
	Code   wire.RejectCode
	Detail string
}

func refusalOf(url string, resp *http.Response, data []byte) *refusal {
	r := &refusal{URL: url, Status: resp.Status}
	var problem struct {
		Code   wire.RejectCode `json:"code"`
		Detail string          `json:"detail"`
	}
	if json.Unmarshal(data, &problem) == nil && problem.Code != "" {
		r.Code, r.Detail = problem.Code, problem.Detail
		return r
	}
	r.Detail = fmt.Sprintf("%.200q", data)
	return r
}

// Error says who refused and why.
func (r *refusal) Error() string {
	if r.Code != "" {
		return fmt.Sprintf("%s: %s: %s: %s", r.URL, r.Status, r.Code, r.Detail)
	}
	return fmt.Sprintf("%s: %s: %s", r.URL, r.Status, r.Detail)
}

// reachable is the URL of a listener for processes of the same machine.
func reachable(addr net.Addr) string {
	host, port, err := net.SplitHostPort(addr.String())
	if err != nil {
		return "http://" + addr.String()
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return "http://" + net.JoinHostPort(host, port)
}

func sortedNames[V any](m map[string]V) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
