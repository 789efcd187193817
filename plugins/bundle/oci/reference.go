package oci

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"

	"oras.land/oras-go/v2"
	ocistore "oras.land/oras-go/v2/content/oci"
	"oras.land/oras-go/v2/registry"
	"oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/credentials"
	"oras.land/oras-go/v2/registry/remote/retry"
)

// ErrReference says that a reference names no place for a bundle.
var ErrReference = errors.New("is no reference to a bundle: want HOST/NAME:TAG, HOST/NAME@sha256:DIGEST, or oci:DIRECTORY:TAG for an image layout")

// defaultTag is meant when a reference has neither tag nor digest.
const defaultTag = "latest"

// layoutScheme begins references to image layouts.
const layoutScheme = "oci:"

// reference is where an artifact lies.
type reference struct {
	layout string             // directory of an image layout, or empty
	remote registry.Reference // without tag or digest, unless layout
	name   string             // tag or digest
}

// String is what the user could give.
func (r reference) String() string {
	separator := ":"
	if r.pinned() {
		separator = "@"
	}
	if r.layout != "" {
		return layoutScheme + r.layout + separator + r.name
	}
	return r.remote.Registry + "/" + r.remote.Repository + separator + r.name
}

// pinned says whether the reference names a digest.
func (r reference) pinned() bool { return strings.HasPrefix(r.name, "sha256:") }

// to is the same place under another tag or digest.
func (r reference) to(name string) reference {
	r.name = name
	return r
}

func parseReference(text string) (reference, error) {
	if rest, is := strings.CutPrefix(text, layoutScheme); is {
		return parseLayout(text, rest)
	}
	parsed, err := registry.ParseReference(text)
	if err != nil {
		return reference{}, fmt.Errorf("oci: %q %w: %w", text, ErrReference, err)
	}
	r := reference{remote: registry.Reference{Registry: parsed.Registry, Repository: parsed.Repository}, name: parsed.Reference}
	if r.name == "" {
		r.name = defaultTag
	}
	if strings.Contains(r.name, ":") && !r.pinned() {
		return reference{}, fmt.Errorf("oci: %q %w: digests must be SHA-256", text, ErrReference)
	}
	return r, nil
}

func parseLayout(text, rest string) (reference, error) {
	if strings.HasPrefix(rest, "//") {
		return reference{}, fmt.Errorf("oci: %q %w: registries are written without oci://", text, ErrReference)
	}
	r := reference{layout: rest, name: defaultTag}
	if dir, digest, found := strings.Cut(rest, "@"); found {
		r.layout, r.name = dir, digest
		if !r.pinned() {
			return reference{}, fmt.Errorf("oci: %q %w: digests must be SHA-256", text, ErrReference)
		}
	} else if i := strings.LastIndexByte(rest, ':'); i > strings.LastIndexByte(rest, '/') {
		r.layout, r.name = rest[:i], rest[i+1:]
	}
	check := registry.Reference{Registry: "localhost", Repository: "x", Reference: r.name}
	if err := check.ValidateReference(); err != nil || r.layout == "" {
		return reference{}, fmt.Errorf("oci: %q %w", text, errors.Join(ErrReference, err))
	}
	return r, nil
}

// writable opens the place to push to.
func (r reference) writable(opts *Options) (oras.Target, error) {
	if r.layout == "" {
		return r.repository(opts)
	}
	store, err := ocistore.New(r.layout)
	if err != nil {
		return nil, fmt.Errorf("oci: image layout %s: %w", r.layout, err)
	}
	return store, nil
}

// repository speaks to a registry: without TLS only on this machine.
func (r reference) repository(opts *Options) (*remote.Repository, error) {
	repo, err := remote.NewRepository(r.remote.Registry + "/" + r.remote.Repository)
	if err != nil {
		return nil, fmt.Errorf("oci: %s: %w", r, err)
	}
	repo.PlainHTTP = isLoopback(r.remote.Registry)
	repo.MaxMetadataBytes = maxMetadata
	lookUp, err := opts.credentials()
	if err != nil {
		return nil, err
	}
	repo.Client = &auth.Client{
		Client: retry.DefaultClient, Cache: auth.NewCache(), Credential: lookUp,
		Header: http.Header{"User-Agent": {"gristmill"}},
	}
	return repo, nil
}

func isLoopback(hostport string) bool {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = hostport
	}
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(strings.Trim(host, "[]"))
	return ip != nil && ip.IsLoopback()
}

// credentials finds what a user is known by at registries, as docker does.
func (o *Options) credentials() (auth.CredentialFunc, error) {
	var store credentials.Store
	var err error
	if o.DockerConfig != "" {
		store, err = credentials.NewStore(o.DockerConfig, credentials.StoreOptions{})
	} else {
		store, err = credentials.NewStoreFromDocker(credentials.StoreOptions{})
	}
	if err != nil {
		return nil, fmt.Errorf("oci: credentials: %w", err)
	}
	return credentials.Credential(store), nil
}
