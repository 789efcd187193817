package node

import (
	"crypto/ecdsa"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/ethereum/go-ethereum/accounts/keystore"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/google/uuid"
)

// ErrNoKey says that a data directory has no key of that name or address.
var ErrNoKey = errors.New("no such key")

// Account is a key's public side.
type Account struct {
	Name    string         `json:"name"`
	Address common.Address `json:"address"`
}

// Keyring holds the account keys of a data directory, encrypted at rest in the
// web3 secret storage format, version 3.
type Keyring struct {
	dir      DataDir
	password Password
	scryptN  int
	scryptP  int
	secret   string // resolved password, once known
}

// NewKeyring opens the keys of a data directory; passwords are asked for when
// the first key is needed.
func NewKeyring(dir DataDir, password Password) *Keyring {
	return &Keyring{dir: dir, password: password, scryptN: keystore.StandardScryptN, scryptP: keystore.StandardScryptP}
}

// newOwnKeyring is the keyring of an embedded deployment. Its password is 256
// random bits in a file next to the keys unless the operator named another.
func newOwnKeyring(dir DataDir, password Password) (*Keyring, error) {
	secret, err := password.ownPassword(dir)
	if err != nil {
		return nil, err
	}
	k := NewKeyring(dir, password)
	k.use(secret)
	return k, nil
}

// use takes a password for this keyring's. Under one of the node's own making
// the light key derivation loses nothing, and commands stay quick.
func (k *Keyring) use(secret string) {
	k.secret = secret
	if k.password.random(secret) {
		k.scryptN, k.scryptP = keystore.LightScryptN, keystore.LightScryptP
	}
}

var keyName = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,63}$`)

func checkName(name string) error {
	if !keyName.MatchString(name) {
		return fmt.Errorf("name %q: want 1 to 64 of a-z, 0-9, dot, dash and underscore, starting with a letter or digit", name)
	}
	return nil
}

func (k *Keyring) passphrase(confirm bool) (string, error) {
	if k.secret == "" {
		secret, err := k.password.resolve(k.dir, confirm)
		if err != nil {
			return "", err
		}
		k.use(secret)
	}
	return k.secret, nil
}

// New makes a key. A name that is taken is an error: keys are never replaced.
func (k *Keyring) New(name string) (Account, error) {
	key, err := crypto.GenerateKey()
	if err != nil {
		return Account{}, fmt.Errorf("key %s: %w", name, err)
	}
	return k.put(name, key)
}

// ImportHex takes a private key written as 64 hexadecimal digits.
func (k *Keyring) ImportHex(name, secret string) (Account, error) {
	key, err := crypto.HexToECDSA(strings.TrimPrefix(strings.TrimSpace(secret), "0x"))
	if err != nil {
		return Account{}, fmt.Errorf("key %s: not a private key of 64 hexadecimal digits", name) // the cause could quote the secret
	}
	return k.put(name, key)
}

// ImportKeystore takes a keystore file made elsewhere (geth, MetaMask, foundry),
// opens it with its password and stores it under this keyring's.
func (k *Keyring) ImportKeystore(name string, data []byte, password string) (Account, error) {
	key, err := keystore.DecryptKey(data, password)
	if err != nil {
		return Account{}, fmt.Errorf("key %s: %w", name, err)
	}
	return k.put(name, key.PrivateKey)
}

func (k *Keyring) put(name string, key *ecdsa.PrivateKey) (Account, error) {
	if err := checkName(name); err != nil {
		return Account{}, err
	}
	path := k.dir.Path("keys", name+".json")
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return Account{}, fmt.Errorf("key %s: already there (%s)", name, path)
	}
	secret, err := k.passphrase(true)
	if err != nil {
		return Account{}, err
	}
	id, err := uuid.NewRandomFromReader(rand.Reader)
	if err != nil {
		return Account{}, fmt.Errorf("key %s: %w", name, err)
	}
	address := crypto.PubkeyToAddress(key.PublicKey)
	data, err := keystore.EncryptKey(&keystore.Key{Id: id, Address: address, PrivateKey: key}, secret, k.scryptN, k.scryptP)
	if err != nil {
		return Account{}, fmt.Errorf("key %s: %w", name, err)
	}
	return Account{Name: name, Address: address}, writeFile(path, append(data, '\n'))
}

// ensure gives the named key, making it when it is missing.
func (k *Keyring) ensure(name string) (*ecdsa.PrivateKey, error) {
	key, err := k.Open(name)
	if !errors.Is(err, ErrNoKey) {
		return key, err
	}
	if _, err := k.New(name); err != nil {
		return nil, err
	}
	return k.Open(name)
}

// List gives all accounts, by name.
func (k *Keyring) List() ([]Account, error) {
	paths, err := filepath.Glob(k.dir.Path("keys", "*.json"))
	if err != nil {
		return nil, fmt.Errorf("keys: %w", err)
	}
	accounts := make([]Account, 0, len(paths))
	for _, path := range paths {
		var file struct {
			Address string `json:"address"`
		}
		if err := readJSON(path, &file); err != nil {
			return nil, fmt.Errorf("keys: %w", err)
		}
		if !common.IsHexAddress(file.Address) {
			return nil, fmt.Errorf("keys: %s has no address", path)
		}
		accounts = append(accounts, Account{
			Name:    strings.TrimSuffix(filepath.Base(path), ".json"),
			Address: common.HexToAddress(file.Address),
		})
	}
	slices.SortFunc(accounts, func(a, b Account) int { return strings.Compare(a.Name, b.Name) })
	return accounts, nil
}

// Find gives the account with that name or address.
func (k *Keyring) Find(nameOrAddress string) (Account, error) {
	accounts, err := k.List()
	if err != nil {
		return Account{}, err
	}
	for _, a := range accounts {
		if a.Name == nameOrAddress || (common.IsHexAddress(nameOrAddress) && a.Address == common.HexToAddress(nameOrAddress)) {
			return a, nil
		}
	}
	return Account{}, fmt.Errorf("key %q in %s: %w (see: gristmill key ls)", nameOrAddress, k.dir.Path("keys"), ErrNoKey)
}

// Open decrypts the key with that name or address.
func (k *Keyring) Open(nameOrAddress string) (*ecdsa.PrivateKey, error) {
	account, err := k.Find(nameOrAddress)
	if err != nil {
		return nil, err
	}
	data, err := os.ReadFile(k.dir.Path("keys", account.Name+".json"))
	if err != nil {
		return nil, fmt.Errorf("key %s: %w", account.Name, err)
	}
	secret, err := k.passphrase(false)
	if err != nil {
		return nil, err
	}
	key, err := keystore.DecryptKey(data, secret)
	if err != nil {
		return nil, fmt.Errorf("key %s: %w", account.Name, err)
	}
	return key.PrivateKey, nil
}

// seal encrypts any secret the way keys are; open is its inverse.
func (k *Keyring) seal(secret []byte) (json.RawMessage, error) {
	password, err := k.passphrase(true)
	if err != nil {
		return nil, err
	}
	sealed, err := keystore.EncryptDataV3(secret, []byte(password), k.scryptN, k.scryptP)
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	return json.Marshal(sealed)
}

func (k *Keyring) unseal(data json.RawMessage) ([]byte, error) {
	var sealed keystore.CryptoJSON
	if err := json.Unmarshal(data, &sealed); err != nil {
		return nil, fmt.Errorf("unseal: %w", err)
	}
	password, err := k.passphrase(false)
	if err != nil {
		return nil, err
	}
	secret, err := keystore.DecryptDataV3(sealed, password)
	if err != nil {
		return nil, fmt.Errorf("unseal: %w", err)
	}
	return secret, nil
}
