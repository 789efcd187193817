package sdktest

import (
	"encoding/hex"
	"encoding/json"
	"flag"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gristmill-zk/gristmill/wire"
)

var update = flag.Bool("update", false, "write golden files anew")

// Case is a body with what must become of it.
type Case struct {
	Name string
	Body *wire.Body

	// Refused is part of the reason why the body can not be proven; empty for a
	// good one.
	Refused string
}

// goldenCase is a case in a golden file.
type goldenCase struct {
	Name    string            `json:"name"`
	Body    string            `json:"body"` // hex
	Outputs map[string]string `json:"outputs,omitempty"`
	Refused string            `json:"refused,omitempty"`
}

// Golden checks the signed bodies of a file: good ones give the outputs that
// stand there, wrong ones are refused for the reason that stands there. The
// cases must be those of the file, byte for byte; with -update they become the
// file.
func (c *Circuit) Golden(t *testing.T, file string, cases []Case) {
	t.Helper()
	if *update {
		c.writeGolden(t, file, cases)
	}
	raw, err := os.ReadFile(file)
	require.NoError(t, err, "no golden file: run the test with -update")
	var stored []goldenCase
	require.NoError(t, json.Unmarshal(raw, &stored), file)
	require.Len(t, stored, len(cases), "cases in %s", file)
	for i, s := range stored {
		require.Equal(t, cases[i].Name, s.Name, file)
		require.Equal(t, encode(t, cases[i].Body), s.Body, "%s: the devices' messages are not those of %s", s.Name, file)
		var body wire.Body
		raw, err := hex.DecodeString(s.Body)
		require.NoError(t, err, s.Name)
		require.NoError(t, body.UnmarshalBinary(raw), s.Name)
		outputs, err := c.named(&body)
		if s.Refused != "" {
			require.ErrorContains(t, err, s.Refused, s.Name)
			continue
		}
		require.NoError(t, err, s.Name)
		require.Equal(t, s.Outputs, outputs, s.Name)
	}
}

func encode(t *testing.T, body *wire.Body) string {
	t.Helper()
	raw, err := body.MarshalBinary()
	require.NoError(t, err)
	return hex.EncodeToString(raw)
}

// named are the outputs by name, in decimal.
func (c *Circuit) named(body *wire.Body) (map[string]string, error) {
	values, err := c.Outputs(body)
	if err != nil {
		return nil, err
	}
	out := make(map[string]string, len(values))
	for i, name := range c.Description.Outputs {
		out[name] = values[i].BigInt(new(big.Int)).String()
	}
	return out, nil
}

func (c *Circuit) writeGolden(t *testing.T, file string, cases []Case) {
	t.Helper()
	stored := make([]goldenCase, len(cases))
	for i, test := range cases {
		stored[i] = goldenCase{Name: test.Name, Body: encode(t, test.Body), Refused: test.Refused}
		outputs, err := c.named(test.Body)
		if test.Refused == "" {
			require.NoError(t, err, test.Name)
			stored[i].Outputs = outputs
		}
	}
	var text strings.Builder
	enc := json.NewEncoder(&text)
	enc.SetIndent("", "  ")
	require.NoError(t, enc.Encode(stored))
	require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
	require.NoError(t, os.WriteFile(file, []byte(text.String()), 0o644))
}
