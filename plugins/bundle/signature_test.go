package bundle_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/mod/sumdb/note"

	"github.com/gristmill-zk/gristmill/plugins/bundle"
)

// party is somebody who signs.
type party struct {
	note.Signer
	public   string
	verifier note.Verifier
}

func newParty(t *testing.T, name string) party {
	t.Helper()
	secret, public, err := bundle.NewSigner(name)
	require.NoError(t, err)
	signer, err := note.NewSigner(secret)
	require.NoError(t, err)
	verifier, err := note.NewVerifier(public)
	require.NoError(t, err)
	return party{Signer: signer, public: public, verifier: verifier}
}

func opened(t *testing.T) *bundle.Bundle {
	t.Helper()
	b, err := bundle.Open(t.Context(), clone(t))
	require.NoError(t, err)
	return b
}

func TestSeveralSignOneBundle(t *testing.T) {
	t.Parallel()
	b := opened(t)
	names, err := b.Signers()
	require.NoError(t, err)
	require.Empty(t, names)

	alice, bob, carol := newParty(t, "alice"), newParty(t, "bob"), newParty(t, "carol")
	require.NoError(t, b.Sign(alice))
	require.NoError(t, b.Sign(bob))
	require.NoError(t, b.Sign(alice), "again")
	names, err = b.Signers()
	require.NoError(t, err)
	require.Len(t, names, 2)

	good, err := b.VerifySignatures(bob.verifier, carol.verifier)
	require.NoError(t, err)
	require.Len(t, good, 1)
	require.True(t, strings.HasPrefix(good[0], "bob+"), good)
	good, err = b.VerifySignatures(carol.verifier)
	require.NoError(t, err)
	require.Empty(t, good)

	again, err := bundle.OpenDigest(t.Context(), b.Dir, built.Digest)
	require.NoError(t, err, "signatures change nothing of the bundle's identity")
	good, err = again.VerifySignatures(alice.verifier)
	require.NoError(t, err)
	require.Len(t, good, 1)
}

// Somebody who signed elsewhere is added to those who signed here.
func TestSignaturesAreMerged(t *testing.T) {
	t.Parallel()
	alice, bob := newParty(t, "alice"), newParty(t, "bob")
	here, there := opened(t), opened(t)
	require.NoError(t, here.Sign(alice))
	require.NoError(t, there.Sign(bob))
	text, err := there.SignaturesText()
	require.NoError(t, err)
	for range 2 {
		require.NoError(t, here.AddSignatures(text))
	}
	good, err := here.VerifySignatures(alice.verifier, bob.verifier)
	require.NoError(t, err)
	require.Len(t, good, 2)

	unsigned := opened(t)
	require.NoError(t, unsigned.AddSignatures(text))
	good, err = unsigned.VerifySignatures(bob.verifier)
	require.NoError(t, err)
	require.Len(t, good, 1)
}

func TestBadSignaturesAreNamed(t *testing.T) {
	t.Parallel()
	alice, mallory := newParty(t, "alice"), newParty(t, "mallory")
	for name, test := range map[string]struct {
		spoil func(text []byte) []byte
		kind  error
	}{
		"other digest": {func(text []byte) []byte {
			signed, err := note.Sign(&note.Note{Text: "gristmill bundle v1\n0x00\n"}, alice)
			require.NoError(t, err)
			return signed
		}, bundle.ErrMismatch},
		"other purpose": {func([]byte) []byte {
			signed, err := note.Sign(&note.Note{Text: built.Digest.String() + "\n"}, alice)
			require.NoError(t, err)
			return signed
		}, bundle.ErrMismatch},
		"altered signature": {func(text []byte) []byte {
			i := bytes.LastIndexByte(text, ' ') + 20
			text[i] = 'A' + (text[i]-'A'+1)%26
			return text
		}, bundle.ErrAltered},
		"no note":     {func([]byte) []byte { return []byte("signed, really\n") }, bundle.ErrMalformed},
		"empty":       {func([]byte) []byte { return nil }, bundle.ErrMalformed},
		"truncated":   {func(text []byte) []byte { return text[:len(text)-2] }, bundle.ErrMalformed},
		"without end": {func([]byte) []byte { return bytes.Repeat([]byte("a"), 1<<20) }, bundle.ErrSize},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := opened(t)
			require.NoError(t, b.Sign(alice))
			path := filepath.Join(b.Dir, bundle.SignaturesName)
			text, err := os.ReadFile(path)
			require.NoError(t, err)
			replace(t, path, test.spoil(text))
			_, err = b.VerifySignatures(alice.verifier)
			require.ErrorIs(t, err, test.kind)
			require.ErrorContains(t, err, bundle.SignaturesName)
			if test.kind != bundle.ErrAltered { // which only a verifier sees
				require.ErrorIs(t, b.Sign(mallory), test.kind)
			}
		})
	}
	b := opened(t)
	outside := filepath.Join(t.TempDir(), "outside")
	require.NoError(t, os.WriteFile(outside, []byte("secret"), 0o600))
	require.NoError(t, os.Symlink(outside, filepath.Join(b.Dir, bundle.SignaturesName)))
	_, err := b.Signers()
	require.ErrorIs(t, err, bundle.ErrAltered)
}

func TestPolicy(t *testing.T) {
	t.Parallel()
	alice, bob := newParty(t, "alice"), newParty(t, "bob")
	policy := func(lines ...string) *bundle.Policy {
		p, err := bundle.ParsePolicy(strings.NewReader(strings.Join(lines, "\n")))
		require.NoError(t, err)
		return p
	}
	b := opened(t)
	require.NoError(t, (*bundle.Policy)(nil).Check(b))
	require.NoError(t, policy("# ours", "", b.Digest.String()).Check(b))
	err := policy(alice.public).Check(b)
	require.ErrorIs(t, err, bundle.ErrUntrusted)
	require.ErrorContains(t, err, "nobody signed it")

	require.NoError(t, b.Sign(bob))
	err = policy(alice.public).Check(b)
	require.ErrorIs(t, err, bundle.ErrUntrusted)
	require.ErrorContains(t, err, "bob+")
	require.NoError(t, b.Sign(alice))
	require.NoError(t, policy("0x"+strings.Repeat("11", 32), alice.public).Check(b))

	// A key of the same name is another key.
	require.ErrorIs(t, policy(newParty(t, "alice").public).Check(b), bundle.ErrUntrusted)
}

func TestBadPolicies(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                "names no signer",
		"# nobody":        "names no signer",
		"\nalice":         "line 2",
		"0x12":            "digest",
		"alice+00000000+": "public key",
	} {
		_, err := bundle.ParsePolicy(strings.NewReader(text))
		require.ErrorContains(t, err, want, text)
	}
}

func FuzzPolicy(f *testing.F) {
	f.Add("# x\n0x00")
	f.Fuzz(func(t *testing.T, text string) {
		if p, err := bundle.ParsePolicy(strings.NewReader(text)); err == nil {
			require.NotZero(t, len(p.Signers)+len(p.Digests))
		}
	})
}
