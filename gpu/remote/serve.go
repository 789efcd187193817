package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc"

	"github.com/gristmill-zk/gristmill/gpu"
	"github.com/gristmill-zk/gristmill/gpu/proto"
	"github.com/gristmill-zk/gristmill/internal/subprocess"
)

// ErrNotServed is Main or Serve in a process that no worker started.
var ErrNotServed = errors.New("this program is a proving engine: gristmill starts it")

// Serve answers the worker that started this process with an engine, until the
// worker lets go, and closes the engine. Nothing may have been printed on
// standard output before; an engine whose libraries print when it is made is
// better made by [Main].
func Serve(engine gpu.Engine) error {
	return Main(func() (gpu.Engine, error) { return engine, nil })
}

// Main is the main function of an engine's program. It makes the engine once it
// knows that a worker started the process and after turning standard output,
// which libraries like to print on, into standard error. When there is no engine
// to be had, the worker is told why.
func Main(open func() (gpu.Engine, error)) error {
	if os.Getenv(proto.CookieKey) != proto.CookieValue {
		return ErrNotServed
	}
	go exitWithHost()
	stdio, err := silenceStdout()
	if err != nil {
		return err
	}
	files, err := subprocess.NewFileReceiver(os.NewFile(proto.FDFiles, "files"))
	if err != nil {
		return err
	}
	engine, failure := open()
	if failure == nil && engine == nil {
		failure = errors.New("the engine was not made")
	}
	serve(&server{engine: engine, failure: failure, files: files, stdio: stdio}, stdio, proto.ProtocolVersion)
	if failure != nil {
		return failure
	}
	return errors.Join(engine.Close(), files.Close())
}

// serve answers until the worker lets go.
func serve(service proto.EngineServer, stdio *stdio, version uint) {
	os.Stdout = stdio.handshake // go-plugin prints it there
	handshake := handshake()
	handshake.ProtocolVersion = version
	plugin.Serve(&plugin.ServeConfig{
		HandshakeConfig: handshake,
		Plugins:         plugin.PluginSet{proto.Service: &link{service: service}},
		GRPCServer: func(opts []grpc.ServerOption) *grpc.Server {
			return grpc.NewServer(append(opts, grpc.MaxRecvMsgSize(proto.MaxMessage), grpc.MaxSendMsgSize(proto.MaxMessage))...)
		},
		Logger: hclog.New(&hclog.LoggerOptions{Level: hclog.Warn, Output: os.Stderr, JSONFormat: true}),
	})
}

// stdio are the standard files as they are meant to be while the engine serves.
type stdio struct {
	once           sync.Once
	handshake, err *os.File
}

// silenceStdout keeps standard output for the handshake alone: what is printed
// on descriptor 1 goes to standard error.
func silenceStdout() (*stdio, error) {
	fd, err := unix.FcntlInt(1, unix.F_DUPFD_CLOEXEC, 3)
	if err == nil {
		err = unix.Dup3(2, 1, 0)
	}
	if err != nil {
		return nil, fmt.Errorf("keep standard output silent: %w", err)
	}
	s := &stdio{handshake: os.NewFile(uintptr(fd), "handshake"), err: os.Stderr}
	os.Stdout = os.Stderr
	return s, nil
}

// restore undoes that go-plugin sends what Go code prints over gRPC: the last
// words of a process that dies would be lost there. It is called once gRPC
// works, which is after go-plugin did so.
func (s *stdio) restore() {
	s.once.Do(func() {
		os.Stdout, os.Stderr = s.err, s.err
		_ = s.handshake.Close()
	})
}

// exitWithHost ends the process when the worker's end of standard input closes,
// which the kernel does for a worker that was killed.
func exitWithHost() {
	_, _ = io.Copy(io.Discard, os.Stdin)
	os.Exit(1)
}

// handshake is what both sides must agree on before they talk.
func handshake() plugin.HandshakeConfig {
	return plugin.HandshakeConfig{
		ProtocolVersion: proto.ProtocolVersion, MagicCookieKey: proto.CookieKey, MagicCookieValue: proto.CookieValue,
	}
}

// link is what go-plugin dispenses. The worker leaves service nil.
type link struct {
	plugin.NetRPCUnsupportedPlugin
	service proto.EngineServer
}

// GRPCServer registers the service in the engine's process.
func (l *link) GRPCServer(_ *plugin.GRPCBroker, s *grpc.Server) error {
	proto.RegisterEngineServer(s, l.service)
	return nil
}

// GRPCClient makes the worker's client.
func (l *link) GRPCClient(_ context.Context, _ *plugin.GRPCBroker, conn *grpc.ClientConn) (any, error) {
	return proto.NewEngineClient(conn), nil
}
