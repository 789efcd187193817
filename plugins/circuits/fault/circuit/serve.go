package circuit

import (
	"bytes"
	"context"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc"

	"github.com/gristmill-zk/gristmill/plugins/internal/rpc"
	"github.com/gristmill-zk/gristmill/plugins/proto"
	"github.com/gristmill-zk/gristmill/plugins/sdk"
	"github.com/gristmill-zk/gristmill/wire"
)

// forever is longer than anything waits for a plugin.
const forever = 24 * time.Hour

// Main is the plugin.
func Main() {
	switch {
	case len(os.Args) > 1 && os.Args[1] == verbChild:
		child()
	case len(os.Args) > 1 && os.Args[1] == "serve" && os.Getenv(proto.CookieKey) == proto.CookieValue:
		serve(slices.Contains(os.Args, strconv.Itoa(BatchCrash)), slices.Contains(os.Args, strconv.Itoa(BatchSlow)))
	default:
		sdk.Main(Project())
	}
}

// serve does without what the SDK does for an honest plugin: it does not end with
// its standard input.
func serve(crash, slow bool) {
	switch {
	case crash:
		lastWords("fault: this bundle ends at its start\n")
		os.Exit(3)
	case slow:
		time.Sleep(forever)
	}
	out := os.NewFile(proto.FDSolution, "solution")
	inner := sdk.NewServer(Project(), os.NewFile(proto.FDCircuit, "circuit"), out)
	plugin.Serve(&plugin.ServeConfig{
		HandshakeConfig: rpc.Handshake(),
		Plugins:         plugin.PluginSet{proto.Service: &rpc.Circuit{Service: &service{CircuitServer: inner, out: out}}},
		GRPCServer:      plugin.DefaultGRPCServer,
		Logger:          hclog.New(&hclog.LoggerOptions{Level: hclog.Warn, Output: os.Stderr, JSONFormat: true}),
	})
}

// lastWords prints where go-plugin has not put anything in between.
func lastWords(text string) { _, _ = unix.Write(unix.Stderr, []byte(text)) }

// service misbehaves around an honest one.
type service struct {
	proto.CircuitServer
	out  *os.File
	deaf bool // it is not to be drained
}

type solveStream = grpc.BidiStreamingServer[proto.SolveRequest, proto.SolveResponse]

// Solve implements the service.
func (s *service) Solve(out solveStream) error {
	task, err := out.Recv()
	if err != nil {
		return err
	}
	var body wire.Body
	if err := body.UnmarshalBinary(task.GetTask().GetBody()); err != nil {
		return err
	}
	mode, path := Parse(body.Messages[0].Payload)
	note := func(text string) error { return out.Send(progress(string(mode) + ": " + text)) }
	switch mode {
	case Crash:
		lastWords("fault: it ends now\n")
		os.Exit(3)
	case Panic:
		panic("the plugin panics")
	case Hang, IgnoreCancel:
		s.deaf = mode == IgnoreCancel
		if err := note("hanging"); err != nil {
			return err
		}
		time.Sleep(forever)
	case Memory:
		if err := note("taking all there is"); err != nil {
			return err
		}
		takeMemory()
	}
	if act, ok := acts[mode]; ok {
		if err := note(act(path)); err != nil {
			return err
		}
	}
	return s.CircuitServer.Solve(&stream{solveStream: out, task: task, mode: mode, out: s.out})
}

// Drain implements the service.
func (s *service) Drain(ctx context.Context, r *proto.DrainRequest) (*proto.DrainResponse, error) {
	if s.deaf {
		time.Sleep(forever)
	}
	return s.CircuitServer.Drain(ctx, r)
}

// stream stands between the host and the honest service and spoils its answer;
// the task was read already.
type stream struct {
	solveStream
	mode Mode
	task *proto.SolveRequest // nil once the service had it
	out  *os.File
}

func (s *stream) Recv() (*proto.SolveRequest, error) {
	if task := s.task; task != nil {
		s.task = nil
		return task, nil
	}
	return s.solveStream.Recv()
}

func (s *stream) Send(r *proto.SolveResponse) error {
	solved := r.GetSolved()
	if solved == nil {
		return s.solveStream.Send(r)
	}
	if err := s.spoil(solved); err != nil {
		return err
	}
	if s.mode == AnswerTwice {
		if err := s.solveStream.Send(r); err != nil {
			return err
		}
	}
	return s.solveStream.Send(r)
}

// spoil changes an honest result.
func (s *stream) spoil(solved *proto.Solved) (err error) {
	const header, element = 128, 32 // bytes of the solution file's parts
	info, err := s.out.Stat()
	if err != nil {
		return err
	}
	size := int(info.Size())
	switch s.mode {
	case WrongOutput:
		solved.Outputs[0] = bytes.Repeat([]byte{1}, element)
	case Huge:
		solved.Outputs = [][]byte{make([]byte, 100_000_000)}
	case WrongWitness:
		_, err = s.out.WriteAt(make([]byte, element), header+5*element)
	case Garbage:
		_, err = s.out.WriteAt(bytes.Repeat([]byte{0xff}, size-header), header)
	case Short:
		_, err = s.out.WriteAt(make([]byte, size-header-4*element), header+4*element)
	}
	return err
}

func progress(stage string) *proto.SolveResponse {
	return &proto.SolveResponse{Event: &proto.SolveResponse_Progress{Progress: &proto.Progress{Stage: stage}}}
}
