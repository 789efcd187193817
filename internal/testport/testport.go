// Package testport gives tests ports that stay theirs while the server on them
// is killed and started again.
//
// A port that was only found free may be anybody's by the time it is used, and
// again whenever its server is down. One that a socket is bound to is given to
// nobody who asks for any port, while a server that names it, and sets
// SO_REUSEADDR as Go's listeners and Redis do, still gets it.
package testport

import (
	"net"
	"strconv"
	"syscall"
	"testing"
)

// Reserve returns host:port of a loopback port that is kept until the test ends.
func Reserve(t testing.TB) string {
	t.Helper()
	must := func(what string, err error) {
		if err != nil {
			t.Helper()
			t.Fatalf("reserve a port: %s: %v", what, err)
		}
	}
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	must("socket", err)
	t.Cleanup(func() { _ = syscall.Close(fd) })
	must("share", syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1))
	must("bind", syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}))
	bound, err := syscall.Getsockname(fd)
	must("name", err)
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(bound.(*syscall.SockaddrInet4).Port))
}
