package conformance

import (
	"crypto/rand"
	"fmt"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"

	"github.com/gristmill-zk/gristmill/plugins/bundle"
	"github.com/gristmill-zk/gristmill/plugins/internal/solution"
	"github.com/gristmill-zk/gristmill/wire"
)

// task is one as a host gives it to a plugin.
type task struct {
	deployment wire.Deployment
	id         wire.Hash
	prover     wire.Address
	body       []byte
	commitment fr.Element
	stated     wire.Hash // the commitment that the plugin is told
}

// maker makes tasks for a circuit.
type maker struct {
	circuit    *bundle.CircuitInfo
	deployment wire.Deployment
	signers    []wire.Signer
	made       byte
}

func newMaker(c *bundle.CircuitInfo) (*maker, error) {
	scheme, err := wire.ParseScheme(c.DeviceScheme)
	if err != nil {
		return nil, err
	}
	m := &maker{circuit: c, deployment: wire.Deployment{ChainID: 1 << 40, Registry: wire.Address{0: 0xc0, 19: 1}}}
	m.signers, err = wire.GenerateSigners(scheme, int(c.BatchSize), rand.Reader)
	return m, err
}

// task signs each payload by a device of its own. spoil may change the body
// before its commitment is made.
func (m *maker) task(payloads [][]byte, spoil func(*wire.Body)) (*task, error) {
	if len(payloads) > len(m.signers) {
		return nil, fmt.Errorf("%d messages, the circuit has room for %d", len(payloads), len(m.signers))
	}
	const project = 1<<63 + 7 // does not fit into a double
	body := wire.Body{Project: project, Version: 3}
	for i, payload := range payloads {
		msg := wire.Message{Project: project, Nonce: 1<<62 + uint64(i), Time: 1_700_000_000_000, Payload: payload}
		if err := m.signers[i].Sign(m.deployment, m.circuit.PayloadLimit, &msg); err != nil {
			return nil, fmt.Errorf("message %d: %w", i, err)
		}
		body.Messages = append(body.Messages, msg)
	}
	if spoil != nil {
		spoil(&body)
	}
	raw, err := body.MarshalBinary()
	if err != nil {
		return nil, err
	}
	commitment, err := body.Commitment(m.deployment, m.circuit.BatchSize, m.circuit.PayloadLimit)
	if err != nil {
		return nil, err
	}
	m.made++
	return &task{
		deployment: m.deployment, id: wire.SHA256([]byte("conformance"), []byte{m.made}), prover: wire.Address{0: 0x90, 19: m.made},
		body: raw, commitment: commitment, stated: wire.ElementHash(commitment),
	}, nil
}

// wrongTask is one that the plugin must refuse.
type wrongTask struct {
	name string
	task *task
}

// wrong are tasks that no plugin may solve, and those that this one may not.
func (m *maker) wrong(p Plugin) ([]wrongTask, error) {
	good, err := m.task(p.Good, nil)
	if err != nil {
		return nil, err
	}
	altered := func(change func(*task)) *task {
		t := *good
		change(&t)
		return &t
	}
	changed, err := m.task(p.Good, func(b *wire.Body) { b.Messages[0].Nonce++ })
	if err != nil {
		return nil, err
	}
	all := []wrongTask{
		{"a message changed after it was signed", changed},
		{"a data commitment of other messages", altered(func(t *task) { t.stated = wire.ElementHash(fr.One()) })},
		{"a data commitment above the modulus", altered(func(t *task) {
			for i := range t.stated {
				t.stated[i] = 0xff
			}
		})},
		{"a body cut short", altered(func(t *task) { t.body = t.body[:len(t.body)-1] })},
		{"a body with a byte too many", altered(func(t *task) { t.body = append(t.body[:len(t.body):len(t.body)], 0) })},
		{"no body", altered(func(t *task) { t.body = nil })},
	}
	for i, payloads := range p.Wrong {
		t, err := m.task(payloads, nil)
		if err != nil {
			return nil, err
		}
		all = append(all, wrongTask{fmt.Sprintf("wrong task %d", i), t})
	}
	return all, nil
}

func newTicket() (ticket [solution.TicketSize]byte) {
	_, _ = rand.Read(ticket[:]) // never fails
	return ticket
}
