package node

import (
	"os"
	"testing"

	gnarklog "github.com/consensys/gnark/logger"
	"go.uber.org/goleak"

	"github.com/gristmill-zk/gristmill/plugins/sandbox"
)

func TestMain(m *testing.M) {
	sandbox.Main()
	gnarklog.Disable()
	code := m.Run()
	if code == 0 {
		// go-ethereum's sender cache lives as long as the process; goleveldb lets
		// its last goroutine end a while after Close.
		err := goleak.Find(
			goleak.IgnoreTopFunction("github.com/ethereum/go-ethereum/core.(*txSenderCacher).cache"),
			goleak.IgnoreTopFunction("github.com/syndtr/goleveldb/leveldb.(*DB).mpoolDrain"),
		)
		if err != nil {
			_, _ = os.Stderr.WriteString(err.Error() + "\n")
			code = 1
		}
	}
	os.Exit(code)
}
