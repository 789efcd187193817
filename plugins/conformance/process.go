package conformance

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/gristmill-zk/gristmill/internal/subprocess"
	"github.com/gristmill-zk/gristmill/plugins/bundle"
	"github.com/gristmill-zk/gristmill/plugins/internal/solution"
	"github.com/gristmill-zk/gristmill/plugins/proto"
)

// process is a plugin that runs.
type process struct {
	cmd      *exec.Cmd
	dir      *subprocess.RunDir // of its socket
	stdin    io.WriteCloser
	solution *os.File
	shared   *solution.Memory
	header   solution.Header
	conn     *grpc.ClientConn
	rpc      proto.CircuitClient
	gone     chan struct{}
	said     *lines // what it printed
}

// lines keeps the end of what a plugin prints.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

// Write implements io.Writer.
func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.buf.Len() > 1<<16 {
		l.buf.Reset()
	}
	return l.buf.Write(p)
}

// String is what was printed.
func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.TrimSpace(l.buf.String())
}

// noHost starts the verb `serve` as a person would by mistake: the plugin must
// end by itself and say why.
func (r *run) noHost(ctx context.Context) error {
	path, err := r.plugin.Bundle.Path(bundle.PartPlugin)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, path, "serve")
	cmd.Env = []string{}
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return errors.New("it goes on without the cookie in its environment")
	case err == nil:
		return errors.New("it ends with status 0")
	case !errors.As(err, &exit):
		return err
	case len(bytes.TrimSpace(out)) == 0:
		return errors.New("it says nothing about why")
	}
	return nil
}

// start starts the plugin with what a host gives it and opens a connection.
func start(ctx context.Context, b *bundle.Bundle) (p *process, err error) {
	info := &b.Manifest.Circuit
	p = &process{
		header: solution.Header{Wires: info.Wires, Constraints: info.Constraints, Public: info.PublicWires},
		gone:   make(chan struct{}), said: &lines{},
	}
	defer func() {
		if err != nil {
			p.kill()
			if said := p.said.String(); said != "" {
				err = fmt.Errorf("%w; it printed: %s", err, said)
			}
			p = nil
		}
	}()
	path, err := b.Path(bundle.PartPlugin)
	if err != nil {
		return p, err
	}
	circuit, err := b.Path(bundle.PartCircuit)
	if err != nil {
		return p, err
	}
	if p.dir, err = subprocess.NewRunDir(""); err != nil {
		return p, err
	}
	if p.solution, err = subprocess.FixedFile("solution", p.header.Size()); err != nil {
		return p, err
	}
	if p.shared, err = solution.Map(p.solution); err != nil {
		return p, err
	}
	pair, certificate, err := newCertificate()
	if err != nil {
		return p, err
	}
	p.cmd = exec.Command(path, "serve", "--batch", strconv.FormatUint(uint64(info.BatchSize), 10))
	p.cmd.Dir = p.dir.Path()
	p.cmd.Stderr = p.said
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	p.cmd.Env = []string{
		proto.CookieKey + "=" + proto.CookieValue, "PLUGIN_PROTOCOL_VERSIONS=" + strconv.Itoa(proto.ProtocolVersion),
		"PLUGIN_CLIENT_CERT=" + string(certificate), "PLUGIN_UNIX_SOCKET_DIR=" + p.dir.Path(),
	}
	stdout, err := p.launch(path, circuit)
	if err != nil {
		return p, err
	}
	return p, p.connect(ctx, stdout, pair)
}

// launch starts the process with its descriptors.
func (p *process) launch(files ...string) (io.Reader, error) {
	binary, err := os.Open(files[0])
	if err != nil {
		return nil, err
	}
	defer binary.Close()
	circuit, err := os.Open(files[1])
	if err != nil {
		return nil, err
	}
	defer circuit.Close()
	p.cmd.ExtraFiles = []*os.File{binary, p.solution, circuit}
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	stdout, in, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	p.cmd.Stdout = in
	err = p.cmd.Start()
	_ = in.Close()
	if err != nil {
		_ = stdout.Close()
		return nil, err
	}
	go func() {
		defer close(p.gone)
		_ = p.cmd.Wait()
	}()
	return stdout, nil
}

// connect reads the handshake and dials.
func (p *process) connect(ctx context.Context, stdout io.Reader, pair tls.Certificate) error {
	first := make(chan string, 1)
	go func() {
		if closer, ok := stdout.(io.Closer); ok {
			defer closer.Close()
		}
		r := bufio.NewReader(stdout)
		line, _ := r.ReadString('\n')
		first <- line
		_, _ = io.Copy(p.said, r)
	}()
	var line string
	select {
	case line = <-first:
	case <-ctx.Done():
		return errors.New("no handshake line on standard output")
	}
	socket, certificate, err := parseHandshake(strings.TrimSuffix(line, "\n"), p.dir.Path())
	if err != nil {
		return fmt.Errorf("handshake line %q: %w", line, err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(certificate)
	p.conn, err = grpc.NewClient("passthrough:///plugin",
		grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{
			Certificates: []tls.Certificate{pair}, RootCAs: roots, ServerName: "localhost", MinVersion: tls.VersionTLS12,
		})),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		}))
	if err != nil {
		return err
	}
	p.rpc = proto.NewCircuitClient(p.conn)
	_, err = p.rpc.Describe(ctx, &proto.DescribeRequest{}, grpc.WaitForReady(true))
	return err
}

// parseHandshake reads CORE|APP|unix|SOCKET|grpc|CERTIFICATE, after which more
// fields may follow.
func parseHandshake(line, dir string) (socket string, certificate *x509.Certificate, err error) {
	fields := strings.Split(line, "|")
	if len(fields) < 6 {
		return "", nil, fmt.Errorf("it has %d fields between bars, must have 6", len(fields))
	}
	for i, want := range []string{"1", strconv.Itoa(proto.ProtocolVersion), "unix"} {
		if fields[i] != want {
			return "", nil, fmt.Errorf("field %d is %q, must be %q", i+1, fields[i], want)
		}
	}
	if fields[4] != "grpc" {
		return "", nil, fmt.Errorf("field 5 is %q, must be %q", fields[4], "grpc")
	}
	if filepath.Dir(fields[3]) != dir {
		return "", nil, fmt.Errorf("the socket %s is not in PLUGIN_UNIX_SOCKET_DIR", fields[3])
	}
	raw, err := base64.RawStdEncoding.DecodeString(fields[5])
	if err != nil {
		return "", nil, fmt.Errorf("certificate: %w", err)
	}
	if certificate, err = x509.ParseCertificate(raw); err != nil {
		return "", nil, fmt.Errorf("certificate: %w", err)
	}
	return fields[3], certificate, nil
}

// kill ends the process with its group and waits until it is gone.
func (p *process) kill() {
	if p.conn != nil {
		_ = p.conn.Close()
	}
	if p.cmd != nil && p.cmd.Process != nil {
		_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
		<-p.gone
	}
	if p.shared != nil {
		_ = p.shared.Close()
	}
	if p.solution != nil {
		_ = p.solution.Close()
	}
	if p.dir != nil {
		_ = p.dir.Remove()
	}
}

// newCertificate is the host's, made for one run.
func newCertificate() (pair tls.Certificate, certificate []byte, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	if err != nil {
		return pair, nil, err
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
		NotBefore: now.Add(-time.Minute), NotAfter: now.Add(24 * time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return pair, nil, err
	}
	certificate = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, certificate, nil
}
