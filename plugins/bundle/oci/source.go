package oci

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"oras.land/oras-go/v2/errdef"

	"github.com/gristmill-zk/gristmill/plugins/bundle"
	"github.com/gristmill-zk/gristmill/wire"
)

// Source is a repository of a registry, or an image layout, as a place that
// bundles are fetched from by their digest.
type Source struct {
	at   reference
	tag  bool // at names a tag or digest, which may lead to the bundle, too
	opts Options
}

var _ bundle.Source = (*Source)(nil)

// NewSource names a place: HOST/NAME or oci:DIRECTORY. What was pushed there is
// found by the tag that every push gives, the bundle's digest in hexadecimal.
// With :TAG or @sha256:DIGEST what that names is looked at as well, for artifacts
// that were copied without their other tags.
func NewSource(ref string, opts Options) (*Source, error) {
	opts.defaults()
	at, err := parseReference(ref)
	if err != nil {
		return nil, err
	}
	s := &Source{at: at, opts: opts, tag: at.name != defaultTag || strings.HasSuffix(ref, ":"+defaultTag)}
	if at.layout != "" {
		return s, nil
	}
	_, err = at.repository(&opts) // its mistakes are better named now than later
	return s, err
}

// String is how the operator named the place.
func (s *Source) String() string {
	switch {
	case s.tag:
		return s.at.String()
	case s.at.layout != "":
		return layoutScheme + s.at.layout
	}
	return s.at.remote.Registry + "/" + s.at.remote.Repository
}

// Find implements bundle.Source.
func (s *Source) Find(ctx context.Context, digest wire.Hash) (*bundle.Shipment, error) {
	from, done, err := s.at.readable(&s.opts)
	if err != nil {
		return nil, err
	}
	shipment, err := s.find(ctx, from, digest)
	if err != nil {
		done()
		return nil, fmt.Errorf("oci: %s: %w", s, err)
	}
	shipment.Close = done
	return shipment, nil
}

func (s *Source) find(ctx context.Context, from place, digest wire.Hash) (*bundle.Shipment, error) {
	_, shipment, err := describe(ctx, from, s.at.to(bundle.DirName(digest)), digest)
	if err == nil || !errors.Is(err, errdef.ErrNotFound) {
		return shipment, err
	}
	absent := fmt.Errorf("it %w: there is no tag %s", bundle.ErrNotThere, bundle.DirName(digest))
	if !s.tag {
		return nil, absent
	}
	_, shipment, err = describe(ctx, from, s.at, digest)
	var wrong *bundle.Error
	switch {
	case errors.Is(err, errdef.ErrNotFound):
		return nil, fmt.Errorf("it %w: there is neither a tag %s nor %s", bundle.ErrNotThere, bundle.DirName(digest), s.at.name)
	case errors.As(err, &wrong) && wrong.Part == bundle.ManifestName && wrong.Kind == bundle.ErrAltered:
		return nil, fmt.Errorf("it %w: there is no tag %s, and %s is another", bundle.ErrNotThere, bundle.DirName(digest), s.at.name)
	}
	return shipment, err
}

// Check implements bundle.Source: that a tag which nobody has is not there must
// be said by the place itself.
func (s *Source) Check(ctx context.Context) error {
	from, done, err := s.at.readable(&s.opts)
	if err != nil {
		return err
	}
	defer done()
	name := s.at.name
	if !s.tag {
		name = bundle.DirName(wire.Hash{})
	}
	_, err = from.Resolve(ctx, name)
	if err == nil || !s.tag && errors.Is(err, errdef.ErrNotFound) {
		return nil
	}
	return fmt.Errorf("oci: %s: %w", s, err)
}
