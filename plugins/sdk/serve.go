package sdk

import (
	"errors"
	"io"
	"os"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"

	"github.com/gristmill-zk/gristmill/plugins/internal/rpc"
	"github.com/gristmill-zk/gristmill/plugins/internal/solution"
	"github.com/gristmill-zk/gristmill/plugins/proto"
)

// serve answers the host until it is gone.
func serve(p *Project) error {
	if err := p.validate(); err != nil {
		return err
	}
	if err := checkCookie(); err != nil {
		return err
	}
	out, err := solution.Map(os.NewFile(proto.FDSolution, "solution"))
	if err != nil {
		return err
	}
	return Serve(NewServer(p, os.NewFile(proto.FDCircuit, "circuit"), out))
}

// checkCookie fails unless a host started the process.
func checkCookie() error {
	if os.Getenv(proto.CookieKey) != proto.CookieValue {
		return errors.New("serve: this verb is for a gristmill worker, which passes the files it needs; try describe or export")
	}
	return nil
}

// Serve answers the host with a service until the host is gone.
func Serve(service proto.CircuitServer) error {
	if err := checkCookie(); err != nil {
		return err
	}
	go exitWithHost()
	plugin.Serve(&plugin.ServeConfig{
		HandshakeConfig: rpc.Handshake(),
		Plugins:         plugin.PluginSet{proto.Service: &rpc.Circuit{Service: service}},
		GRPCServer: func(opts []grpc.ServerOption) *grpc.Server {
			return grpc.NewServer(append(opts,
				grpc.MaxRecvMsgSize(proto.MaxMessage), grpc.MaxSendMsgSize(proto.MaxMessage))...)
		},
		Logger: hclog.New(&hclog.LoggerOptions{Level: hclog.Warn, Output: os.Stderr, JSONFormat: true}),
	})
	return nil
}

// exitWithHost ends the process when the host's end of standard input closes,
// which the kernel does for a host that was killed.
func exitWithHost() {
	_, _ = io.Copy(io.Discard, os.Stdin)
	os.Exit(1)
}
