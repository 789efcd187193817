package ceremony

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"slices"
	"strings"
	"time"

	"github.com/gristmill-zk/gristmill/wire"
)

// FormatVersion is the format of the log that this code reads and writes.
const FormatVersion = 1

// LogName is the file whose SHA-256 names the transcript.
const LogName = "ceremony.json"

// Bounds no honest log comes near.
const (
	maxLog           = 1 << 20
	maxContributions = 1024
	maxNameLength    = 64
	maxSourceLength  = 256
	// MinPower and MaxPower bound the size of a phase 1, as a power of two.
	MinPower = 1
	MaxPower = 27
)

// Bounds of a beacon's value, in bytes.
const (
	minBeacon = 16
	maxBeacon = 256
)

// Log is ceremony.json: what has happened.
type Log struct {
	Format int    `json:"format"`
	Domain uint64 `json:"domain"` // constraints that the keys have room for, a power of two
	// Circuit is nil while a phase 1 is made for any circuit of its size.
	Circuit *Circuit `json:"circuit,omitempty"`
	Phase1  Phase    `json:"phase1"`
	// Phase2 is nil until phase 1 is final.
	Phase2 *Phase2 `json:"phase2,omitempty"`
	// Keys is nil until phase 2 is final.
	Keys *Keys `json:"keys,omitempty"`
}

// Circuit is the circuit that the keys are for.
type Circuit struct {
	SHA256      wire.Hash `json:"sha256"` // of circuit.r1cs
	Constraints uint64    `json:"constraints"`
	Wires       uint64    `json:"wires"`
	Commitments int       `json:"commitments"`
}

// Phase is a chain of contributions, ended by a beacon.
type Phase struct {
	Contributions []Contribution `json:"contributions"`
	// Beacon is nil while contributions are taken.
	Beacon *Beacon `json:"beacon,omitempty"`
}

// Phase2 is the phase for the circuit.
type Phase2 struct {
	Start wire.Hash `json:"start"` // SHA-256 of phase2/0000.start
	Phase
}

// Contribution is one party's step.
type Contribution struct {
	Number int       `json:"number"` // from 1, in its phase
	Name   string    `json:"name"`   // as the contributor gave it
	Time   time.Time `json:"time"`   // by the contributor's clock
	SHA256 wire.Hash `json:"sha256"` // of the file
}

// Beacon is a public value that nobody could know before the last
// contribution. It makes the last one, without a secret.
type Beacon struct {
	Value  HexBytes  `json:"value"`
	Source string    `json:"source"` // where anybody can look it up
	Time   time.Time `json:"time"`
}

// Keys are the result.
type Keys struct {
	ProvingKey   wire.Hash `json:"proving_key"`   // SHA-256 of proving.key
	VerifyingKey wire.Hash `json:"verifying_key"` // SHA-256 of verifying.key
	VKID         wire.Hash `json:"vk_id"`         // identifier of the verifying key on chain
}

// HexBytes is written in hexadecimal.
type HexBytes []byte

// MarshalText implements encoding.TextMarshaler.
func (b HexBytes) MarshalText() ([]byte, error) { return []byte(hex.EncodeToString(b)), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (b *HexBytes) UnmarshalText(text []byte) (err error) {
	*b, err = hex.DecodeString(strings.TrimPrefix(string(text), "0x"))
	return err
}

// parseLog reads a log and checks what can be checked without the files.
func parseLog(text []byte) (*Log, error) {
	if len(text) > maxLog {
		return nil, fmt.Errorf("ceremony: %s is longer than %d bytes", LogName, maxLog)
	}
	var version struct {
		Format int `json:"format"`
	}
	if err := json.Unmarshal(text, &version); err != nil {
		return nil, fmt.Errorf("ceremony: %s: %w", LogName, err)
	}
	if version.Format != FormatVersion {
		return nil, fmt.Errorf("ceremony: %s has the unknown format version %d, this program knows %d", LogName, version.Format, FormatVersion)
	}
	l := new(Log)
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(l); err != nil {
		return nil, fmt.Errorf("ceremony: %s: %w", LogName, err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("ceremony: %s: there is more after the log", LogName)
	}
	if err := l.validate(); err != nil {
		return nil, fmt.Errorf("ceremony: %s: %w", LogName, err)
	}
	return l, nil
}

func (l *Log) validate() error {
	switch {
	case bits.OnesCount64(l.Domain) != 1 || l.Domain < 1<<MinPower || l.Domain > 1<<MaxPower:
		return fmt.Errorf("domain is %d, must be a power of two from 2^%d to 2^%d", l.Domain, MinPower, MaxPower)
	case l.Circuit != nil && domainOf(l.Circuit.Constraints) != l.Domain:
		return fmt.Errorf("domain is %d, that of %d constraints is another", l.Domain, l.Circuit.Constraints)
	case (l.Phase2 != nil) != (l.Circuit != nil && l.Phase1.Beacon != nil):
		return errors.New("phase 2 must begin when phase 1 of a circuit has its beacon, and not before")
	case (l.Keys != nil) != (l.Phase2 != nil && l.Phase2.Beacon != nil):
		return errors.New("keys must be there when phase 2 has its beacon, and not before")
	}
	if err := l.Phase1.validate(); err != nil {
		return fmt.Errorf("phase 1: %w", err)
	}
	if l.Phase2 == nil {
		return nil
	}
	if err := l.Phase2.validate(); err != nil {
		return fmt.Errorf("phase 2: %w", err)
	}
	return nil
}

func (p *Phase) validate() error {
	if len(p.Contributions) > maxContributions {
		return fmt.Errorf("%d contributions, at most %d", len(p.Contributions), maxContributions)
	}
	for i, c := range p.Contributions {
		if c.Number != i+1 {
			return fmt.Errorf("contribution %d stands where number %d belongs: one is missing or the order is wrong", c.Number, i+1)
		}
		if err := checkName(c.Name); err != nil {
			return fmt.Errorf("contribution %d: %w", c.Number, err)
		}
	}
	if p.Beacon == nil {
		return nil
	}
	if len(p.Contributions) == 0 {
		return errors.New("it has a beacon and no contribution")
	}
	return p.Beacon.validate()
}

func (b *Beacon) validate() error {
	if n := len(b.Value); n < minBeacon || n > maxBeacon {
		return fmt.Errorf("beacon: its value is %d bytes, must be %d to %d", n, minBeacon, maxBeacon)
	}
	if b.Source == "" || len(b.Source) > maxSourceLength || strings.ContainsFunc(b.Source, notPrintable) {
		return fmt.Errorf("beacon: its source must be 1 to %d printable ASCII characters that say where to look it up", maxSourceLength)
	}
	return nil
}

func checkName(name string) error {
	if name == "" || len(name) > maxNameLength || strings.ContainsFunc(name, notPrintable) {
		return fmt.Errorf("name %q: want 1 to %d printable ASCII characters", name, maxNameLength)
	}
	return nil
}

func notPrintable(r rune) bool { return r < ' ' || r > '~' }

// Contributors are the names in the log in order, each once.
func (l *Log) Contributors() []string {
	all := slices.Clone(l.Phase1.Contributions)
	if l.Phase2 != nil {
		all = append(all, l.Phase2.Contributions...)
	}
	var names []string
	for _, c := range all {
		if !slices.Contains(names, c.Name) {
			names = append(names, c.Name)
		}
	}
	return names
}

// OpenPhase is the number of the phase that takes contributions, 0 when none
// does.
func (l *Log) OpenPhase() int {
	switch {
	case l.Phase1.Beacon == nil:
		return 1
	case l.Phase2 != nil && l.Phase2.Beacon == nil:
		return 2
	default:
		return 0
	}
}
