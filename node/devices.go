package node

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gristmill-zk/gristmill/wire"
)

// Device is a device key's public side.
type Device struct {
	Name   string    `json:"name"`
	Scheme string    `json:"scheme"`
	Key    string    `json:"key"`
	ID     wire.Hash `json:"device_id"`
}

// deviceFile is what devices/NAME.json holds.
type deviceFile struct {
	Device
	Secret json.RawMessage `json:"secret"`
}

// DeviceStore keeps device keys in a data directory, encrypted like the
// account keys and under the same password. It is for trying things out and
// for gateways; a real device keeps its key to itself.
type DeviceStore struct {
	dir  DataDir
	ring *Keyring
}

// NewDeviceStore opens the device keys of a data directory.
func NewDeviceStore(dir DataDir, ring *Keyring) *DeviceStore {
	return &DeviceStore{dir: dir, ring: ring}
}

// ErrNoDevice says that a data directory has no device of that name.
var ErrNoDevice = errors.New("no such device")

// New makes a device key. A name that is taken is an error.
func (s *DeviceStore) New(name string, scheme wire.Scheme) (Device, error) {
	if err := checkName(name); err != nil {
		return Device{}, err
	}
	path := s.path(name)
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return Device{}, fmt.Errorf("device %s: already there (%s)", name, path)
	}
	secret, err := wire.GenerateSecret(scheme, rand.Reader)
	if err != nil {
		return Device{}, fmt.Errorf("device %s: %w", name, err)
	}
	signer, err := wire.NewSigner(scheme, secret)
	if err != nil {
		return Device{}, fmt.Errorf("device %s: %w", name, err)
	}
	id, err := signer.Key().ID()
	if err != nil {
		return Device{}, fmt.Errorf("device %s: %w", name, err)
	}
	sealed, err := s.ring.seal(secret)
	if err != nil {
		return Device{}, fmt.Errorf("device %s: %w", name, err)
	}
	device := Device{Name: name, Scheme: scheme.String(), Key: fmt.Sprintf("0x%x", signer.Key().Bytes), ID: id}
	return device, writeJSON(path, deviceFile{Device: device, Secret: sealed})
}

// Open decrypts a device key.
func (s *DeviceStore) Open(name string) (Device, wire.Signer, error) {
	var file deviceFile
	err := readJSON(s.path(name), &file)
	if errors.Is(err, fs.ErrNotExist) {
		return Device{}, nil, fmt.Errorf("device %q: %w (see: gristmill device new)", name, ErrNoDevice)
	}
	if err != nil {
		return Device{}, nil, fmt.Errorf("device %s: %w", name, err)
	}
	scheme, err := wire.ParseScheme(file.Scheme)
	if err != nil {
		return Device{}, nil, fmt.Errorf("device %s: %w", name, err)
	}
	secret, err := s.ring.unseal(file.Secret)
	if err != nil {
		return Device{}, nil, fmt.Errorf("device %s: %w", name, err)
	}
	signer, err := wire.NewSigner(scheme, secret)
	if err != nil {
		return Device{}, nil, fmt.Errorf("device %s: %w", name, err)
	}
	return file.Device, signer, nil
}

// Ensure opens a device key, making it when it is missing.
func (s *DeviceStore) Ensure(name string, scheme wire.Scheme) (Device, wire.Signer, error) {
	device, signer, err := s.Open(name)
	if !errors.Is(err, ErrNoDevice) {
		return device, signer, err
	}
	if _, err := s.New(name, scheme); err != nil {
		return Device{}, nil, err
	}
	return s.Open(name)
}

// List gives all devices, by name.
func (s *DeviceStore) List() ([]Device, error) {
	paths, err := filepath.Glob(s.dir.Path("devices", "*.json"))
	if err != nil {
		return nil, fmt.Errorf("devices: %w", err)
	}
	devices := make([]Device, 0, len(paths))
	for _, path := range paths {
		var file deviceFile
		if err := readJSON(path, &file); err != nil {
			return nil, fmt.Errorf("devices: %w", err)
		}
		devices = append(devices, file.Device)
	}
	slices.SortFunc(devices, func(a, b Device) int { return strings.Compare(a.Name, b.Name) })
	return devices, nil
}

func (s *DeviceStore) path(name string) string { return s.dir.Path("devices", name+".json") }
