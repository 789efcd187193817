package worker_test

import (
	"context"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/mod/sumdb/note"

	"github.com/gristmill-zk/gristmill/plugins/bundle"
	"github.com/gristmill-zk/gristmill/plugins/bundle/fetch"
	"github.com/gristmill-zk/gristmill/wire"
	"github.com/gristmill-zk/gristmill/worker"
)

// gated is a source that answers once its gate is open.
type gated struct {
	fetch.Folder
	gate  chan struct{}
	asked atomic.Int32
}

func (g *gated) Find(ctx context.Context, digest wire.Hash) (*bundle.Shipment, error) {
	g.asked.Add(1)
	select {
	case <-g.gate:
		return g.Folder.Find(ctx, digest)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// elsewhere makes a bundle that the rig's worker lacks, signed, and a source that
// has it once its gate is open. The worker fetches what the signer signed.
func (r *rig) elsewhere() (wire.Hash, *gated) {
	r.t.Helper()
	dir := r.t.TempDir()
	digest := writeBundle(r.t, dir, func(m *bundle.Manifest) { m.Name = "elsewhere" })
	secret, public, err := bundle.NewSigner("team")
	require.NoError(r.t, err)
	signer, err := note.NewSigner(secret)
	require.NoError(r.t, err)
	there, err := bundle.Open(r.t.Context(), filepath.Join(dir, bundle.DirName(digest)))
	require.NoError(r.t, err)
	require.NoError(r.t, there.Sign(signer))
	verifier, err := note.NewVerifier(public)
	require.NoError(r.t, err)
	source := &gated{Folder: fetch.Folder(dir), gate: make(chan struct{})}
	r.fetchFrom(&bundle.Policy{Signers: []note.Verifier{verifier}}, source)
	return digest, source
}

func (r *rig) fetchFrom(trust *bundle.Policy, source bundle.Source) {
	r.t.Helper()
	f, err := fetch.New(fetch.Config{
		Store: r.cfg.BundleDir, Sources: []bundle.Source{source}, Trust: trust, AllowInsecure: true, RetryMax: 50 * time.Millisecond, Logger: quiet(),
	})
	require.NoError(r.t, err)
	r.t.Cleanup(func() { require.NoError(r.t, f.Close()) })
	r.cfg.Fetcher = f
}

// TestMissingBundleIsFetchedAndServed: a job for a bundle that is not in the store
// does not hold up another project's, comes back, and is proved, with the worker
// running on.
func TestMissingBundleIsFetchedAndServed(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.cfg.Slots = 1
	digest, source := r.elsewhere()
	r.start()

	first, second, other := r.job(1), r.job(2), r.job(3)
	first.BundleDigest, second.BundleDigest = digest, digest
	r.send(first)
	r.send(second)
	for _, job := range []*wire.Job{first, second} {
		failed := r.fails(job, worker.CodeBundleFetching).Error
		require.True(t, failed.Retry)
		require.Positive(t, failed.RetryAfter, "the attempt does not count")
		require.Contains(t, failed.Message, digest.String())
	}
	r.send(other)
	r.await(other, wire.ResultProved)
	require.Equal(t, 1, r.plugins.count(), "nothing else is solved")
	require.Equal(t, 1, r.seen(worker.EventFetched), "nor is its data asked for")

	close(source.gate)
	r.eventually("the bundle comes", func() bool {
		_, err := os.Stat(filepath.Join(r.cfg.BundleDir, bundle.DirName(digest)))
		return err == nil
	})
	require.EqualValues(t, 1, source.asked.Load(), "two jobs, one fetch")
	again := r.job(4) // as the scheduler gives the task again
	again.BundleDigest = digest
	r.send(again)
	r.await(again, wire.ResultSolved)
	envelope := r.await(again, wire.ResultProved).ProofEnvelope
	require.Equal(t, digest, envelope.BundleDigest)
	verify(t, again, envelope)
}

// A failure says in the result, which becomes the task's history, what to do.
func TestWhyABundleCannotBeFetchedIsReported(t *testing.T) {
	t.Parallel()
	for code, c := range map[string]struct {
		retry bool
		want  string
		spoil func(r *rig, source *gated)
	}{
		worker.CodeBundleMissing: {true, "--bundle-source", func(r *rig, _ *gated) {
			r.fetchFrom(&bundle.Policy{Digests: map[wire.Hash]bool{{1}: true}}, fetch.Folder(r.t.TempDir()))
		}},
		worker.CodeBundleUntrusted: {false, "--trust", func(r *rig, source *gated) {
			r.fetchFrom(&bundle.Policy{Digests: map[wire.Hash]bool{{1}: true}}, source)
		}},
		worker.CodeBundleBad: {true, "push it again", func(r *rig, source *gated) {
			paths, err := filepath.Glob(filepath.Join(string(source.Folder), "*", bundle.PartProvingKey))
			require.NoError(r.t, err)
			require.Len(r.t, paths, 1)
			require.NoError(r.t, os.Truncate(paths[0], 10))
		}},
	} {
		t.Run(code, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			digest, source := r.elsewhere()
			c.spoil(r, source)
			close(source.gate)
			r.start()
			// The first job may be told that the bundle is being looked for.
			var failed *wire.WorkError
			for n := byte(1); failed == nil || failed.Code == worker.CodeBundleFetching; n++ {
				job := r.job(n)
				job.BundleDigest = digest
				r.send(job)
				failed = r.await(job, wire.ResultFailed).Error
			}
			require.Equal(t, code, failed.Code, failed.Message)
			require.Equal(t, c.retry, failed.Retry)
			require.Equal(t, c.retry, failed.RetryAfter > 0)
			require.Contains(t, failed.Message, digest.String())
			require.Contains(t, failed.Message, c.want)
			good := r.job(100)
			r.send(good)
			r.await(good, wire.ResultProved)
		})
	}
}

func TestDamagedCopyIsFetchedAgain(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	digest, source := r.elsewhere()
	close(source.gate)
	here := filepath.Join(r.cfg.BundleDir, bundle.DirName(digest))
	require.NoError(t, os.CopyFS(here, os.DirFS(filepath.Join(string(source.Folder), bundle.DirName(digest)))))
	require.NoError(t, os.Truncate(filepath.Join(here, bundle.PartProvingKey), 10))
	r.start()
	job := r.job(1)
	job.BundleDigest = digest
	r.send(job)
	require.Contains(t, r.fails(job, worker.CodeBundleFetching).Error.Message, "is not usable")
	r.eventually("it is mended", func() bool {
		_, err := bundle.OpenDigest(t.Context(), here, digest)
		return err == nil
	})
	again := r.job(2)
	again.BundleDigest = digest
	r.send(again)
	r.await(again, wire.ResultProved)
}
