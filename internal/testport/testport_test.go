package testport_test

import (
	"net"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gristmill-zk/gristmill/internal/testport"
)

func TestServerGetsItAgainAndAgain(t *testing.T) {
	t.Parallel()
	addr := testport.Reserve(t)
	require.NotEqual(t, addr, testport.Reserve(t))
	for range 2 {
		l, err := net.Listen("tcp", addr)
		require.NoError(t, err)
		conn, err := net.Dial("tcp", addr)
		require.NoError(t, err)
		require.NoError(t, conn.Close())
		require.NoError(t, l.Close())
		_, err = net.Dial("tcp", addr)
		require.Error(t, err, "nobody listens")
	}
}
