package bundle

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/mod/sumdb/note"

	"github.com/gristmill-zk/gristmill/internal/durable"
	"github.com/gristmill-zk/gristmill/wire"
)

// SignaturesName is the file beside the manifest with the signatures of all
// who signed the bundle: a signed note (golang.org/x/mod/sumdb/note) over the
// manifest's digest. It is no part of the bundle's identity, so signing changes
// no digest that a chain pins.
const SignaturesName = "signatures.note"

// MaxSignatures bounds the file, in bytes.
const MaxSignatures = 64 << 10

// signedPrefix tells signatures of bundles from signatures of anything else.
const signedPrefix = "gristmill bundle v1\n"

func signedText(digest wire.Hash) string { return signedPrefix + digest.String() + "\n" }

// NewSigner makes an ed25519 key to sign bundles with. Name must be without
// spaces and plus signs. The verifier, "name+hash+key", is public; the secret
// is for [note.NewSigner].
func NewSigner(name string) (secret, verifier string, err error) {
	secret, verifier, err = note.GenerateKey(rand.Reader, name)
	if err != nil {
		return "", "", fmt.Errorf("bundle: signing key %q: %w", name, err)
	}
	return secret, verifier, nil
}

// Sign adds a signature to the bundle's others; one that is there by the same
// key is replaced.
func (b *Bundle) Sign(by note.Signer) error {
	signed, err := b.signatures(nil)
	if err != nil {
		return err
	}
	if signed == nil {
		signed = &note.Note{Text: signedText(b.Digest)}
	}
	signed.UnverifiedSigs = slices.DeleteFunc(signed.UnverifiedSigs, func(s note.Signature) bool {
		return s.Name == by.Name() && s.Hash == by.KeyHash()
	})
	text, err := note.Sign(signed, by)
	if err != nil {
		return fmt.Errorf("bundle: sign: %w", err)
	}
	return b.writeSignatures(text)
}

func (b *Bundle) writeSignatures(text []byte) error {
	path := filepath.Join(b.Dir, SignaturesName)
	if err := durable.WriteFile(path, text); err != nil {
		return fmt.Errorf("bundle: %w", err)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		return fmt.Errorf("bundle: %w", err)
	}
	return nil
}

// SignaturesText is the content of the file of signatures, checked to be one
// for this bundle; nil when nobody signed.
func (b *Bundle) SignaturesText() ([]byte, error) {
	text, err := b.readSignatures()
	if err != nil || text == nil {
		return nil, err
	}
	_, err = parseSignatures(text, b.Digest, nil)
	return text, err
}

// AddSignatures takes over the signatures in text that are not there yet.
// They must be for this bundle; whether they are genuine is for
// [Bundle.VerifySignatures] to say.
func (b *Bundle) AddSignatures(text []byte) error {
	more, err := parseSignatures(text, b.Digest, nil)
	if err != nil {
		return err
	}
	have, err := b.signatures(nil)
	if err != nil {
		return err
	}
	if have == nil {
		return b.writeSignatures(text)
	}
	for _, s := range more.UnverifiedSigs {
		if !slices.ContainsFunc(have.UnverifiedSigs, func(h note.Signature) bool { return h == s }) {
			have.UnverifiedSigs = append(have.UnverifiedSigs, s)
		}
	}
	all, err := note.Sign(have)
	if err != nil {
		return fmt.Errorf("bundle: signatures: %w", err)
	}
	return b.writeSignatures(all)
}

// Signers are the names that the signatures give themselves, with the short
// hash of the key: "name+hash". Nothing is verified.
func (b *Bundle) Signers() ([]string, error) {
	signed, err := b.signatures(nil)
	if err != nil || signed == nil {
		return nil, err
	}
	return signerNames(signed.UnverifiedSigs), nil
}

// VerifySignatures says whose of the keys signed the bundle, as "name+hash". A
// signature that claims to be of one of the keys and is not is an [Error] of
// kind ErrAltered.
func (b *Bundle) VerifySignatures(keys ...note.Verifier) ([]string, error) {
	signed, err := b.signatures(keys)
	if err != nil || signed == nil {
		return nil, err
	}
	return signerNames(signed.Sigs), nil
}

func signerNames(sigs []note.Signature) []string {
	names := make([]string, len(sigs))
	for i, s := range sigs {
		names[i] = fmt.Sprintf("%s+%08x", s.Name, s.Hash)
	}
	return names
}

// signatures reads the note, nil when there is none.
func (b *Bundle) signatures(keys []note.Verifier) (*note.Note, error) {
	text, err := b.readSignatures()
	if err != nil || text == nil {
		return nil, err
	}
	return parseSignatures(text, b.Digest, keys)
}

func (b *Bundle) readSignatures() ([]byte, error) {
	f, err := openInside(b.Dir, SignaturesName)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, partError(SignaturesName, err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, MaxSignatures+1))
	if err != nil {
		return nil, fmt.Errorf("bundle: read %s: %w", SignaturesName, err)
	}
	return text, nil
}

func parseSignatures(text []byte, digest wire.Hash, keys []note.Verifier) (*note.Note, error) {
	if len(text) > MaxSignatures {
		return nil, blame(SignaturesName, ErrSize, "it is longer than %d bytes", MaxSignatures)
	}
	signed, err := note.Open(text, note.VerifierList(keys...))
	var unverified *note.UnverifiedNoteError
	var invalid *note.InvalidSignatureError
	switch {
	case errors.As(err, &unverified):
		signed = unverified.Note
	case errors.As(err, &invalid):
		return nil, blame(SignaturesName, ErrAltered, "the signature of %s+%08x is not by that key", invalid.Name, invalid.Hash)
	case err != nil:
		return nil, blame(SignaturesName, ErrMalformed, "%v", err)
	}
	if signed.Text != signedText(digest) {
		return nil, blame(SignaturesName, ErrMismatch, "it is not for digest %s", digest)
	}
	return signed, nil
}
