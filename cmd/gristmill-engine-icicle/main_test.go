//go:build icicle

package main

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/gristmill-zk/gristmill/gpu"
	"github.com/gristmill-zk/gristmill/gpu/check"
	"github.com/gristmill-zk/gristmill/gpu/health"
	"github.com/gristmill-zk/gristmill/gpu/icicle"
	"github.com/gristmill-zk/gristmill/gpu/proto"
	"github.com/gristmill-zk/gristmill/gpu/remote"
)

// TestMain makes the test binary the engine's program when a worker, here a
// test, started it as one.
func TestMain(m *testing.M) {
	if os.Getenv(proto.CookieKey) != "" {
		main()
		return
	}
	goleak.VerifyTestMain(m)
}

// served is the engine as a worker has it, in a process of its own.
func served(t *testing.T, args ...string) (*remote.Engine, error) {
	exe, err := os.Executable()
	require.NoError(t, err)
	return remote.New(remote.Config{Command: append([]string{exe}, args...), Logger: slog.New(slog.DiscardHandler)})
}

func TestServed(t *testing.T) {
	t.Parallel()
	engine, err := served(t, "--device", "cpu")
	require.NoError(t, err)
	defer func() { require.NoError(t, engine.Close()) }()
	require.Equal(t, icicle.Name, engine.Info().Name)
	require.NoError(t, check.KnownAnswer(t.Context(), engine))
}

// TestServedWithoutDevice: the worker is told what is missing.
func TestServedWithoutDevice(t *testing.T) {
	t.Parallel()
	if _, err := icicle.Devices(); err == nil {
		t.Skip("there is a card")
	}
	engine, err := served(t, "--device", "cuda")
	if err == nil {
		err = check.KnownAnswer(t.Context(), engine)
		require.NoError(t, engine.Close())
	}
	require.ErrorIs(t, err, gpu.ErrDevice)
	require.ErrorContains(t, err, "NVIDIA's driver")
}

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

func TestHealth(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	require.NoError(t, run(t.Context(), []string{"--health"}, &out))
	var answer health.Answer
	require.NoError(t, json.Unmarshal(out.Bytes(), &answer))
	require.NotEqual(t, len(answer.Readings) == 0, answer.Error == "", "readings, or why there are none")
}

func TestRefuses(t *testing.T) {
	t.Parallel()
	require.ErrorIs(t, run(t.Context(), []string{"--self-test", "--device", "tpu"}, &bytes.Buffer{}), gpu.ErrUnsupported)
	require.ErrorIs(t, run(t.Context(), []string{"--device", "cpu"}, &bytes.Buffer{}), remote.ErrNotServed)
	require.ErrorContains(t, run(t.Context(), []string{"serve"}, &bytes.Buffer{}), "serve")
}
