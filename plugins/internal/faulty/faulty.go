// Package faulty is a plugin for the tests of host and bundle. It solves a small
// circuit (the output is the first payload byte) unless that byte tells it to
// misbehave; then it does, in the way the [Mode] says.
//
// It is a package, with a command beside it, so that tests which build the
// command can import it: their cached results then end with a change of it.
package faulty

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/consensys/gnark/frontend"
	"github.com/consensys/gnark/std/multicommit"
	"github.com/consensys/gnark/std/rangecheck"
	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/gristmill-zk/gristmill/plugins/internal/rpc"
	"github.com/gristmill-zk/gristmill/plugins/proto"
	"github.com/gristmill-zk/gristmill/plugins/sdk"
	"github.com/gristmill-zk/gristmill/wire"
)

type circuit struct {
	First frontend.Variable `gnark:"first,public"`

	commits bool
}

// Batch sizes for which the circuit uses a gnark commitment. With the latter the
// plugin is the SDK's and nothing else: no mode misbehaves.
const (
	Committing = 2
	Conforming = 3
)

func (c *circuit) Define(api frontend.API, m *sdk.Messages) error {
	api.AssertIsEqual(c.First, m.Items[0].Bytes()[0])
	if !c.commits {
		return nil
	}
	// gnark folds the two into one commitment, to the output and to private limbs.
	rangecheck.New(api).Check(c.First, 8)
	multicommit.WithCommitment(api, func(api frontend.API, challenge frontend.Variable) error {
		api.AssertIsDifferent(challenge, 0)
		return nil
	}, c.First)
	return nil
}

func project() *sdk.Project {
	return &sdk.Project{
		Name: "faulty", Version: "1", BatchSize: 1, PayloadLimit: 8, UncheckedSignatures: true,
		New: func(batch int) sdk.Circuit { return &circuit{commits: batch >= Committing} },
		Assign: func(t sdk.Task) (sdk.Circuit, error) {
			payload := t.Messages[0].Payload
			switch Mode(payload[0]) {
			case Refuse:
				return nil, fmt.Errorf("message 0 asks to be refused\n\x1b[31m")
			case Unsatisfied:
				return &circuit{First: 255}, nil
			}
			return &circuit{First: payload[0]}, nil
		},
		Sample: func(int) []byte { return []byte{0} },
	}
}

// Main is the plugin.
func Main() {
	switch {
	case len(os.Args) > 1 && os.Args[1] == "sleep":
		time.Sleep(time.Hour)
	case len(os.Args) > 1 && os.Args[1] == "serve" && !slices.Contains(os.Args, strconv.Itoa(Conforming)):
		out := os.NewFile(proto.FDSolution, "solution")
		p := project()
		if slices.Contains(os.Args, strconv.Itoa(Committing)) {
			p.BatchSize = Committing
		}
		inner := sdk.NewServer(p, os.NewFile(proto.FDCircuit, "circuit"), out)
		// Unlike an honest plugin it does not end with its standard input.
		plugin.Serve(&plugin.ServeConfig{
			HandshakeConfig: rpc.Handshake(),
			Plugins:         plugin.PluginSet{proto.Service: &rpc.Circuit{Service: &service{CircuitServer: inner, out: out}}},
			GRPCServer:      plugin.DefaultGRPCServer,
			Logger:          hclog.New(&hclog.LoggerOptions{Level: hclog.Warn, Output: os.Stderr, JSONFormat: true}),
		})
	default:
		sdk.Main(project())
	}
}

// service misbehaves around an honest one.
type service struct {
	proto.CircuitServer
	out    *os.File
	answer *proto.SolveRequest // the host's first, for CommitKept
}

// solveStream is a solve as the plugin sees it.
type solveStream = grpc.BidiStreamingServer[proto.SolveRequest, proto.SolveResponse]

func (s *service) Solve(out solveStream) error {
	task, err := out.Recv()
	if err != nil {
		return err
	}
	var body wire.Body
	if err := body.UnmarshalBinary(task.GetTask().GetBody()); err != nil {
		return status.Error(codes.InvalidArgument, err.Error())
	}
	m := Mode(body.Messages[0].Payload[0])
	switch m {
	case Crash:
		os.Exit(3)
	case ForkAndCrash:
		if err := startChild(); err != nil {
			return err
		}
		defer time.AfterFunc(100*time.Millisecond, func() { os.Exit(3) })
	case Panic:
		panic("the plugin panics")
	case Hang, Fork:
		if m == Fork {
			if err := startChild(); err != nil {
				return err
			}
		}
		if err := out.Send(progress("hanging")); err != nil {
			return err
		}
		select {}
	case NoResult:
		return nil
	case Stale:
		return out.Send(&proto.SolveResponse{Event: &proto.SolveResponse_Solved{Solved: &proto.Solved{
			Outputs: [][]byte{word(byte(m))},
		}}})
	case Resize:
		if err := out.Send(progress(fmt.Sprintf("shrink %v, grow %v", s.out.Truncate(1), s.out.Truncate(1<<30)))); err != nil {
			return err
		}
	case Print:
		fmt.Println("a line on standard output")
		fmt.Fprintln(os.Stderr, "a line on standard error")
		var names []string
		for _, v := range os.Environ() {
			name, _, _ := strings.Cut(v, "=")
			names = append(names, name)
		}
		if err := out.Send(progress("environment " + strings.Join(names, " "))); err != nil {
			return err
		}
	}
	if m == CommitUnasked {
		if err := out.Send(&proto.SolveResponse{Event: &proto.SolveResponse_Commit{Commit: &proto.Commit{Values: 1}}}); err != nil {
			return err
		}
	}
	return s.CircuitServer.Solve(&stream{solveStream: out, task: task, mode: m, service: s})
}

const header, element = 128, 32 // bytes of the solution file's parts

// spoil changes an honest result.
func (s *service) spoil(m Mode, solved *proto.Solved) (err error) {
	switch m {
	case WrongOutput:
		solved.Outputs[0] = word(200)
	case BigOutput:
		solved.Outputs[0] = bytes.Repeat([]byte{0xff}, element)
	case ManyOutputs:
		solved.Outputs = append(solved.Outputs, word(1))
	case NoTime:
		solved.SolveMs = math.NaN()
	case Garbage:
		_, err = s.out.WriteAt(bytes.Repeat([]byte{0xff}, element), header+7*element)
	case WrongBinding:
		_, err = s.out.WriteAt(make([]byte, element), header+1*element)
	case WrongWire:
		_, err = s.out.WriteAt(make([]byte, element), header+5*element)
	case WrongRow:
		info, statErr := s.out.Stat()
		if statErr != nil {
			return statErr
		}
		_, err = s.out.WriteAt(bytes.Repeat([]byte{1}, element), info.Size()-element)
	}
	return err
}

func progress(stage string) *proto.SolveResponse {
	return &proto.SolveResponse{Event: &proto.SolveResponse_Progress{Progress: &proto.Progress{Stage: stage}}}
}

func word(b byte) []byte {
	out := make([]byte, 32)
	out[31] = b
	return out
}

// startChild leaves a process behind.
func startChild() error {
	_, err := os.StartProcess("/proc/self/exe", []string{"faulty", "sleep"}, &os.ProcAttr{Files: []*os.File{os.Stdin, os.Stdout, os.Stderr}})
	return err
}
