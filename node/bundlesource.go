package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/gristmill-zk/gristmill/plugins/bundle"
	"github.com/gristmill-zk/gristmill/plugins/bundle/fetch"
	"github.com/gristmill-zk/gristmill/plugins/bundle/oci"
)

// BundleSources say where a worker fetches bundles from that are missing in its
// data directory.
type BundleSources struct {
	// Names are sources, asked in this order: HOST/NAME of an OCI registry,
	// oci:FOLDER of an image layout, both also with a tag, or a folder (with a
	// slash at its beginning, or ./) that is an image layout or has bundles in
	// folders named by their digest. Empty: bundles are put there by hand.
	Names []string
	// MaxBytes is the most that one bundle may have in all; 0 is
	// bundle.DefaultMaxBytes.
	MaxBytes int64
	// Timeout is the time for one bundle; 0 is an hour.
	Timeout time.Duration
	// AllowUntrusted fetches what the chain names though there is no allow-list.
	AllowUntrusted bool
	// DockerConfig is the file with the registries' credentials; empty is
	// docker's own.
	DockerConfig string
}

// validate says what is wrong with the sources; trust is the file of the
// allow-list, which is not read.
func (s *BundleSources) validate(trust string) error {
	switch {
	case s.MaxBytes < 0:
		return fmt.Errorf("--bundle-max-bytes %d: want bytes, or 0 for %d", s.MaxBytes, int64(bundle.DefaultMaxBytes))
	case s.Timeout < 0:
		return fmt.Errorf("--bundle-timeout %v: want a time, or 0 for an hour", s.Timeout)
	case len(s.Names) == 0:
		return nil
	case trust == "" && !s.AllowUntrusted:
		return errors.New("--bundle-source: say with --trust FILE whose bundles may be fetched, an allow-list of signers and digests; or fetch whatever the chain names with --allow-untrusted-bundles")
	case trust != "" && s.AllowUntrusted:
		return errors.New("--allow-untrusted-bundles and --trust contradict each other: give one of them")
	}
	return nil
}

// open makes the sources.
func (s *BundleSources) open() ([]bundle.Source, error) {
	all := make([]bundle.Source, 0, len(s.Names))
	for _, name := range s.Names {
		source, err := s.openOne(name)
		if err != nil {
			return nil, fmt.Errorf("--bundle-source %s: %w", name, err)
		}
		all = append(all, source)
	}
	return all, nil
}

func (s *BundleSources) openOne(name string) (bundle.Source, error) {
	opts := oci.Options{DockerConfig: s.DockerConfig}
	if !strings.HasPrefix(name, "/") && !strings.HasPrefix(name, "./") && !strings.HasPrefix(name, "../") {
		return oci.NewSource(name, opts)
	}
	dir, err := filepath.Abs(name)
	if err != nil {
		return nil, err
	}
	if isFile(filepath.Join(dir, "oci-layout")) {
		return oci.NewSource("oci:"+dir, opts)
	}
	return fetch.Folder(dir), nil
}

// fetcher makes what fetches bundles into a store; nil without sources.
func (s *BundleSources) fetcher(store string, trust *bundle.Policy, insecure bool, logger *slog.Logger) (*fetch.Fetcher, error) {
	if len(s.Names) == 0 {
		return nil, nil
	}
	sources, err := s.open()
	if err != nil {
		return nil, err
	}
	return fetch.New(fetch.Config{
		Store: store, Sources: sources, MaxBytes: s.MaxBytes, Timeout: s.Timeout,
		Trust: trust, AllowUntrusted: s.AllowUntrusted, AllowInsecure: insecure, Logger: logger,
	})
}

// sourceLimit bounds asking one source whether it answers.
const sourceLimit = 20 * time.Second

// bundles looks at the sources of bundles, and at what could not be fetched.
func (d *doctor) bundles(ctx context.Context) {
	d.sources(ctx)
	notes, err := fetch.Failures(d.opts.Dir.Path("bundles"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		d.add("missing bundles", Warn, "", "%v", err)
	}
	for _, n := range notes {
		d.add("missing bundle", Warn, n.Advice, "%s was wanted and could not be fetched at %s: %s", n.Digest, n.At.Local().Format(time.DateTime), n.Reason)
	}
}

func (d *doctor) sources(ctx context.Context) {
	const what = "bundle source"
	err := d.opts.Bundles.validate(d.opts.Trust)
	if err == nil {
		_, err = LoadPolicy(d.opts.Trust)
	}
	if err != nil {
		d.add(what, Fail, "", "%v", err)
		return
	}
	sources, err := d.opts.Bundles.open()
	if err != nil {
		d.add(what, Fail, "", "%v", err)
		return
	}
	for _, source := range sources {
		limited, cancel := context.WithTimeout(ctx, sourceLimit)
		err := source.Check(limited)
		cancel()
		if err != nil {
			d.add(what, Fail, "look at its address, the network, and the credentials in docker's config file", "%v", err)
			continue
		}
		d.add(what, OK, "", "%s answers", source)
	}
}
