package oci_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"golang.org/x/mod/sumdb/note"

	"github.com/gristmill-zk/gristmill/internal/tinybundle"
	"github.com/gristmill-zk/gristmill/plugins/bundle"
	"github.com/gristmill-zk/gristmill/plugins/bundle/oci"
	"github.com/gristmill-zk/gristmill/wire"
)

// built is a bundle that two parties signed.
var built *bundle.Bundle

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "gm-oci-test-")
	if err == nil {
		built, err = tinybundle.Build(context.Background(), dir, 8, nil)
	}
	if err == nil {
		err = sign(built, "alice")
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

func sign(b *bundle.Bundle, name string) error {
	secret, _, err := bundle.NewSigner(name)
	if err != nil {
		return err
	}
	signer, err := note.NewSigner(secret)
	if err != nil {
		return err
	}
	return b.Sign(signer)
}

// serve starts a registry and gives its host. Middle may change what it answers.
func serve(t *testing.T, middle func(http.Handler) http.Handler) string {
	t.Helper()
	handler := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	if middle != nil {
		handler = middle(handler)
	}
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

// options do not look at the credentials of whoever runs the tests.
func options(t *testing.T) oci.Options {
	t.Helper()
	return oci.Options{DockerConfig: filepath.Join(t.TempDir(), "config.json")}
}

func TestThereAndBack(t *testing.T) {
	t.Parallel()
	for name, ref := range map[string]string{
		"registry":       serve(t, nil) + "/team/tiny:1.0.0",
		"without tag":    serve(t, nil) + "/tiny",
		"layout":         "oci:" + filepath.Join(t.TempDir(), "layout") + ":1.0.0",
		"layout, no tag": "oci:" + t.TempDir(),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pushed, err := oci.Push(t.Context(), built, ref, options(t))
			require.NoError(t, err)
			require.True(t, strings.HasPrefix(pushed.Reference, ref), pushed.Reference)
			for _, from := range []string{ref, pushed.Pinned} {
				store := t.TempDir()
				pulled, err := oci.Pull(t.Context(), from, store, built.Digest, options(t))
				require.NoError(t, err)
				require.Equal(t, pushed.Pinned, pulled.Pinned)
				require.Equal(t, filepath.Join(store, bundle.DirName(built.Digest)), pulled.Dir)
				require.Equal(t, built.Manifest, pulled.Manifest)
				require.Equal(t, contents(t, built.Dir), contents(t, pulled.Dir), "signatures, too")
				require.Len(t, list(t, store), 1)
			}
			again, err := oci.Push(t.Context(), built, ref, options(t))
			require.NoError(t, err)
			require.Equal(t, pushed, again, "nothing in an artifact depends on when it was pushed")
		})
	}
}

func list(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// contents are a bundle's files, with the modes that matter.
func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, name := range list(t, dir) {
		text, err := os.ReadFile(filepath.Join(dir, name))
		require.NoError(t, err)
		info, err := os.Stat(filepath.Join(dir, name))
		require.NoError(t, err)
		out[name] = fmt.Sprintf("%s %v", wire.SHA256(text), info.Mode().Perm()&0o111)
	}
	return out
}

// What is pushed is found by the bundle's digest, whatever the tag, and by the
// newest signatures.
func TestSourceFindsByDigest(t *testing.T) {
	t.Parallel()
	for name, ref := range map[string]string{"registry": serve(t, nil) + "/team/tiny", "layout": "oci:" + t.TempDir()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := oci.Push(t.Context(), built, ref+":1.0.0", options(t))
			require.NoError(t, err)
			for _, at := range []string{ref, ref + ":1.0.0", ref + ":elsewhere"} {
				source, err := oci.NewSource(at, options(t))
				require.NoError(t, err)
				require.Equal(t, at, source.String())
				shipment, err := source.Find(t.Context(), built.Digest)
				require.NoError(t, err)
				require.Equal(t, built.Digest, wire.SHA256(shipment.Manifest))
				shipment.Close()
				_, err = source.Find(t.Context(), wire.Hash{1})
				require.ErrorIs(t, err, bundle.ErrNotThere)
				err = source.Check(t.Context())
				if strings.HasSuffix(at, ":elsewhere") {
					require.ErrorContains(t, err, "elsewhere", "a tag that is named must be there")
				} else {
					require.NoError(t, err)
				}
			}
		})
	}
	for _, bad := range []string{"", "tiny", "oci:", "oci://registry.example/team/tiny"} {
		_, err := oci.NewSource(bad, options(t))
		require.ErrorIs(t, err, oci.ErrReference, bad)
	}
	gone, err := oci.NewSource("127.0.0.1:1/team/tiny", options(t))
	require.NoError(t, err)
	require.Error(t, gone.Check(t.Context()))
}

// Pulling what is there adds signatures, and mends what was damaged.
func TestPullOntoWhatIsThere(t *testing.T) {
	t.Parallel()
	ref := "oci:" + t.TempDir()
	_, err := oci.Push(t.Context(), built, ref, options(t))
	require.NoError(t, err)
	store := t.TempDir()
	pull := func() *oci.Pulled {
		pulled, err := oci.Pull(t.Context(), ref, store, wire.Hash{}, options(t))
		require.NoError(t, err)
		require.Len(t, list(t, store), 1)
		return pulled
	}
	first := pull()
	require.NoError(t, sign(first.Bundle, "bob"))
	signers, err := pull().Signers()
	require.NoError(t, err)
	require.Len(t, signers, 2)

	path, err := first.Path(bundle.PartProvingKey)
	require.NoError(t, err)
	require.NoError(t, os.Truncate(path, 10))
	_, err = bundle.Open(t.Context(), pull().Dir)
	require.NoError(t, err)
}

func TestCredentialsComeFromDockersFile(t *testing.T) {
	t.Parallel()
	host := serve(t, func(inner http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if user, password, ok := r.BasicAuth(); !ok || user != "team" || password != "secret" {
				w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			inner.ServeHTTP(w, r)
		})
	})
	opts := options(t)
	_, err := oci.Push(t.Context(), built, host+"/tiny:1", opts)
	require.ErrorContains(t, err, "credential not found")
	text := fmt.Sprintf(`{"auths":{%q:{"auth":%q}}}`, host, base64.StdEncoding.EncodeToString([]byte("team:secret")))
	require.NoError(t, os.WriteFile(opts.DockerConfig, []byte(text), 0o600))
	_, err = oci.Push(t.Context(), built, host+"/tiny:1", opts)
	require.NoError(t, err)
	_, err = oci.Pull(t.Context(), host+"/tiny:1", t.TempDir(), built.Digest, opts)
	require.NoError(t, err)
}

func TestBadReferences(t *testing.T) {
	t.Parallel()
	for _, ref := range []string{
		"", "tiny", "registry.example", "registry.example/Team/x:1", "registry.example/x:a b", "registry.example/x@sha512:00", "oci://registry.example/x", "oci:", "oci::1",
		"oci:dir@1", "oci:dir:a b",
	} {
		_, err := oci.Push(t.Context(), built, ref, options(t))
		require.ErrorIs(t, err, oci.ErrReference, ref)
		_, err = oci.Pull(t.Context(), ref, t.TempDir(), wire.Hash{}, options(t))
		require.ErrorIs(t, err, oci.ErrReference, ref)
	}
	_, err := oci.Push(t.Context(), built, "registry.example/x@sha256:"+strings.Repeat("0", 64), options(t))
	require.ErrorContains(t, err, "pushed to a tag")
}

// A registry that sends other bytes, fewer or more is found out, and leaves
// nothing behind.
func TestLyingRegistries(t *testing.T) {
	t.Parallel()
	key, err := built.Part(bundle.PartProvingKey)
	require.NoError(t, err)
	lie := func(what string, change func(body []byte) []byte) func(http.Handler) http.Handler {
		return func(inner http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Method != http.MethodGet || !strings.Contains(r.URL.Path, what) {
					inner.ServeHTTP(w, r)
					return
				}
				answer := httptest.NewRecorder()
				inner.ServeHTTP(answer, r)
				for name, values := range answer.Header() {
					if name != "Content-Length" {
						w.Header()[name] = values
					}
				}
				w.WriteHeader(answer.Code)
				_, _ = w.Write(change(answer.Body.Bytes()))
			})
		}
	}
	flip := func(body []byte) []byte { body[len(body)/2] ^= 1; return body }
	blob := "/blobs/sha256:" + bundle.DirName(key.SHA256)
	for name, test := range map[string]struct {
		middle func(http.Handler) http.Handler
		want   string
	}{
		"altered key":        {lie(blob, flip), "proving-key"},
		"truncated key":      {lie(blob, func(body []byte) []byte { return body[:len(body)/2] }), "proving-key"},
		"longer key":         {lie(blob, func(body []byte) []byte { return append(body, 0) }), "proving-key"},
		"altered manifest":   {lie("/blobs/sha256:"+bundle.DirName(built.Digest), flip), "manifest.json"},
		"altered signatures": {lie("/blobs/"+signaturesDigest(t), flip), "signatures.note"},
		"altered image":      {lie("/manifests/", flip), "the image manifest"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ref := serve(t, test.middle) + "/tiny:1"
			_, err := oci.Push(t.Context(), built, ref, options(t))
			if err != nil { // tagging reads the image back
				require.Equal(t, "altered image", name)
				return
			}
			store := t.TempDir()
			_, err = oci.Pull(t.Context(), ref, store, wire.Hash{}, options(t))
			require.ErrorContains(t, err, test.want)
			require.Empty(t, list(t, store))
		})
	}
}

func signaturesDigest(t *testing.T) string {
	t.Helper()
	text, err := built.SignaturesText()
	require.NoError(t, err)
	return digest.FromBytes(text).String()
}

// forge puts an artifact of any kind into an image layout.
type forge struct {
	t     *testing.T
	dir   string
	image ocispec.Manifest
}

func newForge(t *testing.T) *forge {
	t.Helper()
	f := &forge{t: t, dir: t.TempDir()}
	_, err := oci.Push(t.Context(), built, "oci:"+f.dir+":honest", options(t))
	require.NoError(t, err)
	index := f.index()
	require.NoError(t, json.Unmarshal(f.read(index.Manifests[0].Digest), &f.image))
	return f
}

func (f *forge) index() (index ocispec.Index) {
	text, err := os.ReadFile(filepath.Join(f.dir, "index.json"))
	require.NoError(f.t, err)
	require.NoError(f.t, json.Unmarshal(text, &index))
	return index
}

func (f *forge) path(d digest.Digest) string {
	return filepath.Join(f.dir, "blobs", "sha256", d.Encoded())
}

func (f *forge) read(d digest.Digest) []byte {
	text, err := os.ReadFile(f.path(d))
	require.NoError(f.t, err)
	return text
}

func (f *forge) put(mediaType string, content []byte) ocispec.Descriptor {
	d := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(content), Size: int64(len(content))}
	require.NoError(f.t, os.WriteFile(f.path(d.Digest), content, 0o644))
	return d
}

// putJSON is put of what is written as JSON.
func (f *forge) putJSON(mediaType string, v any) ocispec.Descriptor {
	text, err := json.Marshal(v)
	require.NoError(f.t, err)
	return f.put(mediaType, text)
}

// tag calls a descriptor "forged".
func (f *forge) tag(d ocispec.Descriptor) {
	d.Annotations = map[string]string{ocispec.AnnotationRefName: "forged"}
	index := f.index()
	index.Manifests = append(index.Manifests, d)
	text, err := json.Marshal(&index)
	require.NoError(f.t, err)
	require.NoError(f.t, os.WriteFile(filepath.Join(f.dir, "index.json"), text, 0o644))
}

// remanifest changes the bundle's manifest.
func (f *forge) remanifest(change func(m *bundle.Manifest)) {
	var m bundle.Manifest
	require.NoError(f.t, json.Unmarshal(f.read(f.image.Config.Digest), &m))
	change(&m)
	f.image.Config = f.putJSON(oci.MediaManifest, &m)
	f.image.Layers = f.image.Layers[:len(m.Parts)] // the signatures are of another
}

func (f *forge) layer(name string) *ocispec.Descriptor {
	for i, p := range built.Manifest.Parts {
		if p.Name == name {
			return &f.image.Layers[i]
		}
	}
	return nil
}

// TestForgedArtifacts are what a stranger could push.
func TestForgedArtifacts(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		spoil func(f *forge)
		kind  error
		want  string
	}{
		{"artifact type", func(f *forge) { f.image.ArtifactType = "application/vnd.gristmill.bundle.v2" }, oci.ErrNotBundle, "bundle.v2"},
		{"config type", func(f *forge) { f.image.Config.MediaType = ocispec.MediaTypeImageConfig }, oci.ErrNotBundle, "image.config"},
		{"layer type", func(f *forge) { f.image.Layers[0].MediaType = ocispec.MediaTypeImageLayerGzip }, oci.ErrNotBundle, "tar+gzip"},
		{"absurd config", func(f *forge) { f.image.Config.Size = 1 << 60 }, oci.ErrTooBig, "manifest.json"},
		{"absurd layer", func(f *forge) { f.layer(bundle.PartCircuit).Size = 1 << 60 }, bundle.ErrAltered, "circuit"},
		{"absurd signatures", func(f *forge) { f.image.Layers[len(f.image.Layers)-1].Size = 1 << 60 }, oci.ErrTooBig, "signatures.note"},
		{"many layers", func(f *forge) {
			for range 1000 {
				f.image.Layers = append(f.image.Layers, f.image.Layers[0])
			}
		}, oci.ErrTooBig, "layers"},
		{"layer of no part", func(f *forge) {
			f.image.Layers = append(f.image.Layers, f.put(oci.MediaPart, []byte("stowaway")))
		}, oci.ErrNotBundle, "belongs to no part"},
		{"missing layer", func(f *forge) { f.image.Layers = f.image.Layers[1:] }, bundle.ErrMissing, "plugin"},
		{"weak digest", func(f *forge) { f.image.Layers[0].Digest = "md5:d41d8cd98f00b204e9800998ecf8427e" }, oci.ErrNotBundle, "no SHA-256"},
		{"path in a digest", func(f *forge) { f.image.Layers[0].Digest = "sha256:../../../etc/passwd" }, oci.ErrNotBundle, "no SHA-256"},
		{"signatures twice", func(f *forge) {
			f.image.Layers = append(f.image.Layers, f.image.Layers[len(f.image.Layers)-1])
		}, oci.ErrNotBundle, "signatures twice"},
		{"signatures of another bundle", func(f *forge) {
			signed, err := note.Sign(&note.Note{Text: "gristmill bundle v1\n0x00\n"}, must(f.t))
			require.NoError(f.t, err)
			f.image.Layers[len(f.image.Layers)-1] = f.put(oci.MediaSignatures, signed)
		}, bundle.ErrMismatch, "signatures.note"},
		{"format version", func(f *forge) { f.remanifest(func(m *bundle.Manifest) { m.Format = 9 }) }, bundle.ErrFormat, "it is 9"},
		{"path outside", func(f *forge) { f.remanifest(func(m *bundle.Manifest) { m.Parts[1].Path = "../../escaped" }) }, bundle.ErrPath, "escaped"},
		{"absolute path", func(f *forge) { f.remanifest(func(m *bundle.Manifest) { m.Parts[1].Path = "/tmp/escaped" }) }, bundle.ErrPath, "escaped"},
		{"path through a file", func(f *forge) {
			f.remanifest(func(m *bundle.Manifest) { m.Parts[2].Path = m.Parts[1].Path + "/below" })
		}, nil, "proving-key"},
		{"path of the manifest", func(f *forge) {
			f.remanifest(func(m *bundle.Manifest) { m.Parts[1].Path = "manifest.json" })
		}, bundle.ErrMalformed, "belongs to another part"},
		{"absurd part", func(f *forge) { f.remanifest(func(m *bundle.Manifest) { m.Parts[2].Size = 1 << 62 }) }, bundle.ErrSize, "proving-key"},
		{"more than the limit", func(f *forge) {
			f.layer(bundle.PartProvingKey).Size = 400 << 30
			f.remanifest(func(m *bundle.Manifest) { m.Parts[2].Size = 400 << 30 })
		}, oci.ErrTooBig, "allowed here"},
		{"shorter blob", func(f *forge) {
			require.NoError(f.t, os.Truncate(f.path(f.layer(bundle.PartProvingKey).Digest), 100))
		}, bundle.ErrAltered, "proving-key"},
		{"blob that is a link", func(f *forge) {
			path := f.path(f.layer(bundle.PartCircuit).Digest)
			require.NoError(f.t, os.Remove(path))
			require.NoError(f.t, os.Symlink("/etc/hostname", path))
		}, nil, "circuit"},
		{"parts that do not belong together", func(f *forge) {
			raw := bytes.Clone(f.read(f.layer(bundle.PartKnownAnswer).Digest))
			raw[len(raw)-1] ^= 1
			d := f.put(oci.MediaPart, raw)
			*f.layer(bundle.PartKnownAnswer) = d
			f.remanifest(func(m *bundle.Manifest) {
				for i := range m.Parts {
					if m.Parts[i].Name == bundle.PartKnownAnswer {
						m.Parts[i].SHA256 = wire.SHA256(raw)
					}
				}
			})
		}, bundle.ErrMismatch, "known-answer"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			f := newForge(t)
			test.spoil(f)
			f.tag(f.putJSON(ocispec.MediaTypeImageManifest, &f.image))
			f.refused("forged", test.kind, test.want)
		})
	}
}

func must(t *testing.T) note.Signer {
	secret, _, err := bundle.NewSigner("mallory")
	require.NoError(t, err)
	signer, err := note.NewSigner(secret)
	require.NoError(t, err)
	return signer
}

func (f *forge) refused(tag string, kind error, want string) {
	f.t.Helper()
	store := f.t.TempDir()
	_, err := oci.Pull(f.t.Context(), "oci:"+f.dir+":"+tag, store, wire.Hash{}, options(f.t))
	require.ErrorContains(f.t, err, want)
	if kind != nil {
		require.ErrorIs(f.t, err, kind)
	}
	require.Empty(f.t, list(f.t, store))
	require.NoFileExists(f.t, filepath.Join(filepath.Dir(store), "escaped"))
}

// References that lead to no image manifest are followed nowhere.
func TestIndexesAreRefused(t *testing.T) {
	t.Parallel()
	f := newForge(t)
	image := f.putJSON(ocispec.MediaTypeImageManifest, &f.image)
	f.tag(f.putJSON(ocispec.MediaTypeImageIndex, ocispec.Index{MediaType: ocispec.MediaTypeImageIndex, Manifests: []ocispec.Descriptor{image, image}}))
	f.refused("forged", oci.ErrNotBundle, "image.index")

	f = newForge(t)
	image = f.putJSON(ocispec.MediaTypeImageManifest, &f.image)
	image.Size = 1 << 60
	f.tag(image)
	f.refused("forged", oci.ErrTooBig, "image manifest")

	f = newForge(t)
	require.NoError(t, os.WriteFile(filepath.Join(f.dir, "index.json"), bytes.Repeat([]byte(" "), 2<<20), 0o644))
	f.refused("honest", oci.ErrTooBig, "index.json")

	f = newForge(t)
	require.NoError(t, os.WriteFile(filepath.Join(f.dir, "oci-layout"), []byte(`{"imageLayoutVersion":"2.0.0"}`), 0o644))
	f.refused("honest", nil, `version "2.0.0"`)

	f = newForge(t)
	f.refused("absent", nil, `no "absent"`)
	_, err := oci.Pull(t.Context(), "oci:"+f.dir+":honest", t.TempDir(), wire.Hash{1}, options(t))
	require.ErrorIs(t, err, bundle.ErrAltered, "another digest than the one asked for")
	picky, store := options(t), t.TempDir()
	picky.Trust = &bundle.Policy{Digests: map[wire.Hash]bool{{1}: true}}
	_, err = oci.Pull(t.Context(), "oci:"+f.dir+":honest", store, wire.Hash{}, picky)
	require.ErrorIs(t, err, bundle.ErrUntrusted)
	require.Empty(t, list(t, store))
	small := options(t)
	small.MaxBytes = 1000
	_, err = oci.Pull(t.Context(), "oci:"+f.dir+":honest", t.TempDir(), wire.Hash{}, small)
	require.ErrorIs(t, err, oci.ErrTooBig)
}
