//go:build icicle

package main

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/gristmill-zk/gristmill/gpu"
	"github.com/gristmill-zk/gristmill/gpu/remote"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestSelfTest(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	require.NoError(t, run(t.Context(), []string{"--self-test", "--device", "cpu"}, &out))
	require.Contains(t, out.String(), "known answer proved")
}

func TestList(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	require.NoError(t, run(t.Context(), []string{"--list"}, &out))
	var l listing
	require.NoError(t, json.Unmarshal(out.Bytes(), &l))
	require.Equal(t, "CPU", l.Devices[0].Kind)
}

func TestRefuses(t *testing.T) {
	t.Parallel()
	require.ErrorIs(t, run(t.Context(), []string{"--self-test", "--device", "tpu"}, &bytes.Buffer{}), gpu.ErrUnsupported)
	require.ErrorIs(t, run(t.Context(), []string{"--device", "cpu"}, &bytes.Buffer{}), remote.ErrNotServed)
	require.ErrorContains(t, run(t.Context(), []string{"serve"}, &bytes.Buffer{}), "serve")
}
