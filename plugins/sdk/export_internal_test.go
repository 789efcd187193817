package sdk

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/consensys/gnark/frontend"
	"github.com/stretchr/testify/require"
)

type here struct {
	First frontend.Variable `gnark:"first,public"`
}

func (c *here) Define(api frontend.API, m *Messages) error {
	api.AssertIsEqual(c.First, m.Items[0].Bytes()[0])
	return nil
}

type there struct {
	First frontend.Variable `gnark:"first,public"`
}

// Define says the same on another line, and one thing for the log.
func (c *there) Define(api frontend.API, m *Messages) error {
	api.Println(c.First)
	api.AssertIsEqual(c.First, m.Items[0].Bytes()[0])
	return nil
}

// Keys are for a circuit's bytes: those must not change with its source's lines.
func TestExportedCircuitsDoNotNameTheirSource(t *testing.T) {
	t.Parallel()
	export := func(circuit Circuit) []byte {
		dir := t.TempDir()
		require.NoError(t, export(&Project{
			Name: "first", Version: "1", BatchSize: 1, PayloadLimit: 8, UncheckedSignatures: true,
			New: func(int) Circuit { return circuit },
			Assign: func(t Task) (Circuit, error) {
				if _, is := circuit.(*here); is {
					return &here{First: t.Messages[0].Payload[0]}, nil
				}
				return &there{First: t.Messages[0].Payload[0]}, nil
			},
			Sample: func(int) []byte { return []byte{7} },
		}, dir))
		raw, err := os.ReadFile(filepath.Join(dir, ExportCircuit))
		require.NoError(t, err)
		return raw
	}
	first, second := export(&here{}), export(&there{})
	require.Equal(t, first, second)
	require.NotContains(t, string(first), "export_internal_test")
}
