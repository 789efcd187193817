package oci

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func FuzzArtifact(f *testing.F) {
	f.Add([]byte(`{"schemaVersion":2,"artifactType":"` + ArtifactType + `","config":{"mediaType":"` + MediaManifest +
		`","digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","size":2},"layers":[]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		a, err := parseArtifact(text)
		if err != nil {
			return
		}
		require.NoError(t, checkDigest("", a.config.Digest))
		require.Positive(t, a.config.Size)
		for d := range a.parts {
			require.NoError(t, checkDigest("", d))
		}
	})
}

func FuzzReference(f *testing.F) {
	f.Add("registry.example/team/meter:1.0.0")
	f.Add("oci:./layout@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
	f.Fuzz(func(t *testing.T, text string) {
		r, err := parseReference(text)
		if err != nil {
			return
		}
		require.NotEmpty(t, r.name)
		again, err := parseReference(r.String())
		require.NoError(t, err, r.String())
		require.Equal(t, r, again)
	})
}
