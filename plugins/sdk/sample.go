package sdk

import (
	"encoding/hex"
	"encoding/json"
	"io"
)

// Sample is what the verb `sample` of a plugin binary prints: payloads of one
// full batch that satisfies the circuit.
type Sample struct {
	Payloads []string `json:"payloads"` // in hexadecimal
}

// sample prints the project's sample payloads, for whoever wants to send some.
func sample(p *Project, stdout io.Writer) error {
	if err := p.validate(); err != nil {
		return err
	}
	s := Sample{Payloads: make([]string, p.BatchSize)}
	for i := range s.Payloads {
		s.Payloads[i] = hex.EncodeToString(p.Sample(i))
	}
	enc := json.NewEncoder(stdout)
	enc.SetIndent("", "  ")
	return enc.Encode(s)
}
