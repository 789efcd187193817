package host

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"time"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"github.com/hashicorp/go-plugin/runner"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/gristmill-zk/gristmill/internal/subprocess"
	"github.com/gristmill-zk/gristmill/plugins/bundle"
	"github.com/gristmill-zk/gristmill/plugins/internal/rpc"
	"github.com/gristmill-zk/gristmill/plugins/internal/solution"
	"github.com/gristmill-zk/gristmill/plugins/proto"
	"github.com/gristmill-zk/gristmill/wire"
)

const (
	// drainTimeout is how long a plugin may take to say goodbye.
	drainTimeout = 500 * time.Millisecond
	// maxReply bounds one message of a plugin: outputs and notes are small.
	maxReply = 1 << 20
	// maxFiles is how many descriptors a plugin may have.
	maxFiles = 256
)

// process is one running plugin. One solve at a time.
type process struct {
	circuit  *Circuit
	client   *plugin.Client
	runner   *subprocess.Process
	rpc      proto.CircuitClient
	solution *os.File         // for the plugin
	shared   *solution.Memory // the same, here
	log      *pluginLog
	words    *lastWords
	eviction *time.Timer // runs while the process is idle
	resident uint64      // bytes of memory that it had when it became idle
}

// startProcess starts the plugin and makes sure it is the bundle's circuit.
// When it fails nothing is left running.
func startProcess(ctx context.Context, c *Circuit) (*process, error) {
	ctx, stop := context.WithTimeout(ctx, c.host.cfg.StartTimeout)
	defer stop()
	out, err := subprocess.FixedFile("solution", c.header().Size())
	if err != nil {
		return nil, err
	}
	shared, err := solution.Map(out)
	if err != nil {
		return nil, errors.Join(err, out.Close())
	}
	p := &process{circuit: c, solution: out, shared: shared, log: newPluginLog(c.host.cfg.Logger, c.bundle.Manifest.Name), words: &lastWords{}}
	if err := p.connect(ctx); err != nil {
		return nil, p.notStarted(ctx, "start", err)
	}
	if err := p.describe(ctx); err != nil {
		return nil, p.notStarted(ctx, "describe", err)
	}
	return p, nil
}

func (p *process) connect(ctx context.Context) error {
	path, err := p.circuit.bundle.Path(bundle.PartCircuit)
	if err != nil {
		return err
	}
	system, err := os.Open(path)
	if err != nil {
		return err
	}
	defer system.Close()
	p.client = plugin.NewClient(&plugin.ClientConfig{
		HandshakeConfig:  rpc.Handshake(),
		Plugins:          plugin.PluginSet{proto.Service: &rpc.Circuit{}},
		AllowedProtocols: []plugin.Protocol{plugin.ProtocolGRPC},
		AutoMTLS:         true,
		SkipHostEnv:      true,
		StartTimeout:     p.circuit.host.cfg.StartTimeout,
		UnixSocketConfig: &plugin.UnixSocketConfig{TempDir: p.circuit.host.runDir.Path()},
		Logger:           p.log.HCLog(),
		Stderr:           p.words,
		SyncStdout:       p.log.Writer("stdout"),
		SyncStderr:       io.MultiWriter(p.log.Writer("stderr"), p.words),
		RunnerFunc: func(_ hclog.Logger, cmd *exec.Cmd, dir string) (runner.Runner, error) {
			p.command(cmd, system, dir)
			opts := subprocess.Options{
				Spawner: p.circuit.host.spawner, Limits: p.limits(), SocketDir: dir,
				Advice: "the plugin must be an executable of this platform made with the gristmill SDK",
			}
			if err := p.circuit.host.confine(cmd, dir, &opts); err != nil {
				return nil, err
			}
			p.runner = subprocess.NewProcess(ctx, cmd, opts)
			p.circuit.host.keepTrack(p, true)
			return p.runner, nil
		},
	})
	client, err := p.client.Client()
	if p.runner != nil {
		p.runner.Outlive()
	}
	if err != nil {
		return err
	}
	dispensed, err := client.Dispense(proto.Service)
	if err != nil {
		return err
	}
	circuit, ok := dispensed.(proto.CircuitClient)
	if !ok {
		return fmt.Errorf("dispensed a %T", dispensed)
	}
	p.rpc = circuit
	return nil
}

// command completes what go-plugin prepared: the sealed copy of the executable
// is what runs, whatever happens to the file it came from.
func (p *process) command(cmd *exec.Cmd, system *os.File, dir string) {
	info := &p.circuit.bundle.Manifest.Circuit
	cmd.Path = "/proc/self/fd/" + strconv.Itoa(proto.FDBinary)
	cmd.Args = []string{
		"gristmill-plugin-" + p.circuit.bundle.Manifest.Name, "serve", "--batch", strconv.FormatUint(uint64(info.BatchSize), 10),
	}
	cmd.Err = nil // exec.Command found nothing under the name go-plugin gave it
	cmd.Dir = dir
	cmd.ExtraFiles = []*os.File{p.circuit.binary, p.solution, system}
}

func (p *process) limits() []subprocess.Limit {
	return []subprocess.Limit{
		{Resource: unix.RLIMIT_CORE, Value: 0},
		{Resource: unix.RLIMIT_NOFILE, Value: maxFiles},
		{Resource: unix.RLIMIT_FSIZE, Value: uint64(p.circuit.header().Size())},
		{Resource: unix.RLIMIT_DATA, Value: p.circuit.host.cfg.MemoryLimit},
	}
}

// describe compares what the plugin says it is with the manifest.
func (p *process) describe(ctx context.Context) error {
	d, err := p.rpc.Describe(ctx, &proto.DescribeRequest{}, grpc.MaxCallRecvMsgSize(maxReply))
	if err != nil {
		return errors.New(subprocess.Clean(err.Error()))
	}
	m := &p.circuit.bundle.Manifest
	part, err := p.circuit.bundle.Part(bundle.PartCircuit)
	if err != nil {
		return err
	}
	for _, field := range []struct {
		name      string
		got, want any
	}{
		{"name", d.GetName(), m.Name},
		{"version", d.GetVersion(), m.Version},
		{"curve", d.GetCurve(), m.Circuit.Curve},
		{"scheme", d.GetScheme(), m.Circuit.Scheme},
		{"device scheme", d.GetDeviceScheme(), m.Circuit.DeviceScheme},
		{"batch size", d.GetBatchSize(), m.Circuit.BatchSize},
		{"payload limit", d.GetPayloadLimit(), m.Circuit.PayloadLimit},
		{"constraints", d.GetConstraints(), m.Circuit.Constraints},
		{"wires", d.GetWires(), m.Circuit.Wires},
		{"public wires", d.GetPublicWires(), m.Circuit.PublicWires},
		{"commitments", d.GetCommitments(), m.Circuit.Commitments},
		{"circuit digest", string(d.GetCircuitSha256()), string(part.SHA256[:])},
	} {
		if field.got != field.want {
			return fmt.Errorf("the plugin's %s is %q, the manifest's %q", field.name, fmt.Sprint(field.got), fmt.Sprint(field.want))
		}
	}
	if !slices.Equal(d.GetOutputs(), m.Circuit.Outputs) {
		return errors.New("the plugin's outputs are not the manifest's")
	}
	return nil
}

// alive says whether the process still runs.
func (p *process) alive() bool {
	select {
	case <-p.runner.Gone():
		return false
	default:
		return true
	}
}

// solve runs one task. With a code other than those of a refused task the
// process is of no use any more.
func (p *process) solve(ctx context.Context, t Task) (*Solution, Code, error) {
	p.words.forget()
	p.log.setTask(t.ID)
	defer p.log.setTask(wire.Hash{})
	h := p.circuit.header()
	h.Task = t.ID
	if _, err := rand.Read(h.Ticket[:]); err != nil {
		return nil, CodeStart, fmt.Errorf("random ticket: %w", err)
	}
	// A witness is a project's private data, and an idle process may stay for long.
	taken := false
	defer func() {
		if !taken {
			clear(p.shared.Bytes)
		}
	}()
	committing := &committing{of: p.circuit.check.commitment, shared: p.shared, commit: t.Commit}
	defer committing.clear()
	solved, err := p.call(ctx, t, h.Ticket[:], committing)
	if err != nil {
		code, err := p.classify(ctx, err)
		return nil, code, err
	}
	outputs, err := parseOutputs(solved.GetOutputs(), len(p.circuit.bundle.Manifest.Circuit.Outputs))
	if err != nil {
		return nil, CodeBadSolution, err
	}
	if err := checkTime(solved.GetSolveMs()); err != nil {
		return nil, CodeBadSolution, err
	}
	commitment, err := t.DataCommitment.Element()
	if err != nil {
		return nil, CodeBadTask, fmt.Errorf("data commitment: %w", err)
	}
	public := append(fr.Vector{fr.One(), wire.Binding(t.Deployment, t.ID, t.Prover), commitment}, outputs...)
	v := p.circuit.vectors()
	err = p.circuit.check.take(p.shared.Bytes, h, public, v)
	taken = true
	if err == nil {
		err = committing.check(v.W)
	}
	if err != nil {
		v.Clear()
		p.circuit.spare.Put(v)
		return nil, CodeBadSolution, err
	}
	return &Solution{
		W: v.W, A: v.A, B: v.B, C: v.C, Public: len(public), Outputs: outputs, SolveMS: solved.GetSolveMs(),
		Commitment: committing.result(),
		vectors:    v, spare: &p.circuit.spare,
	}, "", nil
}

// call does the RPC and returns its one result.
func (p *process) call(ctx context.Context, t Task, ticket []byte, committing *committing) (*proto.Solved, error) {
	// The deadline stays on this side: a plugin that is told of it could answer
	// an instant before it that time is up, and the call would look crashed.
	parent := ctx
	ctx, stop := context.WithCancel(context.WithoutCancel(parent))
	defer stop()
	defer context.AfterFunc(parent, stop)()
	stream, err := p.rpc.Solve(ctx, grpc.MaxCallRecvMsgSize(maxReply), grpc.MaxCallSendMsgSize(proto.MaxMessage))
	if err != nil {
		return nil, err
	}
	// What can not be sent has its reason in what is received.
	_ = stream.Send(&proto.SolveRequest{Event: &proto.SolveRequest_Task{Task: &proto.Task{
		TaskId: t.ID[:], ChainId: t.Deployment.ChainID, Registry: t.Deployment.Registry[:], Prover: t.Prover[:],
		Body: t.Body, DataCommitment: t.DataCommitment[:], Ticket: ticket,
	}}})
	if committing.of == nil {
		_ = stream.CloseSend()
	}
	var solved *proto.Solved
	for {
		reply, err := stream.Recv()
		switch {
		case errors.Is(err, io.EOF) && solved != nil:
			return solved, nil
		case errors.Is(err, io.EOF):
			return nil, errors.New("the plugin ended the call without a result")
		case err != nil:
			return nil, err
		case solved != nil:
			return nil, errors.New("the plugin went on after its result")
		}
		switch event := reply.GetEvent().(type) {
		case *proto.SolveResponse_Progress:
			p.progress(t, event.Progress.GetStage())
		case *proto.SolveResponse_Commit:
			if err := committing.answer(ctx, event.Commit, stream); err != nil {
				return nil, err
			}
		case *proto.SolveResponse_Solved:
			solved = event.Solved
		}
	}
}

// progress passes on what a plugin says of its work.
func (p *process) progress(t Task, stage string) {
	if stage = subprocess.Clean(stage); stage == "" {
		return
	}
	p.log.Emit(slog.LevelDebug, "plugin progress", slog.String("stage", stage))
	if t.Progress != nil {
		t.Progress(stage)
	}
}

// classify says what a failed call means. Only what the plugin itself answered
// about the task is taken as its word; an end of the context comes first, since
// it makes every call fail.
func (p *process) classify(ctx context.Context, err error) (Code, error) {
	if ctx.Err() != nil {
		return endCode(ctx), context.Cause(ctx)
	}
	var known *coded
	if errors.As(err, &known) {
		return known.code, known.err
	}
	text := errors.New(subprocess.Clean(status.Convert(err).Message()))
	switch status.Code(err) {
	case codes.InvalidArgument:
		return CodeBadTask, text
	case codes.FailedPrecondition:
		return CodeUnsatisfied, text
	default:
		return CodeCrashed, p.crashed(err)
	}
}

// drain tells the plugin that it is about to end.
func (p *process) drain() {
	ctx, stop := context.WithTimeout(context.Background(), drainTimeout)
	defer stop()
	if _, err := p.rpc.Drain(ctx, &proto.DrainRequest{}); err != nil {
		p.log.Emit(slog.LevelDebug, "plugin did not drain", slog.Any("error", err))
	}
}

// stop ends the process and returns when it and its group are gone and nothing
// of it is left in the host.
func (p *process) stop() {
	if p.runner != nil {
		p.runner.End()
	}
	if p.client != nil {
		p.client.Kill()
	}
	if p.runner != nil && p.runner.ID() != "" {
		<-p.runner.Gone()
		p.runner.ClosePipes()
	}
	p.circuit.host.keepTrack(p, false)
	_ = p.shared.Close()
	_ = p.solution.Close()
}
