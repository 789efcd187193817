package worker

import (
	"fmt"
	"math"
	"time"

	"github.com/gristmill-zk/gristmill/plugins/bundle/fetch"
	"github.com/gristmill-zk/gristmill/wire"
)

// present says whether a job's bundle is here, and has it fetched if it is not.
// Without a fetcher that shows when it is opened.
func (b *bundles) present(job *wire.Job) error {
	if b.fetcher == nil {
		return nil
	}
	_, err := b.find(job)
	return err
}

// wanted has a job's bundle fetched and says, as a failed result, how it stands
// with it. The attempt ends, so that the worker is free for other projects; while
// the bundle may yet come the task is to be given again, and loses nothing.
func (b *bundles) wanted(job *wire.Job, why error) *wire.WorkError {
	status := b.fetcher.Want(job.BundleDigest)
	what := fmt.Sprintf("this worker has no bundle %s", job.BundleDigest)
	if why != nil {
		what = fmt.Sprintf("bundle %s: %v", job.BundleDigest, why)
	}
	if status.Failure == nil {
		soon := failure(CodeBundleFetching, true, "%s, and fetches it (%s)", what, amount(status))
		soon.RetryAfter = seconds(status.Again)
		return soon
	}
	code := map[fetch.Kind]string{
		fetch.Untrusted: CodeBundleUntrusted, fetch.Insecure: CodeBundleInsecure, fetch.TooBig: CodeBundleTooBig, fetch.Damaged: CodeBundleBad,
	}[status.Failure.Kind]
	if code == "" {
		code = CodeBundleMissing
	}
	failed := failure(code, !status.Failure.Refused(), "%s, and it could not be fetched: %v", what, status.Failure)
	if failed.Retry {
		failed.RetryAfter = seconds(status.Again)
	}
	return failed
}

// amount is how much of a bundle is here.
func amount(s fetch.Status) string {
	if s.Total == 0 {
		return "looking for it"
	}
	return fmt.Sprintf("%.1f of %.1f MB", float64(s.Done)/1e6, float64(s.Total)/1e6)
}

// seconds is what a worker may ask to wait for, at least one.
func seconds(d time.Duration) uint32 {
	return uint32(min(max(math.Ceil(d.Seconds()), 1), wire.MaxRetryAfter))
}
