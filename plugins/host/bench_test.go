package host_test

import (
	"errors"
	"io"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc"

	"github.com/gristmill-zk/gristmill/plugins/bundle"
	meter "github.com/gristmill-zk/gristmill/plugins/circuits/meter/circuit"
	"github.com/gristmill-zk/gristmill/plugins/host"
	"github.com/gristmill-zk/gristmill/plugins/proto"
	"github.com/gristmill-zk/gristmill/plugins/sdk"
	"github.com/gristmill-zk/gristmill/wire"
)

// BenchmarkOverhead holds a solve through the plugin (process, sandbox, gRPC,
// shared memory, the host's copy and checks) against the same service called in
// this process, whose solution nobody copies or checks: meter with 8 messages,
// 2^16. They take turns; "overhead-%" is of the medians, "added-ms" their
// difference, and "-cpu-ms" the processor time of host and plugin. Overwriting a
// solution, which comes after its proof, is "release-ms" and in none of the
// others.
//
//	go test ./plugins/host -run xxx -bench Overhead -benchtime 1x
func BenchmarkOverhead(b *testing.B) {
	const batch, rounds = 8, 21
	built, err := bundle.Build(b.Context(), bundle.BuildConfig{
		Source: filepath.Join("..", "circuits", "meter"), BatchSize: batch, OutDir: b.TempDir(), AllowInsecure: true,
	})
	require.NoError(b, err)
	h, err := host.New(host.Config{})
	require.NoError(b, err)
	defer func() { require.NoError(b, h.Close()) }()
	c, err := h.Open(b.Context(), built)
	require.NoError(b, err)
	task := meterTask(b, batch)
	part, err := built.OpenPart(bundle.PartCircuit)
	require.NoError(b, err)
	project := meter.Project()
	project.BatchSize = batch
	inside := sdk.NewServer(project, part, nowhere{})
	var solved *host.Solution
	through := func() {
		solved, err = c.Solve(b.Context(), task)
		require.NoError(b, err)
	}
	within := func() { require.NoError(b, inside.Solve(&call{task: task})) }
	through() // it starts
	within()  // it reads the circuit
	var plugin, direct, release series
	for b.Loop() {
		for range rounds {
			plugin.add(h, through)
			release.add(h, solved.Release)
			direct.add(h, within)
		}
	}
	p, d := median(plugin.wall), median(direct.wall)
	b.ReportMetric(p, "plugin-ms")
	b.ReportMetric(d, "direct-ms")
	b.ReportMetric(p-d, "added-ms")
	b.ReportMetric(100*(p/d-1), "overhead-%")
	b.ReportMetric(median(plugin.cpu), "plugin-cpu-ms")
	b.ReportMetric(median(direct.cpu), "direct-cpu-ms")
	b.ReportMetric(median(release.wall), "release-ms")
}

// series are times of the same work, in milliseconds.
type series struct{ wall, cpu []float64 }

func (s *series) add(h *host.Host, work func()) {
	used, start := processorTime(h), time.Now()
	work()
	s.wall = append(s.wall, time.Since(start).Seconds()*1000)
	s.cpu = append(s.cpu, (processorTime(h)-used).Seconds()*1000)
}

func median(v []float64) float64 {
	slices.Sort(v)
	return v[len(v)/2]
}

// processorTime is what this process and the host's plugins have used.
func processorTime(h *host.Host) (sum time.Duration) {
	clocks := []int32{unix.CLOCK_PROCESS_CPUTIME_ID}
	for _, pid := range host.Running(h) {
		clocks = append(clocks, int32(^pid<<3|2)) // as clock_getcpuclockid(3) makes it
	}
	for _, clock := range clocks {
		var t unix.Timespec
		if err := unix.ClockGettime(clock, &t); err == nil {
			sum += time.Duration(t.Nano())
		}
	}
	return sum
}

// meterTask is a full batch of readings.
func meterTask(b *testing.B, batch int) host.Task {
	b.Helper()
	d := wire.Deployment{ChainID: 31337, Registry: wire.Address{1}}
	seed := wire.SHA256([]byte("host test device"))
	signer, err := wire.NewSigner(wire.SchemeEdDSABN254, seed[:])
	require.NoError(b, err)
	body := wire.Body{Project: 7, Version: 1}
	for i := range batch {
		reading := meter.Reading{EnergyWh: uint64(1000 + i), PeriodStart: 1_700_000_000_000 + 60_000*uint64(i), PeriodMs: 60_000}
		m := wire.Message{Project: 7, Nonce: uint64(i + 1), Time: 1_700_000_060_000, Payload: reading.Encode()}
		require.NoError(b, signer.Sign(d, meter.PayloadLimit, &m))
		body.Messages = append(body.Messages, m)
	}
	raw, err := body.MarshalBinary()
	require.NoError(b, err)
	commitment, err := body.Commitment(d, uint32(batch), meter.PayloadLimit)
	require.NoError(b, err)
	return host.Task{ID: wire.Hash{1}, Deployment: d, Prover: wire.Address{2}, Body: raw, DataCommitment: wire.ElementHash(commitment)}
}

// nowhere takes a solution in place of shared memory.
type nowhere struct{}

func (nowhere) WriteAt(p []byte, _ int64) (int, error) { return len(p), nil }

// call is a stream without a connection.
type call struct {
	grpc.BidiStreamingServer[proto.SolveRequest, proto.SolveResponse]
	task host.Task
	told bool
}

func (c *call) Recv() (*proto.SolveRequest, error) {
	if c.told {
		return nil, io.EOF
	}
	c.told = true
	t := &c.task
	return &proto.SolveRequest{Event: &proto.SolveRequest_Task{Task: &proto.Task{
		TaskId: t.ID[:], ChainId: t.Deployment.ChainID, Registry: t.Deployment.Registry[:], Prover: t.Prover[:],
		Body: t.Body, DataCommitment: t.DataCommitment[:], Ticket: make([]byte, 32),
	}}}, nil
}

func (c *call) Send(r *proto.SolveResponse) error {
	if r.GetCommit() != nil {
		return errors.New("meter uses no commitment")
	}
	return nil
}
