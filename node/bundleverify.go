package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/gristmill-zk/gristmill/chain/devnet"
	"github.com/gristmill-zk/gristmill/plugins/bundle"
	"github.com/gristmill-zk/gristmill/plugins/bundle/oci"
	"github.com/gristmill-zk/gristmill/plugins/ceremony"
	"github.com/gristmill-zk/gristmill/wire"
)

// keySource finds keys that were made before: of a final ceremony, or of
// another bundle.
func keySource(ctx context.Context, dir string) (*bundle.KeySource, error) {
	if isFile(filepath.Join(dir, ceremony.LogName)) {
		c, err := ceremony.Open(dir)
		if err != nil {
			return nil, err
		}
		return c.KeySource()
	}
	if isFile(filepath.Join(dir, bundle.ManifestName)) {
		b, err := bundle.Open(ctx, dir)
		if err != nil {
			return nil, err
		}
		return b.KeySource()
	}
	return nil, fmt.Errorf("--keys %s: it is neither a ceremony (no %s) nor a bundle (no %s)", dir, ceremony.LogName, bundle.ManifestName)
}

// Inspection is a bundle that was looked through.
type Inspection struct {
	BundleView
	Bytes   int64    `json:"bytes"`   // of all parts
	Signers []string `json:"signers"` // who claim to have signed, unverified
	// How long a worker takes to check every digest, to prove the known answer
	// and to load the proving key, in seconds.
	CheckSeconds  float64 `json:"check_seconds"`
	AnswerSeconds float64 `json:"answer_seconds"`
	LoadSeconds   float64 `json:"load_seconds"`
}

// InspectBundle checks a bundle, proves its known answer and describes it.
func InspectBundle(ctx context.Context, dir string) (Inspection, error) {
	var in Inspection
	timed := func(seconds *float64, do func() error) error {
		start := time.Now()
		err := do()
		*seconds = time.Since(start).Seconds()
		return err
	}
	var b *bundle.Bundle
	err := timed(&in.CheckSeconds, func() (err error) { b, err = bundle.Open(ctx, dir); return err })
	if err != nil {
		return in, err
	}
	in.BundleView = viewBundle(b)
	for _, p := range b.Manifest.Parts {
		in.Bytes += p.Size
	}
	if in.Signers, err = b.Signers(); err != nil {
		return in, err
	}
	if err := timed(&in.LoadSeconds, func() error { _, err := b.ProvingKey(); return err }); err != nil {
		return in, err
	}
	return in, timed(&in.AnswerSeconds, func() error { return b.KnownAnswer(ctx) })
}

// VerifyOptions say what a bundle must prove of itself.
type VerifyOptions struct {
	// Keys are public keys (name+hash+key) or files with one a line. When there
	// are any, one of them must have signed.
	Keys []string
	// Transcript is the directory of the ceremony that the bundle's keys must
	// come from; empty: none is asked for.
	Transcript string
	// Progress is told what takes long. Nil is fine.
	Progress func(line string)
}

// Verified is what a bundle proved.
type Verified struct {
	BundleView
	Signed     []string `json:"signed"`  // by these of the keys
	Signers    []string `json:"signers"` // who claim to have signed, unverified
	Transcript bool     `json:"transcript_verified"`
}

// VerifyBundle checks a bundle, its signatures and the origin of its keys.
func VerifyBundle(ctx context.Context, dir string, opts VerifyOptions) (Verified, error) {
	keys, err := verifiers(opts.Keys)
	if err != nil {
		return Verified{}, err
	}
	b, err := bundle.Open(ctx, dir)
	if err != nil {
		return Verified{}, err
	}
	v := Verified{BundleView: viewBundle(b)}
	if v.Signers, err = b.Signers(); err != nil {
		return v, err
	}
	if v.Signed, err = b.VerifySignatures(keys...); err != nil {
		return v, err
	}
	if len(keys) > 0 && len(v.Signed) == 0 {
		claimed := "nobody"
		if len(v.Signers) > 0 {
			claimed = strings.Join(v.Signers, ", ")
		}
		return v, fmt.Errorf("none of the %d keys signed the bundle: it is signed by %s", len(keys), claimed)
	}
	if err := b.KnownAnswer(ctx); err != nil {
		return v, err
	}
	if opts.Transcript == "" {
		return v, nil
	}
	c, err := ceremony.Open(opts.Transcript)
	if err != nil {
		return v, err
	}
	c.Progress = opts.Progress
	if err := c.CheckBundle(ctx, b); err != nil {
		return v, err
	}
	v.Transcript = true
	return v, nil
}

// verifiers reads public keys, given as they are or as files.
func verifiers(keys []string) ([]note.Verifier, error) {
	var all []note.Verifier
	for _, key := range keys {
		if v, err := note.NewVerifier(key); err == nil {
			all = append(all, v)
			continue
		}
		file, err := os.Open(key)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("--key %q is neither a public key (name+hash+key) nor a file with some", key)
		}
		if err != nil {
			return nil, fmt.Errorf("--key: %w", err)
		}
		policy, err := bundle.ParsePolicy(file)
		_ = file.Close()
		if err != nil {
			return nil, fmt.Errorf("--key %s: %w", key, err)
		}
		all = append(all, policy.Signers...)
	}
	return all, nil
}

// Signed is a bundle with a signature more.
type Signed struct {
	BundleView
	Signers []string `json:"signers"` // who claim to have signed
}

// SignBundle adds a signature to a bundle whose parts are what its manifest
// says.
func SignBundle(ctx context.Context, dir string, by note.Signer) (Signed, error) {
	b, err := bundle.Open(ctx, dir)
	if err != nil {
		return Signed{}, err
	}
	if err := b.KnownAnswer(ctx); err != nil {
		return Signed{}, err
	}
	if err := b.Sign(by); err != nil {
		return Signed{}, err
	}
	s := Signed{BundleView: viewBundle(b)}
	s.Signers, err = b.Signers()
	return s, err
}

// PushBundle puts a bundle to where ref says.
func PushBundle(ctx context.Context, dir, ref string, opts oci.Options) (oci.Pushed, error) {
	b, err := bundle.Open(ctx, dir)
	if err != nil {
		return oci.Pushed{}, err
	}
	return oci.Push(ctx, b, ref, opts)
}

// PulledBundle is a bundle that came from a registry.
type PulledBundle struct {
	BundleView
	Pinned  string   `json:"pinned"`
	Signers []string `json:"signers"` // who claim to have signed, unverified
}

// PullBundle installs the bundle that ref names. With digest not empty it must
// be that one; with a policy the policy must allow it, else it is not kept.
func PullBundle(ctx context.Context, ref, store, digest string, trust *bundle.Policy, opts oci.Options) (PulledBundle, error) {
	var want wire.Hash
	if digest != "" {
		var err error
		if want, err = wire.ParseHash(digest); err != nil {
			return PulledBundle{}, fmt.Errorf("--digest: %w", err)
		}
	}
	opts.Trust = trust
	pulled, err := oci.Pull(ctx, ref, store, want, opts)
	if err != nil {
		return PulledBundle{}, err
	}
	v := PulledBundle{BundleView: viewBundle(pulled.Bundle), Pinned: pulled.Pinned}
	v.Signers, err = pulled.Signers()
	return v, err
}

// checkKeys refuses keys of a local setup for a project on a chain that others
// use, unless they are allowed.
func checkKeys(b *bundle.Bundle, chainID uint64, dev, allowInsecure bool) error {
	if b.Manifest.Keys != bundle.KeysInsecureDev || allowInsecure || dev {
		return nil
	}
	return fmt.Errorf("bundle %s %w: whoever made them can forge proofs, and chain %d is no development chain. Hold a ceremony (gristmill plugin ceremony --help), or allow them with --allow-insecure-keys",
		b.Digest, bundle.ErrInsecure, chainID)
}

// devChain says whether the chain is an embedded one: of this data directory, or
// with the id that those have.
func (s *Session) devChain() bool {
	return s.client.ID() == devnet.DefaultChainID || s.opts.Endpoints.RPC == "" && ownChain(s.opts.Dir)
}

// ownChain says whether a data directory has a chain of its own.
func ownChain(dir DataDir) bool {
	info, err := os.Stat(dir.Path("chain"))
	return err == nil && info.IsDir()
}
