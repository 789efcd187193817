package remote_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/goleak"
	"google.golang.org/grpc"

	"github.com/gristmill-zk/gristmill/gpu"
	"github.com/gristmill-zk/gristmill/gpu/cpu"
	"github.com/gristmill-zk/gristmill/gpu/enginetest"
	"github.com/gristmill-zk/gristmill/gpu/proto"
	"github.com/gristmill-zk/gristmill/gpu/remote"
)

// The test binary is engine or worker when its first argument says so.
const (
	asEngine = "serve-engine"
	asWorker = "be-worker"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case asEngine:
			if err := engineMain(os.Args[2:]); err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
			os.Exit(0)
		case asWorker:
			fmt.Fprintln(os.Stderr, workerMain())
			os.Exit(1)
		}
	}
	goleak.VerifyTestMain(m)
}

// engineMain is the program of an engine that misbehaves as its first argument
// says. The second is the engine's memory, the third a file: while it exists,
// the engine behaves.
func engineMain(args []string) error {
	mode, marker := args[0], args[2]
	memory, err := strconv.ParseInt(args[1], 10, 64)
	if err != nil {
		return err
	}
	if mode == "exit at start" || mode == "version" || mode == "slow start" || mode == "no device" {
		if !misbehaves(marker) {
			mode = ""
		}
	}
	switch mode {
	case "exit at start":
		fmt.Fprintln(os.Stderr, "libcudart.so.11.0: cannot open shared object file")
		os.Exit(7)
	case "version":
		remote.ServeRaw(&garbage{}, proto.ProtocolVersion+1)
		return nil
	case "slow start":
		_ = syscall.Pause() // not select: the runtime would see a deadlock
	case "garbage proof", "no result", "nothing":
		if misbehaves(marker) {
			remote.ServeRaw(&garbage{mode: mode}, proto.ProtocolVersion)
			return nil
		}
	}
	return remote.Main(func() (gpu.Engine, error) {
		fmt.Println("a library prints on standard output while it is loaded")
		if mode == "no device" {
			return nil, fmt.Errorf("%w: card 3 has compute capability 5.0, needed is 7.0", gpu.ErrUnsupported)
		}
		if mode == "idle" {
			return idle{}, nil
		}
		engine, err := cpu.New(cpu.Config{Memory: memory})
		return &faulty{Engine: engine, mode: mode, marker: marker}, err
	})
}

// misbehaves says whether it is time to, and sees to it that it was.
func misbehaves(marker string) bool {
	f, err := os.OpenFile(marker, os.O_CREATE|os.O_EXCL, 0o600)
	return err == nil && f.Close() == nil
}

// faulty is an engine that fails once.
type faulty struct {
	gpu.Engine
	mode, marker string
}

func (f *faulty) Prove(ctx context.Context, req gpu.Request) (*gpu.Proof, error) {
	if f.mode == "print" {
		return f.print(ctx, req)
	}
	if f.mode == "" || !misbehaves(f.marker) {
		return f.Engine.Prove(ctx, req)
	}
	req.Reached("multiply")
	switch f.mode {
	case "abort":
		_ = syscall.Kill(os.Getpid(), syscall.SIGABRT)
		select {}
	case "kill":
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	case "exit":
		fmt.Fprintln(os.Stderr, "CUDA error 719: unspecified launch failure")
		os.Exit(3)
	case "panic":
		gone := make(chan struct{})
		go func() { panic("an index out of range") }()
		<-gone
	case "hang":
		select {}
	case "freeze":
		_ = syscall.Kill(os.Getpid(), syscall.SIGSTOP)
	case "flood":
		line := strings.Repeat("x", 1023) + "\n"
		for range 100 << 10 {
			os.Stderr.WriteString(line)
		}
		fmt.Fprintln(os.Stderr, "and that was that")
		os.Exit(4)
	case "device":
		return nil, fmt.Errorf("%w: Xid 79", gpu.ErrDevice)
	case "plain":
		return nil, errors.New("something else")
	case "write":
		req.Solution.W[1].SetUint64(7)
	}
	return f.Engine.Prove(ctx, req)
}

// print puts the environment's names where the test sees them.
func (f *faulty) print(ctx context.Context, req gpu.Request) (*gpu.Proof, error) {
	fmt.Println("a line on standard output")
	for _, entry := range os.Environ() {
		name, _, _ := strings.Cut(entry, "=")
		req.Reached("has " + name)
	}
	return f.Engine.Prove(ctx, req)
}

// garbage answers what is no answer.
type garbage struct {
	proto.UnimplementedEngineServer
	mode string
}

func (*garbage) Describe(context.Context, *proto.DescribeRequest) (*proto.DescribeResponse, error) {
	return &proto.DescribeResponse{Name: "cpu", Id: "cpu", Parallel: 2}, nil
}

func (g *garbage) Work(stream grpc.BidiStreamingServer[proto.WorkRequest, proto.WorkResponse]) error {
	if _, err := stream.Recv(); err != nil {
		return err
	}
	switch g.mode {
	case "garbage proof":
		junk := []byte(strings.Repeat("\xaa", 64))
		return stream.Send(&proto.WorkResponse{Event: &proto.WorkResponse_Result{Result: &proto.Result{
			Proof: &proto.Proof{Ar: junk, Krs: junk, Knowledge: junk, Bs: append(junk, junk...)},
		}}})
	case "nothing":
		return stream.Send(&proto.WorkResponse{})
	}
	return nil
}

// workerMain is a worker that waits for a proof that never comes.
func workerMain() error {
	dir, err := os.MkdirTemp("", "gm-worker-")
	if err != nil {
		return err
	}
	e, err := remote.New(remote.Config{Command: command("hang", 1<<30, dir+"/marker")})
	if err != nil {
		return err
	}
	f, err := enginetest.Sized("dense", 6)
	if err != nil {
		return err
	}
	_, err = e.Prove(context.Background(), gpu.Request{Key: f.Key(), Solution: f.Solution(), Progress: func(string) {
		fmt.Println(e.State().PID)
	}})
	return err
}

func command(mode string, memory int64, marker string) []string {
	return []string{os.Args[0], asEngine, mode, strconv.FormatInt(memory, 10), marker}
}
