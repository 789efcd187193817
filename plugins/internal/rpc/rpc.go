// Package rpc is the glue between go-plugin and the circuit service, the same
// on both sides. Only gRPC is spoken; go-plugin's broker is not used.
package rpc

import (
	"context"

	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"

	"github.com/gristmill-zk/gristmill/plugins/proto"
)

// Handshake is what both sides must agree on before they talk.
func Handshake() plugin.HandshakeConfig {
	return plugin.HandshakeConfig{
		ProtocolVersion:  proto.ProtocolVersion,
		MagicCookieKey:   proto.CookieKey,
		MagicCookieValue: proto.CookieValue,
	}
}

// Circuit is the one plugin that is dispensed. The host leaves Service nil.
type Circuit struct {
	plugin.NetRPCUnsupportedPlugin
	Service proto.CircuitServer
}

// GRPCServer registers the service in the plugin.
func (c *Circuit) GRPCServer(_ *plugin.GRPCBroker, s *grpc.Server) error {
	proto.RegisterCircuitServer(s, c.Service)
	return nil
}

// GRPCClient makes the host's client.
func (c *Circuit) GRPCClient(_ context.Context, _ *plugin.GRPCBroker, conn *grpc.ClientConn) (any, error) {
	return proto.NewCircuitClient(conn), nil
}
