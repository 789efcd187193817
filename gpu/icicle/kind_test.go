//go:build icicle

package icicle_test

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gristmill-zk/gristmill/gpu"
	"github.com/gristmill-zk/gristmill/gpu/icicle"
)

// kind is the device that the tests run on: ICICLE's CPU device unless
// GRISTMILL_TEST_DEVICE says CUDA.
func kind() string {
	if k := os.Getenv("GRISTMILL_TEST_DEVICE"); k != "" {
		return k
	}
	return icicle.CPU
}

// TestMissingCUDA: where there is no card, the error says what is missing.
func TestMissingCUDA(t *testing.T) {
	t.Parallel()
	devices, err := icicle.Devices()
	require.NotEmpty(t, devices)
	if err == nil {
		t.Skip("there is a card")
	}
	require.ErrorIs(t, err, gpu.ErrDevice)
	_, opened := icicle.Open(icicle.Config{Kind: icicle.CUDA})
	require.ErrorIs(t, opened, gpu.ErrDevice)
	require.ErrorContains(t, opened, "driver")
}
