package worker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/gristmill-zk/gristmill/internal/failpoint"
	"github.com/gristmill-zk/gristmill/wire"
)

// fetcher gets task bodies.
type fetcher struct {
	client  *http.Client
	timeout time.Duration
}

func newFetcher(timeout time.Duration) *fetcher {
	return &fetcher{timeout: timeout, client: &http.Client{
		Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, ResponseHeaderTimeout: timeout, IdleConnTimeout: time.Minute},
		// A body comes from where the job says or not at all.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

func (f *fetcher) close() { f.client.CloseIdleConnections() }

// fetch tries the job's URLs in order until one serves the body, and checks
// that the body is the task's.
func (f *fetcher) fetch(ctx context.Context, job *wire.Job) ([]byte, error) {
	var tries error
	for _, url := range job.DataURLs {
		failpoint.Hit("worker.data.fetch.before")
		body, err := f.get(ctx, url, job.DataHash)
		failpoint.Hit("worker.data.fetch.after")
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if err != nil {
			tries = errors.Join(tries, fmt.Errorf("%s: %w", url, err))
			continue
		}
		return body, checkBody(job, body)
	}
	if tries == nil {
		tries = errors.New("the job names no place to get it")
	}
	return nil, failure(CodeDataUnavailable, true, "the task's data %s could not be fetched: %v", job.DataHash, tries)
}

func (f *fetcher) get(ctx context.Context, url string, want wire.Hash) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, f.timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	res, err := f.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("answers %s", res.Status)
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, wire.MaxBodySize+1))
	if err != nil {
		return nil, err
	}
	if len(body) > wire.MaxBodySize {
		return nil, fmt.Errorf("answers with more than %d bytes", wire.MaxBodySize)
	}
	if got := wire.DataHash(body); got != want {
		return nil, fmt.Errorf("answers with other data, of hash %s", got)
	}
	return body, nil
}

// checkBody says whether a body of the right hash is what the job is about.
func checkBody(job *wire.Job, body []byte) error {
	task := wire.Task{
		Project: job.Project, Version: job.Version, Count: job.Count,
		DataCommitment: job.DataCommitment, DataHash: job.DataHash, Size: uint32(len(body)),
	}
	if _, err := task.CheckBody(job.Deployment, body, job.BatchSize, job.PayloadLimit); err != nil {
		return failure(CodeWrongData, false, "the data %s is not the task's: %v", job.DataHash, err)
	}
	return nil
}
