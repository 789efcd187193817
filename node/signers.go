package node

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/mod/sumdb/note"

	"github.com/gristmill-zk/gristmill/plugins/bundle"
	"github.com/gristmill-zk/gristmill/wire"
)

// SignerKey is the public side of a key that signs bundles.
type SignerKey struct {
	Name   string `json:"name"`
	Public string `json:"public"` // name+hash+key, as allow-lists take it
}

// signerFile is what signers/NAME.json holds.
type signerFile struct {
	SignerKey
	Secret json.RawMessage `json:"secret"`
}

// SignerStore keeps the ed25519 keys of a data directory that bundles are
// signed with, encrypted like its account keys.
type SignerStore struct {
	dir  DataDir
	ring *Keyring
}

// NewSignerStore opens the signing keys of a data directory.
func NewSignerStore(dir DataDir, ring *Keyring) *SignerStore {
	return &SignerStore{dir: dir, ring: ring}
}

func (s *SignerStore) path(name string) string { return s.dir.Path("signers", name+".json") }

// New makes a key. A name that is taken is an error.
func (s *SignerStore) New(name string) (SignerKey, error) {
	if err := checkName(name); err != nil {
		return SignerKey{}, err
	}
	path := s.path(name)
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return SignerKey{}, fmt.Errorf("signer %s: already there (%s)", name, path)
	}
	secret, public, err := bundle.NewSigner(name)
	if err != nil {
		return SignerKey{}, err
	}
	sealed, err := s.ring.seal([]byte(secret))
	if err != nil {
		return SignerKey{}, fmt.Errorf("signer %s: %w", name, err)
	}
	key := SignerKey{Name: name, Public: public}
	return key, writeJSON(path, signerFile{SignerKey: key, Secret: sealed})
}

// List gives the public sides of all keys, by name.
func (s *SignerStore) List() ([]SignerKey, error) {
	paths, err := filepath.Glob(s.path("*"))
	if err != nil {
		return nil, fmt.Errorf("signers: %w", err)
	}
	slices.Sort(paths)
	keys := make([]SignerKey, 0, len(paths))
	for _, path := range paths {
		var file signerFile
		if err := readJSON(path, &file); err != nil {
			return nil, err
		}
		keys = append(keys, file.SignerKey)
	}
	return keys, nil
}

// Open decrypts a key: one of the data directory by its name, or one of
// another's by its file.
func (s *SignerStore) Open(nameOrFile string) (note.Signer, error) {
	path := nameOrFile
	if !strings.ContainsRune(nameOrFile, filepath.Separator) && !strings.HasSuffix(nameOrFile, ".json") {
		path = s.path(nameOrFile)
	}
	var file signerFile
	err := readJSON(path, &file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("signer %q: there is no %s (make one: gristmill key signer new)", nameOrFile, path)
	}
	if err != nil {
		return nil, err
	}
	secret, err := s.ring.unseal(file.Secret)
	if err != nil {
		return nil, fmt.Errorf("signer %s: %w", nameOrFile, err)
	}
	signer, err := note.NewSigner(string(secret))
	if err != nil {
		return nil, fmt.Errorf("signer %s: the file holds no signing key", nameOrFile) // the cause could quote the secret
	}
	return signer, nil
}

// allowOwn adds to an allow-list the bundle that a deployment made itself, if it
// did: nobody signed that.
func allowOwn(trust *bundle.Policy, own wire.Hash) {
	if trust != nil && !own.IsZero() {
		trust.Digests[own] = true
	}
}

// LoadPolicy reads an operator's allow-list of bundles; nil when path is empty.
func LoadPolicy(path string) (*bundle.Policy, error) {
	if path == "" {
		return nil, nil
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("--trust: %w", err)
	}
	defer file.Close()
	policy, err := bundle.ParsePolicy(file)
	if err != nil {
		return nil, fmt.Errorf("--trust %s: %w", path, err)
	}
	return policy, nil
}
