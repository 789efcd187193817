package chain

import (
	"context"
	"fmt"
	"math/big"
	"net/http"
	"time"

	"github.com/ethereum/go-ethereum"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/ethclient"
	"github.com/ethereum/go-ethereum/rpc"

	"github.com/gristmill-zk/gristmill/wire"
)

const (
	// callTimeout bounds one HTTP call, so that an endpoint that hangs is an
	// error like one that is away.
	callTimeout = 30 * time.Second
	// idleConns is how many connections are kept: many callers share a client.
	idleConns = 32
)

// Client is a JSON-RPC connection that knows which chain it talks to.
type Client struct {
	*ethclient.Client

	http *http.Client
	url  string
	id   uint64
}

// Dial connects to the endpoint at url (http, https, ws or wss) and asks it for
// its chain id. Neither its errors nor those of the client's calls hold more of
// url than scheme and host. Redirects are errors.
func Dial(ctx context.Context, url string) (*Client, error) {
	target, err := parseEndpoint(url)
	if err != nil {
		return nil, err
	}
	name, dial := shown(target), url
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment, MaxIdleConnsPerHost: idleConns, IdleConnTimeout: time.Minute}
	if target.Scheme == "http" || target.Scheme == "https" {
		dial = name
	}
	c := &Client{url: url, http: &http.Client{Timeout: callTimeout, Transport: concealing{transport, target}, CheckRedirect: stay}}
	conn, err := rpc.DialOptions(ctx, dial, rpc.WithHTTPClient(c.http))
	if err != nil {
		return nil, fmt.Errorf("chain: dial %s: %w", name, err)
	}
	c.Client = ethclient.NewClient(conn)
	id, err := c.ChainID(ctx)
	if err != nil {
		c.Close()
		return nil, fmt.Errorf("chain: %s: chain id: %w", name, err)
	}
	if !id.IsUint64() {
		c.Close()
		return nil, fmt.Errorf("chain: %s: chain id %s exceeds 64 bits", name, id)
	}
	c.id = id.Uint64()
	return c, nil
}

// Close ends the connections.
func (c *Client) Close() {
	c.Client.Close()
	c.http.CloseIdleConnections()
}

// ID is the chain id the endpoint reported when it was dialled.
func (c *Client) ID() uint64 { return c.id }

// URL is the endpoint as it was given. It may hold an API key: print it to no one.
func (c *Client) URL() string { return c.url }

// WireAddress converts an address to the form the rest of the protocol uses.
func WireAddress(a common.Address) wire.Address { return wire.Address(a) }

// EthAddress converts an address to go-ethereum's form.
func EthAddress(a wire.Address) common.Address { return common.Address(a) }

// WireHash converts a hash to the form the rest of the protocol uses.
func WireHash(h common.Hash) wire.Hash { return wire.Hash(h) }

// EthHash converts a hash to go-ethereum's form.
func EthHash(h wire.Hash) common.Hash { return common.Hash(h) }

// BlockRef names a block as its chain does.
type BlockRef struct {
	Number       uint64
	Hash, Parent common.Hash
	Time         uint64 // unix seconds
	// Bloom tells which contracts may have logs in the block.
	Bloom types.Bloom
}

// BlockRef reads the block at a number, nil for the head. The hash is the one
// the endpoint states: chains with header fields of their own hash differently
// from what go-ethereum would compute. An absent block is ethereum.NotFound.
func (c *Client) BlockRef(ctx context.Context, number *big.Int) (BlockRef, error) {
	at := "latest"
	if number != nil {
		at = hexutil.EncodeBig(number)
	}
	var b *struct {
		Number     hexutil.Uint64 `json:"number"`
		Hash       common.Hash    `json:"hash"`
		ParentHash common.Hash    `json:"parentHash"`
		Timestamp  hexutil.Uint64 `json:"timestamp"`
		LogsBloom  types.Bloom    `json:"logsBloom"`
	}
	if err := c.Client.Client().CallContext(ctx, &b, "eth_getBlockByNumber", at, false); err != nil {
		return BlockRef{}, fmt.Errorf("chain: block %s: %w", at, err)
	}
	if b == nil {
		return BlockRef{}, fmt.Errorf("chain: block %s: %w", at, ethereum.NotFound)
	}
	return BlockRef{Number: uint64(b.Number), Hash: b.Hash, Parent: b.ParentHash, Time: uint64(b.Timestamp), Bloom: b.LogsBloom}, nil
}
