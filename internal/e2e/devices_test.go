//go:build e2e

package e2e

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gristmill-zk/gristmill/wire"
)

const (
	meterProject = 1
	meterLimit   = 31
)

// device signs messages of a project. One stays in hand until it was
// acknowledged, so a device whose sequencer dies in mid-answer sends the same
// bytes again.
type device struct {
	farm       *farm
	deployment wire.Deployment
	project    uint64
	limit      uint32
	payload    func(nonce uint64) []byte
	signer     wire.Signer
	nonce      uint64
	pending    *wire.Message
	ledger     *ledger
}

// devices makes keys of the meter project and lists them with it; flags say how
// to reach the chain.
func (f *farm) devices(n int, l *ledger, flags ...string) []*device {
	f.t.Helper()
	began := uint64(time.Now().Add(-24 * time.Hour).UnixMilli())
	return f.devicesOf(meterProject, meterLimit, n, l, func(nonce uint64) []byte {
		return reading(1000+nonce, began+nonce*minute)
	}, flags...)
}

// devicesOf makes keys of a project and lists them with it.
func (f *farm) devicesOf(project uint64, limit uint32, n int, l *ledger, payload func(nonce uint64) []byte, flags ...string) []*device {
	f.t.Helper()
	args := []string{"project", "device", "add", "--project", strconv.FormatUint(project, 10), "--key", "owner"}
	devices := make([]*device, n)
	for i := range devices {
		secret, err := wire.GenerateSecret(wire.SchemeEdDSABN254, rand.Reader)
		require.NoError(f.t, err)
		signer, err := wire.NewSigner(wire.SchemeEdDSABN254, secret)
		require.NoError(f.t, err)
		id, err := signer.Key().ID()
		require.NoError(f.t, err)
		args = append(args, id.String())
		devices[i] = &device{farm: f, deployment: f.deployment(), project: project, limit: limit, payload: payload, signer: signer, ledger: l}
	}
	f.command(append(args, flags...)...)
	return devices
}

// minute is the time that a reading is about, in milliseconds.
const minute = 60_000

// reading is the meter circuit's payload: format u8 = 1 ‖ energyWh u64 ‖
// periodStart u64 (unix ms) ‖ periodMs u32.
func reading(wh, start uint64) []byte {
	out := []byte{1}
	out = binary.BigEndian.AppendUint64(out, wh)
	out = binary.BigEndian.AppendUint64(out, start)
	return binary.BigEndian.AppendUint32(out, minute)
}

// next is the message in hand, or a new one.
func (d *device) next() *wire.Message {
	if d.pending != nil {
		return d.pending
	}
	d.nonce++
	m := &wire.Message{Project: d.project, Nonce: d.nonce, Time: uint64(time.Now().UnixMilli()), Payload: d.payload(d.nonce)}
	require.NoError(d.farm.t, d.signer.Sign(d.deployment, d.limit, m))
	d.pending = m
	return m
}

// send tries once and says whether the message was acknowledged.
func (d *device) send() bool {
	m := d.next()
	id, err := m.ID()
	require.NoError(d.farm.t, err)
	body, err := json.Marshal(m)
	require.NoError(d.farm.t, err)
	resp, err := httpClient.Post("http://"+d.farm.ports["sequencer"]+"/v1/messages", "application/json", bytes.NewReader(body))
	if err != nil {
		return false
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusAccepted {
		if resp.StatusCode < 500 && resp.StatusCode != http.StatusTooManyRequests && resp.StatusCode != http.StatusForbidden {
			var text bytes.Buffer
			_, _ = text.ReadFrom(resp.Body)
			d.farm.t.Errorf("a good message was refused: %s %s", resp.Status, text.String())
		}
		return false
	}
	d.ledger.add(id)
	d.pending = nil
	return true
}

// sendAll lets every device send one new message, trying until it is acknowledged.
func sendAll(devices []*device) {
	for _, d := range devices {
		require.Eventually(d.farm.t, d.send, time.Minute, 50*time.Millisecond, "a message was never acknowledged")
	}
}
