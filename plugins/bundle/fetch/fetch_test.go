package fetch_test

import (
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"
	"golang.org/x/mod/sumdb/note"

	"github.com/gristmill-zk/gristmill/plugins/bundle"
	"github.com/gristmill-zk/gristmill/plugins/bundle/fetch"
	"github.com/gristmill-zk/gristmill/plugins/bundle/oci"
	"github.com/gristmill-zk/gristmill/wire"
)

func TestFetchedFromEachKindOfSource(t *testing.T) {
	t.Parallel()
	layout := t.TempDir()
	_, err := oci.Push(t.Context(), built, "oci:"+layout+":1.0.0", options(t))
	require.NoError(t, err)
	hub := newHub(t).push(built)
	for name, s := range map[string]bundle.Source{
		"registry": hub.source(),
		"layout":   source(t, "oci:"+layout),
		"folder":   fetch.Folder(filepath.Dir(built.Dir)),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.NoError(t, s.Check(t.Context()))
			newRig(t, nil, s).arrives()
			// One that has another is passed over.
			newRig(t, nil, fetch.Folder(t.TempDir()), newHub(t).source(), s).arrives()
		})
	}
}

// An artifact that was copied without the tag of its digest is found by the tag
// that the operator names.
func TestATagIsLookedAt(t *testing.T) {
	t.Parallel()
	hub := newHub(t).push(built)
	hub.before(func(w http.ResponseWriter, r *http.Request) bool {
		hidden := strings.HasSuffix(r.URL.Path, "/manifests/"+bundle.DirName(built.Digest))
		if hidden {
			http.NotFound(w, r)
		}
		return hidden
	})
	newRig(t, nil, source(t, hub.ref()+":1.0.0")).arrives()
	require.Equal(t, fetch.Absent, newRig(t, nil, hub.source()).fails(built.Digest).Kind)
	other := newRig(t, nil, source(t, hub.ref()+":1.0.0")).fails(wire.Hash{1})
	require.Equal(t, fetch.Absent, other.Kind)
	require.ErrorContains(t, other, "1.0.0 is another")
}

func TestManyWantOneFetch(t *testing.T) {
	t.Parallel()
	hub := newHub(t).push(built)
	hold := make(chan struct{})
	hub.before(func(_ http.ResponseWriter, r *http.Request) bool {
		if hub.isPart(r) {
			<-hold
		}
		return false
	})
	r := newRig(t, nil, hub.source())
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			require.True(t, r.Want(built.Digest).Busy)
		})
	}
	all.Wait()
	require.Eventually(t, func() bool { return r.Want(built.Digest).Total > 0 }, patience, tick, "how much will come is known")
	// Nor does another process that shares the store fetch it as well.
	neighbour := newRig(t, func(c *fetch.Config) { c.Store = r.store }, hub.source())
	require.Equal(t, fetch.Busy, neighbour.fails(built.Digest).Kind)
	// What cannot be had holds up nothing.
	require.Equal(t, fetch.Absent, r.fails(wire.Hash{9}).Kind)
	close(hold)
	require.Eventually(t, func() bool { _, err := os.Stat(r.dir()); return err == nil }, patience, tick)
	require.EqualValues(t, 1, hub.parts.Load())
}

func TestFailuresSayWhatToDo(t *testing.T) {
	t.Parallel()
	unsigned := t.TempDir()
	require.NoError(t, os.CopyFS(filepath.Join(unsigned, bundle.DirName(built.Digest)), os.DirFS(built.Dir)))
	require.NoError(t, os.Remove(filepath.Join(unsigned, bundle.DirName(built.Digest), bundle.SignaturesName)))
	for name, c := range map[string]struct {
		kind   fetch.Kind
		want   []string  // in the text
		digest wire.Hash // empty: the bundle's
		change func(*fetch.Config)
		source func(t *testing.T) bundle.Source // empty: a registry that has it
	}{
		"absent": {kind: fetch.Absent, want: []string{"has no such bundle", "gristmill plugin push", "--bundle-source"},
			source: func(t *testing.T) bundle.Source { return newHub(t).source() }},
		"absent from a folder": {kind: fetch.Absent, want: []string{"has no such bundle"},
			source: func(t *testing.T) bundle.Source { return fetch.Folder(t.TempDir()) }},
		"other signer": {kind: fetch.Untrusted, want: []string{"signed by alice+", "--trust", "name+hash+key"},
			change: func(c *fetch.Config) { c.Trust = &bundle.Policy{Signers: []note.Verifier{bob}} }},
		"no signer": {kind: fetch.Untrusted, want: []string{"nobody signed it", "--trust"},
			source: func(*testing.T) bundle.Source { return fetch.Folder(unsigned) }},
		"development keys": {kind: fetch.Insecure, want: []string{"insecure development setup", "--allow-insecure-keys"},
			change: func(c *fetch.Config) { c.AllowInsecure = false }},
		"too big": {kind: fetch.TooBig, want: []string{"1000 are allowed here", "--bundle-max-bytes"},
			change: func(c *fetch.Config) { c.MaxBytes = 1000 }},
		"other content under the digest": {kind: fetch.Damaged, want: []string{"the bundle's digest is", "push it again"}, digest: wire.Hash{7}, source: misnamed},
		"other content in a folder": {kind: fetch.Damaged, want: []string{"the bundle's digest is"}, digest: wire.Hash{7},
			source: func(t *testing.T) bundle.Source {
				dir := t.TempDir()
				require.NoError(t, os.CopyFS(filepath.Join(dir, bundle.DirName(wire.Hash{7})), os.DirFS(built.Dir)))
				return fetch.Folder(dir)
			}},
		"altered part": {kind: fetch.Damaged, want: []string{"plugin", "is not what the manifest says"}, source: altered},
		"no credentials": {kind: fetch.Unreachable, want: []string{"401", "credentials"}, source: func(t *testing.T) bundle.Source {
			hub := newHub(t).push(built)
			hub.before(func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(http.StatusUnauthorized); return true })
			require.ErrorContains(t, hub.source().Check(t.Context()), "401")
			return hub.source()
		}},
		"no such folder": {kind: fetch.Unreachable, want: []string{"no such file"},
			source: func(t *testing.T) bundle.Source { return fetch.Folder(filepath.Join(t.TempDir(), "none")) }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			hub := newHub(t).push(built)
			from := hub.source()
			if c.source != nil {
				from = c.source(t)
			}
			r := newRig(t, c.change, from)
			digest := c.digest
			if digest.IsZero() {
				digest = built.Digest
			}
			failure := r.fails(digest)
			require.Equal(t, c.kind, failure.Kind, "%v", failure)
			require.Equal(t, c.kind == fetch.Untrusted || c.kind == fetch.Insecure || c.kind == fetch.TooBig, failure.Refused())
			for _, want := range append(c.want, from.String()) {
				require.ErrorContains(t, failure, want)
			}
			if c.source == nil {
				require.Zero(t, hub.parts.Load(), "it is refused before a part is asked for")
			}
			notes, err := fetch.Failures(r.store)
			require.NoError(t, err)
			require.Len(t, notes, 1)
			require.Equal(t, digest, notes[0].Digest)
			require.Equal(t, failure.Advice(), notes[0].Advice)
			// One that is tried again by itself is just being noted again, perhaps.
			require.Eventually(t, func() bool { return len(r.list()) == 1 }, patience, tick, "only the note is left")
		})
	}
}

// misnamed is an image layout that calls the bundle by another digest.
func misnamed(t *testing.T) bundle.Source {
	dir := t.TempDir()
	_, err := oci.Push(t.Context(), built, "oci:"+dir+":1.0.0", options(t))
	require.NoError(t, err)
	path := filepath.Join(dir, "index.json")
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	var index ocispec.Index
	require.NoError(t, json.Unmarshal(text, &index))
	for i := range index.Manifests {
		index.Manifests[i].Annotations = map[string]string{ocispec.AnnotationRefName: bundle.DirName(wire.Hash{7})}
	}
	text, err = json.Marshal(index)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, text, 0o600))
	return source(t, "oci:"+dir)
}

// altered is a folder whose bundle's plugin was changed.
func altered(t *testing.T) bundle.Source {
	dir := t.TempDir()
	there := filepath.Join(dir, bundle.DirName(built.Digest))
	require.NoError(t, os.CopyFS(there, os.DirFS(built.Dir)))
	path := filepath.Join(there, plugin().Path)
	raw, err := os.ReadFile(path)
	require.NoError(t, err)
	raw[len(raw)/2] ^= 1
	require.NoError(t, os.WriteFile(path, raw, 0o600))
	return fetch.Folder(dir)
}

func TestARegistryThatComesBack(t *testing.T) {
	t.Parallel()
	hub := newHub(t).push(built)
	hub.server.Close()
	r := newRig(t, nil, hub.source())
	require.Error(t, hub.source().Check(t.Context()))
	failure := r.fails(built.Digest)
	require.Equal(t, fetch.Unreachable, failure.Kind)
	require.ErrorContains(t, failure, "connection refused")
	hub.up()
	// Nobody needs to ask again.
	require.Eventually(t, func() bool { _, err := os.Stat(r.dir()); return err == nil }, patience, tick)
	r.arrives()
	notes, err := fetch.Failures(r.store)
	require.NoError(t, err)
	require.Empty(t, notes)
}

func TestTheTimeForABundleEnds(t *testing.T) {
	t.Parallel()
	hub := newHub(t)
	hub.server.Close()
	r := newRig(t, func(c *fetch.Config) { c.Timeout, c.RetryMax = 50*time.Millisecond, time.Minute }, hub.source())
	r.fails(built.Digest)
	require.Eventually(t, func() bool { return !r.Want(built.Digest).Busy }, patience, tick)
	require.Greater(t, r.Want(built.Digest).Again, time.Second, "whoever asks is told to come later")
}

// What came before the connection broke is not asked for again.
func TestABrokenTransferGoesOn(t *testing.T) {
	t.Parallel()
	for name, breaks := range map[string]func(r *http.Request){
		"cut off": func(*http.Request) { panic(http.ErrAbortHandler) },
		"silent":  func(r *http.Request) { <-r.Context().Done() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			hub := newHub(t).push(built)
			var broken atomic.Bool
			var ranges atomic.Value
			hub.before(func(w http.ResponseWriter, r *http.Request) bool {
				if !hub.isPart(r) {
					return false
				}
				if broken.CompareAndSwap(false, true) {
					half(w)
					breaks(r)
					return true
				}
				if from := r.Header.Get("Range"); from != "" {
					ranges.Store(from)
				}
				return false
			})
			r := newRig(t, func(c *fetch.Config) { c.Stall = 200 * time.Millisecond }, hub.source())
			r.arrives()
			require.NotNil(t, ranges.Load(), "the rest was asked for")
			require.NotContains(t, ranges.Load(), "bytes=0-")
		})
	}
}

// TestKilledWhileItFetches: what a killed worker leaves is no bundle, and the
// next worker goes on from there.
func TestKilledWhileItFetches(t *testing.T) {
	t.Parallel()
	hub := newHub(t).push(built)
	started := make(chan struct{}, 1)
	var ranges atomic.Value
	hub.before(func(w http.ResponseWriter, r *http.Request) bool {
		if !hub.isPart(r) {
			return false
		}
		if hub.parts.Load() > 1 {
			if from := r.Header.Get("Range"); from != "" {
				ranges.Store(from)
			}
			return false
		}
		half(w)
		started <- struct{}{}
		<-r.Context().Done()
		return true
	})
	r := newRig(t, nil, hub.source())
	self, err := os.Executable()
	require.NoError(t, err)
	child := exec.Command(self)
	child.Env = append(os.Environ(), "FETCH_TEST_CHILD="+hub.ref(), "FETCH_TEST_STORE="+r.store, "FETCH_TEST_DIGEST="+built.Digest.String())
	child.Stderr = os.Stderr
	require.NoError(t, child.Start())
	<-started
	part := filepath.Join(r.store, ".receive-"+bundle.DirName(built.Digest), plugin().Path)
	require.Eventually(t, func() bool {
		info, err := os.Stat(part)
		return err == nil && info.Size() > 0
	}, patience, tick)
	require.NoError(t, child.Process.Kill())
	require.Error(t, child.Wait())
	require.NoDirExists(t, r.dir())
	require.Len(t, r.list(), 1)
	r.arrives()
	require.NotNil(t, ranges.Load(), "the rest was asked for")
}

// What lies where a bundle comes in is believed no more than a registry.
func TestWhatAnotherLeftIsNotBelieved(t *testing.T) {
	t.Parallel()
	hub := newHub(t).push(built)
	r := newRig(t, nil, hub.source())
	left := filepath.Join(r.store, ".receive-"+bundle.DirName(built.Digest))
	require.NoError(t, os.MkdirAll(left, 0o755))
	for _, p := range built.Manifest.Parts {
		require.NoError(t, os.WriteFile(filepath.Join(left, p.Path), make([]byte, p.Size), 0o644))
	}
	require.Eventually(t, func() bool {
		require.Nil(t, r.Want(built.Digest).Failure, "it is simply asked for anew")
		return len(r.list()) == 1 && r.list()[0] == bundle.DirName(built.Digest)
	}, patience, tick)
	// Wrong beginnings show at the end of the part, and cost a second try.
	r = newRig(t, nil, hub.source())
	left = filepath.Join(r.store, ".receive-"+bundle.DirName(built.Digest))
	require.NoError(t, os.MkdirAll(left, 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(left, plugin().Path), make([]byte, 100), 0o644))
	require.Equal(t, fetch.Damaged, r.fails(built.Digest).Kind)
	r.arrives()
}

func TestADamagedCopyIsReplaced(t *testing.T) {
	t.Parallel()
	hub := newHub(t).push(built)
	r := newRig(t, nil, hub.source())
	r.arrives()
	require.NoError(t, os.Truncate(filepath.Join(r.dir(), plugin().Path), 10))
	require.Eventually(t, func() bool {
		r.Want(built.Digest)
		_, err := bundle.OpenDigest(t.Context(), r.dir(), built.Digest)
		return err == nil
	}, patience, tick)
}

func TestCloseEndsWhatIsUnderWay(t *testing.T) {
	t.Parallel()
	hub := newHub(t).push(built)
	hub.before(func(_ http.ResponseWriter, r *http.Request) bool {
		if hub.isPart(r) {
			<-r.Context().Done()
		}
		return false
	})
	r := newRig(t, nil, hub.source())
	require.Eventually(t, func() bool { return r.Want(built.Digest).Total > 0 }, patience, tick)
	require.NoError(t, r.Close())
	require.False(t, r.Want(built.Digest).Busy, "nothing begins any more")
	require.NoDirExists(t, r.dir())
}

func TestConfigNamesTheField(t *testing.T) {
	t.Parallel()
	for field, change := range map[string]func(*fetch.Config){
		"Store":    func(c *fetch.Config) { c.Store = "" },
		"Sources":  func(c *fetch.Config) { c.Sources = nil },
		"Trust":    func(c *fetch.Config) { c.AllowUntrusted = false },
		"MaxBytes": func(c *fetch.Config) { c.MaxBytes = -1 },
	} {
		cfg := fetch.Config{Store: t.TempDir(), Sources: []bundle.Source{fetch.Folder("/")}, AllowUntrusted: true}
		change(&cfg)
		_, err := fetch.New(cfg)
		require.ErrorContains(t, err, field)
	}
}
