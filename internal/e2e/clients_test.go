//go:build e2e

package e2e

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gristmill-zk/gristmill/client"
	"github.com/gristmill-zk/gristmill/wire"
)

// TestClientsReachSettlement sends a reading with the Go client and one with the
// JavaScript client and lets both follow it to its settlement on chain.
func TestClientsReachSettlement(t *testing.T) {
	f := newFarm(t)
	f.start("")
	require.True(t, f.ready(3*time.Minute))
	secret, err := wire.GenerateSecret(wire.SchemeEdDSABN254, rand.Reader)
	require.NoError(t, err)
	signer, err := wire.NewSigner(wire.SchemeEdDSABN254, secret)
	require.NoError(t, err)
	device, err := signer.Key().ID()
	require.NoError(t, err)
	url := "http://" + f.ports["sequencer"]
	payload := reading(1234, uint64(time.Now().Add(-time.Minute).UnixMilli()))
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()

	c, err := client.New(url)
	require.NoError(t, err)
	d, err := c.NewDevice(ctx, signer, meterProject)
	require.NoError(t, err)
	_, _, err = d.Send(ctx, payload)
	require.Equal(t, wire.RejectDeviceNotAllowed, wire.CodeOf(err), "a device that nobody listed: %v", err)

	f.command("project", "device", "add", "--project", "1", "--key", "owner", device.String())
	var message *wire.Message
	var receipt client.Receipt
	require.Eventually(t, func() bool { // a refusal is remembered for moments
		message, receipt, err = d.Send(ctx, payload)
		return wire.CodeOf(err) != wire.RejectDeviceNotAllowed
	}, 20*time.Second, 100*time.Millisecond)
	require.NoError(t, err)
	require.False(t, receipt.Duplicate)
	again, err := c.Send(ctx, message)
	require.NoError(t, err)
	require.True(t, again.Duplicate)
	followed, err := c.FollowMessage(ctx, receipt.ID, nil)
	require.NoError(t, err)
	require.Equal(t, client.StateSettled, followed.State)

	script := exec.CommandContext(ctx, "node", "client.mjs", url, "0x"+hex.EncodeToString(secret),
		"0x"+hex.EncodeToString(reading(4321, uint64(time.Now().Add(-time.Minute).UnixMilli()))))
	script.Stderr = f.log
	out, err := script.Output()
	require.NoError(t, err, "%s", out)
	var answer struct {
		ID        wire.Hash `json:"id"`
		Duplicate bool      `json:"duplicate"`
		State     string    `json:"state"`
	}
	require.NoError(t, json.Unmarshal(out, &answer))
	require.True(t, answer.Duplicate)
	require.Equal(t, "settled", answer.State)
	require.Equal(t, 1, f.settled()[answer.ID])
	f.up.stop(t)
}
