package dispatchertest_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/gristmill-zk/gristmill/scheduler/dispatchertest"
	"github.com/gristmill-zk/gristmill/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestMemory(t *testing.T) {
	t.Parallel()
	dispatchertest.Run(t, wire.Address{7}, func(*testing.T) *dispatchertest.Bench { return dispatchertest.NewMemory().Bench() })
}
