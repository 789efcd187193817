package bundle

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"strings"

	"github.com/gristmill-zk/gristmill/internal/bsb22"
	"github.com/gristmill-zk/gristmill/wire"
)

// FormatVersion is the manifest format this code reads and writes.
const FormatVersion = 1

// ManifestName is the file whose SHA-256 identifies the bundle.
const ManifestName = "manifest.json"

// Names of the parts.
const (
	PartCircuit         = "circuit"           // gnark constraint system, as WriteTo writes it
	PartProvingKey      = "proving-key"       // gnark proving key, as WriteDump writes it
	PartVerifyingKey    = "verifying-key"     // gnark verifying key, as WriteRawTo writes it
	PartVerifyingKeyEVM = "verifying-key-evm" // the bytes the chain registers
	PartKnownAnswer     = "known-answer"      // all wires of a sample task
	PartPlugin          = "plugin"            // the executable, one per OS and architecture
)

// Manifest describes a bundle. Its bytes on disk are what is hashed, so a
// manifest is never written twice.
type Manifest struct {
	Format   int           `json:"format"`
	Name     string        `json:"name"`
	Version  string        `json:"version"`
	Keys     Keys          `json:"keys"`
	Ceremony *CeremonyInfo `json:"ceremony,omitempty"` // with KeysCeremony
	VKID     wire.Hash     `json:"vk_id"`              // identifier of the verifying key on chain
	Circuit  CircuitInfo   `json:"circuit"`
	Tools    Tools         `json:"tools"`
	Parts    []Part        `json:"parts"`
}

// CircuitInfo is what a plugin says of its circuit.
type CircuitInfo struct {
	Curve        string   `json:"curve"`         // "bn254"
	Scheme       string   `json:"scheme"`        // "groth16"
	DeviceScheme string   `json:"device_scheme"` // as wire.Scheme spells it
	BatchSize    uint32   `json:"batch_size"`    // messages a task has room for
	PayloadLimit uint32   `json:"payload_limit"` // bytes a payload has room for
	Outputs      []string `json:"outputs"`       // after binding and dataCommitment
	Constraints  uint64   `json:"constraints"`
	Wires        uint64   `json:"wires"`        // including the constant one
	PublicWires  uint32   `json:"public_wires"` // including the constant one
	// Commitments is how many gnark commitments the circuit uses, 0 or 1.
	Commitments uint32 `json:"commitments,omitempty"`
}

// Tools says what the bundle was made with.
type Tools struct {
	Go    string `json:"go"`
	Gnark string `json:"gnark"`
}

// Part is one file of the bundle.
type Part struct {
	Name   string    `json:"name"`
	Path   string    `json:"path"` // relative, slash-separated, inside the bundle
	Size   int64     `json:"size"`
	SHA256 wire.Hash `json:"sha256"`
	OS     string    `json:"os,omitempty"`   // of a plugin executable, as GOOS
	Arch   string    `json:"arch,omitempty"` // of a plugin executable, as GOARCH
}

// Bounds no honest bundle comes near; they keep a bad manifest from making us
// read, hash or allocate without end.
const (
	maxManifest    = 1 << 20
	maxConstraints = 1 << 28
	maxWires       = 1 << 29
	maxParts       = 64
	maxNameLength  = 64
)

// partBounds are the required parts and their largest sizes.
var partBounds = map[string]int64{
	PartCircuit:         64 << 30,
	PartProvingKey:      512 << 30,
	PartVerifyingKey:    1 << 20,
	PartVerifyingKeyEVM: 24_575,
	PartKnownAnswer:     1 << 30,
	PartPlugin:          1 << 30,
}

// parseManifest reads a manifest and checks everything that can be checked
// without the parts.
func parseManifest(text []byte) (Manifest, error) {
	var version struct {
		Format int `json:"format"`
	}
	if err := json.Unmarshal(text, &version); err != nil {
		return Manifest{}, blame(ManifestName, ErrMalformed, "%v", err)
	}
	if version.Format != FormatVersion {
		return Manifest{}, blame(ManifestName, ErrFormat, "it is %d, this program knows %d", version.Format, FormatVersion)
	}
	var m Manifest
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&m); err != nil {
		return Manifest{}, blame(ManifestName, ErrMalformed, "%v", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return Manifest{}, blame(ManifestName, ErrMalformed, "there is more after the manifest")
	}
	return m, m.validate()
}

func (m *Manifest) validate() error {
	for field, value := range map[string]string{"name": m.Name, "version": m.Version} {
		if value == "" || len(value) > maxNameLength || strings.ContainsFunc(value, notPrintable) {
			return blame(ManifestName, ErrMalformed, "%s must be 1 to %d printable ASCII characters", field, maxNameLength)
		}
	}
	if err := m.validateKeys(); err != nil {
		return err
	}
	if err := m.Circuit.validate(); err != nil {
		return err
	}
	return m.validateParts()
}

func notPrintable(r rune) bool { return r < ' ' || r > '~' }

func (c *CircuitInfo) validate() error {
	if c.Curve != "bn254" || c.Scheme != "groth16" {
		return blame(ManifestName, ErrMalformed, "circuit is %s on %s, this program knows groth16 on bn254", c.Scheme, c.Curve)
	}
	if _, err := wire.ParseScheme(c.DeviceScheme); err != nil {
		return blame(ManifestName, ErrMalformed, "circuit.device_scheme: %v", err)
	}
	if n := len(c.Outputs); n < 1 || n > wire.MaxOutputs || uint32(n)+3 != c.PublicWires {
		return blame(ManifestName, ErrMalformed, "%d outputs and %d public wires do not go together", n, c.PublicWires)
	}
	if c.Commitments > bsb22.Most {
		return blame(ManifestName, ErrMalformed, "circuit.commitments is %d, at most %d", c.Commitments, bsb22.Most)
	}
	for _, bound := range []struct {
		field    string
		got, max uint64
	}{
		{"batch_size", uint64(c.BatchSize), wire.MaxBatch},
		{"payload_limit", uint64(c.PayloadLimit), wire.MaxPayload},
		{"constraints", c.Constraints, maxConstraints},
		{"wires", c.Wires, maxWires},
		{"public_wires", uint64(c.PublicWires), c.Wires},
	} {
		if bound.got < 1 || bound.got > bound.max {
			return blame(ManifestName, ErrSize, "circuit.%s is %d, must be 1 to %d", bound.field, bound.got, bound.max)
		}
	}
	return nil
}

func (m *Manifest) validateParts() error {
	if len(m.Parts) > maxParts {
		return blame(ManifestName, ErrMalformed, "%d parts, at most %d", len(m.Parts), maxParts)
	}
	names, paths := map[string]bool{}, map[string]bool{ManifestName: true, SignaturesName: true}
	for _, p := range m.Parts {
		if err := p.validate(); err != nil {
			return err
		}
		if names[p.key()] {
			return blame(p.Name, ErrMalformed, "the manifest names it twice")
		}
		if paths[p.Path] {
			return blame(p.Name, ErrMalformed, "its path %q belongs to another part", p.Path)
		}
		names[p.key()], names[p.Name], paths[p.Path] = true, true, true
	}
	for name := range partBounds {
		if !names[name] {
			return blame(name, ErrMissing, "the manifest does not name it")
		}
	}
	return nil
}

// key tells parts apart: there may be a plugin for each platform.
func (p *Part) key() string {
	if p.Name != PartPlugin {
		return p.Name
	}
	return p.Name + " " + p.OS + "/" + p.Arch
}

func (p *Part) validate() error {
	bound, known := partBounds[p.Name]
	if !known {
		return blame(ManifestName, ErrMalformed, "part %q is unknown", p.Name)
	}
	if !fs.ValidPath(p.Path) || p.Path == "." || strings.ContainsAny(p.Path, "\\\x00") {
		return blame(p.Name, ErrPath, "%q", p.Path)
	}
	if p.Size < 1 || p.Size > bound {
		return blame(p.Name, ErrSize, "it is %d bytes, must be 1 to %d", p.Size, bound)
	}
	if p.Name == PartPlugin && (p.OS == "" || p.Arch == "") {
		return blame(p.Name, ErrMalformed, "the manifest names no platform for it")
	}
	return nil
}
