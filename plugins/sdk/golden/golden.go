// Package golden reads messages.json, in which a circuit's project keeps the
// messages that it is tested with: good ones with the outputs they must give,
// and wrong ones that must be refused.
//
//	{
//	  "good":  [{"name": "…", "payloads": ["010ae6…"], "outputs": {"total": "17"}}],
//	  "wrong": [{"name": "…", "payloads": ["02…"]}]
//	}
//
// A case is one task; each of its payloads is signed by a device of its own.
// The project's Go tests read it, and so does `gristmill plugin test`, which
// gives every case to the plugin as a worker would.
package golden

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"os"

	"github.com/gristmill-zk/gristmill/wire"
)

// FileName is where a project keeps its cases.
const FileName = "messages.json"

// maxFile bounds what is read of a file.
const maxFile = 64 << 20

// Cases is the content of a messages.json.
type Cases struct {
	Good  []Case `json:"good"`
	Wrong []Case `json:"wrong"`
}

// Case is one task.
type Case struct {
	Name     string    `json:"name"`
	Payloads []Payload `json:"payloads"`
	// Outputs are the outputs of a good task by name, in decimal. Wrong ones
	// have none.
	Outputs map[string]string `json:"outputs,omitempty"`
}

// Bytes are the payloads.
func (c *Case) Bytes() [][]byte {
	out := make([][]byte, len(c.Payloads))
	for i := range c.Payloads {
		out[i] = c.Payloads[i]
	}
	return out
}

// Payload is written in hexadecimal.
type Payload []byte

// UnmarshalText implements encoding.TextUnmarshaler.
func (p *Payload) UnmarshalText(text []byte) error {
	raw, err := hex.DecodeString(string(bytes.TrimPrefix(text, []byte("0x"))))
	if err != nil {
		return fmt.Errorf("payload %q is not hexadecimal", text)
	}
	*p = raw
	return nil
}

// MarshalText implements encoding.TextMarshaler.
func (p Payload) MarshalText() ([]byte, error) { return []byte(hex.EncodeToString(p)), nil }

// Read reads and checks a file. The error names the case that is wrong.
func Read(path string) (*Cases, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("golden messages: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("golden messages: %w", err)
	}
	c, err := Parse(text)
	if err != nil {
		return nil, fmt.Errorf("golden messages: %s: %w", path, err)
	}
	return c, nil
}

// Parse reads and checks the content of a file.
func Parse(text []byte) (*Cases, error) {
	if len(text) > maxFile {
		return nil, fmt.Errorf("it is larger than %d bytes", maxFile)
	}
	var c Cases
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&c); err != nil {
		return nil, err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("there is more after the cases")
	}
	if len(c.Good) == 0 {
		return nil, errors.New("it has no good case")
	}
	for i := range c.Good {
		if err := c.Good[i].validate(); err != nil {
			return nil, fmt.Errorf("good case %d %q: %w", i, c.Good[i].Name, err)
		}
		if len(c.Good[i].Outputs) == 0 {
			return nil, fmt.Errorf("good case %d %q: it has no outputs", i, c.Good[i].Name)
		}
	}
	for i := range c.Wrong {
		if err := c.Wrong[i].validate(); err != nil {
			return nil, fmt.Errorf("wrong case %d %q: %w", i, c.Wrong[i].Name, err)
		}
		if len(c.Wrong[i].Outputs) != 0 {
			return nil, fmt.Errorf("wrong case %d %q: it has outputs, and must be refused", i, c.Wrong[i].Name)
		}
	}
	return &c, nil
}

func (c *Case) validate() error {
	if c.Name == "" {
		return errors.New("it has no name")
	}
	if n := len(c.Payloads); n < 1 || n > wire.MaxBatch {
		return fmt.Errorf("it has %d payloads, must have 1 to %d", n, wire.MaxBatch)
	}
	for i, p := range c.Payloads {
		if len(p) > wire.MaxPayload {
			return fmt.Errorf("payload %d has %d bytes, at most %d", i, len(p), wire.MaxPayload)
		}
	}
	for name, value := range c.Outputs {
		if n, ok := new(big.Int).SetString(value, 10); !ok || n.Sign() < 0 || n.String() != value {
			return fmt.Errorf("output %s is %q, must be a decimal number", name, value)
		}
	}
	return nil
}
