package oci

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/gristmill-zk/gristmill/plugins/bundle"
	"github.com/gristmill-zk/gristmill/wire"
)

// What an artifact and its blobs are called.
const (
	ArtifactType    = "application/vnd.gristmill.bundle.v1"
	MediaManifest   = "application/vnd.gristmill.bundle.manifest.v1+json"
	MediaPart       = "application/vnd.gristmill.bundle.part.v1"
	MediaSignatures = "application/vnd.gristmill.bundle.signatures.v1"
)

// Bounds of what describes a bundle, in bytes.
const (
	maxMetadata = 1 << 20
	maxLayers   = 128
)

// What can be wrong with an artifact; what is wrong with the bundle in it is a
// [*bundle.Error].
var (
	ErrNotBundle = errors.New("is no bundle")
	ErrAltered   = errors.New("is not what its digest says")
	ErrTooBig    = bundle.ErrTooBig
)

func digestOf(hash wire.Hash) digest.Digest {
	return digest.NewDigestFromEncoded(digest.SHA256, hex.EncodeToString(hash[:]))
}

func partDescriptor(p *bundle.Part) ocispec.Descriptor {
	return ocispec.Descriptor{
		MediaType: MediaPart, Digest: digestOf(p.SHA256), Size: p.Size,
		Annotations: map[string]string{ocispec.AnnotationTitle: p.Path},
	}
}

func textDescriptor(mediaType, title string, text []byte) ocispec.Descriptor {
	return ocispec.Descriptor{
		MediaType: mediaType, Digest: digest.FromBytes(text), Size: int64(len(text)),
		Annotations: map[string]string{ocispec.AnnotationTitle: title},
	}
}

// manifestOf describes a bundle as an artifact.
func manifestOf(m *bundle.Manifest, config ocispec.Descriptor, signatures *ocispec.Descriptor) ([]byte, error) {
	out := ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest, ArtifactType: ArtifactType,
		Config:      config,
		Annotations: map[string]string{ocispec.AnnotationTitle: m.Name, ocispec.AnnotationVersion: m.Version},
	}
	for i := range m.Parts {
		layer := partDescriptor(&m.Parts[i])
		if !slices.ContainsFunc(out.Layers, func(l ocispec.Descriptor) bool { return l.Digest == layer.Digest }) {
			out.Layers = append(out.Layers, layer)
		}
	}
	if signatures != nil {
		out.Layers = append(out.Layers, *signatures)
	}
	text, err := json.Marshal(&out)
	if err != nil {
		return nil, fmt.Errorf("oci: %w", err)
	}
	return text, nil
}

// artifact is an image manifest that was checked to be of a bundle.
type artifact struct {
	config     ocispec.Descriptor
	parts      map[digest.Digest]ocispec.Descriptor
	signatures *ocispec.Descriptor
}

// checkDescriptor refuses what is no image manifest of a sensible size before
// it is fetched. An index could lead anywhere, so there is none.
func checkDescriptor(d *ocispec.Descriptor) error {
	switch {
	case d.MediaType != ocispec.MediaTypeImageManifest:
		return fmt.Errorf("the reference %w: it leads to %q, must be %q", ErrNotBundle, d.MediaType, ocispec.MediaTypeImageManifest)
	case d.Size < 1 || d.Size > maxMetadata:
		return fmt.Errorf("the image manifest %w: it is %d bytes, at most %d", ErrTooBig, d.Size, maxMetadata)
	}
	return checkDigest("the image manifest", d.Digest)
}

func checkDigest(what string, d digest.Digest) error {
	if err := d.Validate(); err != nil || d.Algorithm() != digest.SHA256 {
		return fmt.Errorf("%s %w: its digest %q is no SHA-256", what, ErrNotBundle, d)
	}
	return nil
}

func parseArtifact(text []byte) (*artifact, error) {
	var m ocispec.Manifest
	if err := json.NewDecoder(bytes.NewReader(text)).Decode(&m); err != nil {
		return nil, fmt.Errorf("the artifact %w: %w", ErrNotBundle, err)
	}
	switch {
	case m.MediaType != "" && m.MediaType != ocispec.MediaTypeImageManifest:
		return nil, fmt.Errorf("the artifact %w: it calls itself %q", ErrNotBundle, m.MediaType)
	case m.ArtifactType != ArtifactType:
		return nil, fmt.Errorf("the artifact %w: it is of the type %q, this program knows %q", ErrNotBundle, m.ArtifactType, ArtifactType)
	case m.Config.MediaType != MediaManifest:
		return nil, fmt.Errorf("the artifact %w: its config is of the type %q, this program knows %q", ErrNotBundle, m.Config.MediaType, MediaManifest)
	case m.Config.Size < 1 || m.Config.Size > bundle.MaxManifest:
		return nil, fmt.Errorf("%s %w: it is %d bytes, at most %d", bundle.ManifestName, ErrTooBig, m.Config.Size, bundle.MaxManifest)
	case len(m.Layers) > maxLayers:
		return nil, fmt.Errorf("the artifact %w: it has %d layers, at most %d", ErrTooBig, len(m.Layers), maxLayers)
	}
	if err := checkDigest(bundle.ManifestName, m.Config.Digest); err != nil {
		return nil, err
	}
	a := &artifact{config: m.Config, parts: map[digest.Digest]ocispec.Descriptor{}}
	for i := range m.Layers {
		if err := a.add(&m.Layers[i]); err != nil {
			return nil, err
		}
	}
	return a, nil
}

func (a *artifact) add(layer *ocispec.Descriptor) error {
	what := fmt.Sprintf("layer %s", layer.Digest)
	if err := checkDigest(what, layer.Digest); err != nil {
		return err
	}
	switch layer.MediaType {
	case MediaPart:
		a.parts[layer.Digest] = *layer
	case MediaSignatures:
		switch {
		case a.signatures != nil:
			return fmt.Errorf("the artifact %w: it has signatures twice", ErrNotBundle)
		case layer.Size < 1 || layer.Size > bundle.MaxSignatures:
			return fmt.Errorf("%s %w: it is %d bytes, at most %d", bundle.SignaturesName, ErrTooBig, layer.Size, bundle.MaxSignatures)
		}
		a.signatures = layer
	default:
		return fmt.Errorf("the artifact %w: %s is of the unknown type %q", ErrNotBundle, what, layer.MediaType)
	}
	return nil
}

// checkParts holds the layers against the manifest: one for each part, of its
// size, and no others.
func (a *artifact) checkParts(m *bundle.Manifest) error {
	used := map[digest.Digest]bool{}
	for i := range m.Parts {
		p := &m.Parts[i]
		layer, found := a.parts[digestOf(p.SHA256)]
		switch {
		case !found:
			return &bundle.Error{Part: p.Name, Kind: bundle.ErrMissing, Detail: "the artifact has no layer for it"}
		case layer.Size != p.Size:
			return &bundle.Error{Part: p.Name, Kind: bundle.ErrAltered, Detail: fmt.Sprintf("its layer is %d bytes, the manifest says %d", layer.Size, p.Size)}
		}
		used[layer.Digest] = true
	}
	for d := range a.parts {
		if !used[d] {
			return fmt.Errorf("the artifact %w: layer %s belongs to no part", ErrNotBundle, d)
		}
	}
	return nil
}
