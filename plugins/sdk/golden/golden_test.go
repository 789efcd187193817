package golden_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gristmill-zk/gristmill/plugins/sdk/golden"
)

func TestReadsCases(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), golden.FileName)
	require.NoError(t, os.WriteFile(path, []byte(
		`{"good":[{"name":"a","payloads":["0x0102",""],"outputs":{"x":"17"}}],"wrong":[{"name":"b","payloads":["ff"]}]}`), 0o600))
	c, err := golden.Read(path)
	require.NoError(t, err)
	require.Equal(t, [][]byte{{1, 2}, {}}, c.Good[0].Bytes())
	require.Equal(t, "17", c.Good[0].Outputs["x"])
	require.Equal(t, [][]byte{{0xff}}, c.Wrong[0].Bytes())

	text, err := json.Marshal(c)
	require.NoError(t, err)
	again, err := golden.Parse(text)
	require.NoError(t, err)
	require.Equal(t, c, again)
}

func TestRefusesByName(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`{`:       "unexpected EOF",
		`{} {}`:   "more after",
		`{}`:      "no good case",
		`{"x":1}`: "unknown field",
		`{"good":[{"payloads":["00"],"outputs":{"x":"1"}}]}`:                                                                         "no name",
		`{"good":[{"name":"a","payloads":["00"]}]}`:                                                                                  `good case 0 "a": it has no outputs`,
		`{"good":[{"name":"a","payloads":[],"outputs":{"x":"1"}}]}`:                                                                  "0 payloads",
		`{"good":[{"name":"a","payloads":["0"],"outputs":{"x":"1"}}]}`:                                                               `"0" is not hexadecimal`,
		`{"good":[{"name":"a","payloads":["00"],"outputs":{"x":"0x1"}}]}`:                                                            "decimal",
		`{"good":[{"name":"a","payloads":["00"],"outputs":{"x":"-1"}}]}`:                                                             "decimal",
		`{"good":[{"name":"a","payloads":["00"],"outputs":{"x":"1"}}],"wrong":[{"name":"b","payloads":[]}]}`:                         `wrong case 0 "b"`,
		`{"good":[{"name":"a","payloads":["00"],"outputs":{"x":"1"}}],"wrong":[{"name":"b","payloads":["00"],"outputs":{"x":"1"}}]}`: "must be refused",
	} {
		_, err := golden.Parse([]byte(text))
		require.ErrorContains(t, err, want, text)
	}
	_, err := golden.Read(filepath.Join(t.TempDir(), "none"))
	require.ErrorIs(t, err, os.ErrNotExist)
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"good":[{"name":"a","payloads":["0102"],"outputs":{"x":"17"}}],"wrong":[]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := golden.Parse(text)
		if err != nil {
			return
		}
		again, err := json.Marshal(c)
		require.NoError(t, err)
		_, err = golden.Parse(again)
		require.NoError(t, err)
	})
}
