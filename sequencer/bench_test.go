package sequencer

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/gristmill-zk/gristmill/wire"
)

// benchSenders is how many devices send at once, each its messages in order.
const benchSenders = 64

// benchRig is a whole sequencer: assembler and templater work beside the
// committer, and bodies of 256 messages are made and authorised as they fill.
func benchRig(b *testing.B) *Sequencer {
	b.Helper()
	chain := newFakeChain("")
	chain.projects[1].MaxWait, chain.projects[1].BatchSize = 1<<30, 256
	chain.projects[1].free.SetUint64(1 << 62)
	s, err := New(b.Context(), Config{Chain: chain, Key: [32]byte{1}, DB: filepath.Join(b.TempDir(), "s.db"),
		MaxPending: 1 << 40, MaxPendingProject: 1 << 40, Logger: rigLogger()})
	require.NoError(b, err)
	ctx, cancel := context.WithCancel(context.Background())
	ready, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- s.Run(ctx, func() { close(ready) }) }()
	<-ready
	b.Cleanup(func() { cancel(); require.ErrorIs(b, <-ended, context.Canceled) })
	return s
}

// signed are b.N messages, dealt out to the devices.
func signed(b *testing.B, scheme wire.Scheme) [][]*wire.Message {
	b.Helper()
	out := make([][]*wire.Message, benchSenders)
	var wg sync.WaitGroup
	for i := range out {
		n := b.N / benchSenders
		if i < b.N%benchSenders {
			n++
		}
		d := newDevice(b, scheme, byte(1+i))
		wg.Go(func() {
			for nonce := range n {
				out[i] = append(out[i], d.message(b, 1, uint64(nonce+1), "21 bytes of a reading"))
			}
		})
	}
	wg.Wait()
	return out
}

// sendAll has every device send its messages one after another and fails on
// any that is not taken.
func sendAll(b *testing.B, messages [][]*wire.Message, send func(*wire.Message) error) {
	b.Helper()
	var g errgroup.Group
	b.ResetTimer()
	for _, own := range messages {
		g.Go(func() error {
			for _, m := range own {
				if err := send(m); err != nil {
					return err
				}
			}
			return nil
		})
	}
	err := g.Wait()
	b.StopTimer()
	require.NoError(b, err)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s")
}

var benchSchemes = []wire.Scheme{wire.SchemeEdDSABN254, wire.SchemeEd25519}

// BenchmarkAccept measures messages per second from decoded message to the
// answer: signature, nonce rule and fsync included, a whole sequencer running.
func BenchmarkAccept(b *testing.B) {
	for _, scheme := range benchSchemes {
		b.Run(scheme.String(), func(b *testing.B) {
			s, msgs := benchRig(b), signed(b, scheme)
			sendAll(b, msgs, func(m *wire.Message) error { return s.Accept(context.Background(), m)[0].Err })
		})
	}
}

// BenchmarkHTTP is the same through the API on loopback, a connection per device.
func BenchmarkHTTP(b *testing.B) {
	for _, scheme := range benchSchemes {
		b.Run(scheme.String(), func(b *testing.B) {
			s, msgs := benchRig(b), signed(b, scheme)
			server := httptest.NewServer(s.Handler())
			b.Cleanup(server.Close)
			client := server.Client()
			client.Transport.(*http.Transport).MaxIdleConnsPerHost = benchSenders
			sendAll(b, msgs, func(m *wire.Message) error { return postOne(client, server.URL, m) })
		})
	}
}

func postOne(client *http.Client, url string, m *wire.Message) error {
	body, err := json.Marshal(m)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, url+"/v1/messages", bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, resp.Body)
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusAccepted {
		return fmt.Errorf("message answered %s", resp.Status)
	}
	return nil
}

// BenchmarkVerify is what one core checks.
func BenchmarkVerify(b *testing.B) {
	for _, scheme := range []wire.Scheme{wire.SchemeEdDSABN254, wire.SchemeEd25519} {
		b.Run(scheme.String(), func(b *testing.B) {
			m := newDevice(b, scheme, 1).message(b, 1, 1, "21 bytes of a reading")
			d := (&fakeChain{}).Deployment()
			for b.Loop() {
				require.NoError(b, m.Verify(d, 64))
			}
		})
	}
}

// BenchmarkCommit is the disk's part: one group per transaction.
func BenchmarkCommit(b *testing.B) {
	for _, size := range []int{1, 64, 1024} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			s := benchRig(b)
			d := newDevice(b, wire.SchemeEd25519, 1)
			base := d.message(b, 1, 1, "21 bytes of a reading")
			nonce := uint64(1)
			for b.Loop() {
				g := &group{done: make(chan struct{}), answers: make([]Accepted, size)}
				for range size {
					nonce++
					m := *base
					m.Nonce = nonce
					encoded, _ := m.MarshalBinary()
					g.records = append(g.records, record{id: wire.SHA256(encoded), msg: &m, encoded: encoded, device: d.id, version: 1})
				}
				s.ingest.write(context.Background(), []*group{g})
				for _, a := range g.answers {
					if a.Err != nil {
						b.Fatal(a.Err)
					}
				}
			}
			b.ReportMetric(float64(b.N*size)/b.Elapsed().Seconds(), "messages/s")
		})
	}
}
