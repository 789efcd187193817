package client

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/gristmill-zk/gristmill/wire"
)

// Device signs and sends for one device in one project. It counts nonces from
// what the sequencer has seen, so only one Device may run per key and project.
// It is safe for concurrent use, but messages sent at once may arrive out of
// order, and a lower nonce after a higher one is refused: send one by one, or
// sign all and SendBatch.
type Device struct {
	client     *Client
	signer     wire.Signer
	project    uint64
	deployment wire.Deployment

	mu    sync.Mutex
	nonce uint64
}

// NewDevice asks the sequencer for all that signing takes.
func (c *Client) NewDevice(ctx context.Context, signer wire.Signer, project uint64) (*Device, error) {
	deployment, err := c.Deployment(ctx)
	if err != nil {
		return nil, err
	}
	nonce, err := c.NextNonce(ctx, signer.Key(), project)
	if err != nil {
		return nil, err
	}
	return &Device{client: c, signer: signer, project: project, deployment: deployment, nonce: nonce}, nil
}

// Sign makes the device's next message, which takes its nonce whether it is
// sent or not. The project's payload limit is asked each time: a new version
// may change it.
func (d *Device) Sign(ctx context.Context, payload []byte) (*wire.Message, error) {
	project, err := d.client.Project(ctx, d.project)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	m := &wire.Message{Project: d.project, Nonce: d.nonce, Time: uint64(time.Now().UnixMilli()), Payload: payload}
	if err := d.signer.Sign(d.deployment, project.PayloadLimit, m); err != nil {
		return nil, fmt.Errorf("client: sign: %w", err)
	}
	d.nonce++
	return m, nil
}

// Send signs a payload and sends it. When Send fails without saying whether
// the message was taken, send the returned message again with Client.Send:
// signing the payload anew would make a second message.
func (d *Device) Send(ctx context.Context, payload []byte) (*wire.Message, Receipt, error) {
	m, err := d.Sign(ctx, payload)
	if err != nil {
		return nil, Receipt{}, err
	}
	receipt, err := d.client.Send(ctx, m)
	return m, receipt, err
}
