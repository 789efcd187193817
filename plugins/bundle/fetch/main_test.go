package fetch_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"golang.org/x/mod/sumdb/note"

	"github.com/gristmill-zk/gristmill/internal/testport"
	"github.com/gristmill-zk/gristmill/internal/tinybundle"
	"github.com/gristmill-zk/gristmill/plugins/bundle"
	"github.com/gristmill-zk/gristmill/plugins/bundle/fetch"
	"github.com/gristmill-zk/gristmill/plugins/bundle/oci"
	"github.com/gristmill-zk/gristmill/wire"
)

const (
	patience = 2 * time.Minute
	tick     = 5 * time.Millisecond
)

// built is a bundle that alice signed; bob signed nothing.
var (
	built      *bundle.Bundle
	alice, bob note.Verifier
)

func TestMain(m *testing.M) {
	if ref := os.Getenv("FETCH_TEST_CHILD"); ref != "" {
		child(ref, os.Getenv("FETCH_TEST_STORE"), os.Getenv("FETCH_TEST_DIGEST"))
	}
	dir, err := os.MkdirTemp("", "gm-fetch-test-")
	if err == nil {
		err = prepare(dir)
	}
	code := 1
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	} else if code = m.Run(); code == 0 {
		http.DefaultTransport.(*http.Transport).CloseIdleConnections()
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

func prepare(dir string) (err error) {
	if built, err = tinybundle.Build(context.Background(), dir, 8, nil); err != nil {
		return err
	}
	var signer note.Signer
	if signer, alice, err = party("alice"); err != nil {
		return err
	}
	if _, bob, err = party("bob"); err != nil {
		return err
	}
	return built.Sign(signer)
}

func party(name string) (note.Signer, note.Verifier, error) {
	secret, public, err := bundle.NewSigner(name)
	if err != nil {
		return nil, nil, err
	}
	signer, err := note.NewSigner(secret)
	if err != nil {
		return nil, nil, err
	}
	verifier, err := note.NewVerifier(public)
	return signer, verifier, err
}

// child fetches in a process that is to be killed.
func child(ref, store, digest string) {
	want, err := wire.ParseHash(digest)
	if err == nil {
		var source *oci.Source
		if source, err = oci.NewSource(ref, oci.Options{DockerConfig: filepath.Join(store, "none")}); err == nil {
			var f *fetch.Fetcher
			f, err = fetch.New(fetch.Config{Store: store, Sources: []bundle.Source{source}, AllowUntrusted: true, AllowInsecure: true})
			if err == nil {
				f.Want(want)
				select {}
			}
		}
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// middle may answer itself: it says whether it did.
type middle func(w http.ResponseWriter, r *http.Request) bool

// hub is a registry whose answers a test may change, on an address that it can
// leave and come back to.
type hub struct {
	t       *testing.T
	addr    string
	handler http.Handler
	server  *httptest.Server
	middle  atomic.Pointer[middle] // none: nothing is changed
	// parts counts requests for the plugin, the first part of the bundle.
	parts atomic.Int32
}

func newHub(t *testing.T) *hub {
	t.Helper()
	h := &hub{t: t, addr: testport.Reserve(t), handler: registry.New(registry.Logger(log.New(io.Discard, "", 0)))}
	h.up()
	t.Cleanup(func() { h.server.Close() })
	return h
}

func (h *hub) up() {
	h.t.Helper()
	listener, err := net.Listen("tcp", h.addr)
	require.NoError(h.t, err)
	h.server = httptest.NewUnstartedServer(http.HandlerFunc(h.serve))
	_ = h.server.Listener.Close()
	h.server.Listener = listener
	h.server.Start()
}

func (h *hub) serve(w http.ResponseWriter, r *http.Request) {
	if h.isPart(r) {
		h.parts.Add(1)
		w.Header().Set("Accept-Ranges", "bytes")
	}
	if before := h.middle.Load(); before == nil || !(*before)(w, r) {
		h.handler.ServeHTTP(w, r)
	}
}

// before sets who is asked first.
func (h *hub) before(m middle) { h.middle.Store(&m) }

func (h *hub) isPart(r *http.Request) bool {
	return r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, "/blobs/sha256:"+bundle.DirName(plugin().SHA256))
}

func plugin() bundle.Part { return built.Manifest.Parts[0] }

// half sends the first half of the plugin.
func half(w http.ResponseWriter) {
	path, err := built.Path(bundle.PartPlugin)
	if err != nil {
		return
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return
	}
	w.Header().Set("Content-Length", fmt.Sprint(len(content)))
	_, _ = w.Write(content[:len(content)/2])
	_ = http.NewResponseController(w).Flush()
}

func (h *hub) ref() string { return h.addr + "/team/tiny" }

// push puts the bundle there, under a tag of its own choice, too.
func (h *hub) push(b *bundle.Bundle) *hub {
	h.t.Helper()
	_, err := oci.Push(h.t.Context(), b, h.ref()+":1.0.0", options(h.t))
	require.NoError(h.t, err)
	return h
}

func (h *hub) source() bundle.Source { return source(h.t, h.ref()) }

// source does not look at the credentials of whoever runs the tests.
func source(t *testing.T, ref string) bundle.Source {
	t.Helper()
	s, err := oci.NewSource(ref, options(t))
	require.NoError(t, err)
	return s
}

func options(t *testing.T) oci.Options {
	return oci.Options{DockerConfig: filepath.Join(t.TempDir(), "config.json")}
}

// rig is a worker's store and what fills it.
type rig struct {
	*fetch.Fetcher
	t     *testing.T
	store string
}

// newRig trusts alice, takes development keys, and is quick to try again.
func newRig(t *testing.T, change func(*fetch.Config), sources ...bundle.Source) *rig {
	t.Helper()
	r := &rig{t: t, store: filepath.Join(t.TempDir(), "bundles")}
	cfg := fetch.Config{
		Store: r.store, Sources: sources, Trust: &bundle.Policy{Signers: []note.Verifier{alice}}, AllowInsecure: true,
		RetryMin: 10 * time.Millisecond, RetryMax: 50 * time.Millisecond, Logger: slog.New(slog.DiscardHandler),
	}
	if change != nil {
		change(&cfg)
	}
	f, err := fetch.New(cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, f.Close()) })
	r.Fetcher = f
	return r
}

func (r *rig) dir() string { return filepath.Join(r.store, bundle.DirName(built.Digest)) }

// arrives waits until the bundle is in the store, and checks it.
func (r *rig) arrives() {
	r.t.Helper()
	require.Eventually(r.t, func() bool {
		_, err := os.Stat(r.dir())
		if err != nil {
			r.Want(built.Digest)
		}
		return err == nil
	}, patience, tick)
	b, err := bundle.OpenDigest(r.t.Context(), r.dir(), built.Digest)
	require.NoError(r.t, err)
	signed, err := b.VerifySignatures(alice)
	require.NoError(r.t, err)
	require.Len(r.t, signed, 1, "signatures come along")
	require.Eventually(r.t, func() bool { return len(r.list()) == 1 }, patience, tick, "nothing else is left, is %v", r.list())
}

// fails waits for a failure, and gives the last one.
func (r *rig) fails(digest wire.Hash) *fetch.Failure {
	r.t.Helper()
	var status fetch.Status
	require.Eventually(r.t, func() bool {
		status = r.Want(digest)
		return status.Failure != nil
	}, patience, tick)
	require.Positive(r.t, status.Again)
	require.NoDirExists(r.t, r.dir())
	return status.Failure
}

func (r *rig) list() (names []string) {
	entries, err := os.ReadDir(r.store)
	if err != nil {
		return []string{err.Error()}
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}
