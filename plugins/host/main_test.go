package host_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"github.com/gristmill-zk/gristmill/plugins/bundle"
	fault "github.com/gristmill-zk/gristmill/plugins/circuits/fault/circuit"
	"github.com/gristmill-zk/gristmill/plugins/host"
	"github.com/gristmill-zk/gristmill/plugins/internal/faulty"
	"github.com/gristmill-zk/gristmill/plugins/sandbox"
)

// helperEnv makes the test binary a host that hangs over a bundle until it is
// killed.
const helperEnv = "GRISTMILL_TEST_HOST"

// helperChildEnv has the plugin start a child first, as it can where only
// namespaces hold it.
const helperChildEnv = "GRISTMILL_TEST_CHILD"

// plugin is the bundle of the test plugin, built once, and committing that of
// the same plugin's circuit with a commitment.
var plugin, committing *bundle.Bundle

func TestMain(m *testing.M) {
	sandbox.Main()
	if dir := os.Getenv(helperEnv); dir != "" {
		run := hangForever
		if os.Getenv(helperChildEnv) != "" {
			run = hangWithChild
		}
		if err := run(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		os.Exit(1)
	}
	dir, err := os.MkdirTemp("", "gm-host-test-")
	if err == nil {
		plugin, err = bundle.Build(context.Background(), bundle.BuildConfig{
			Source: filepath.Join("..", "internal", "faulty", "cmd"), OutDir: dir, AllowInsecure: true,
		})
	}
	if err == nil {
		var binary string
		if binary, err = plugin.Path(bundle.PartPlugin); err == nil {
			committing, err = bundle.Build(context.Background(), bundle.BuildConfig{
				Binary: binary, BatchSize: faulty.Committing, OutDir: dir, AllowInsecure: true,
			})
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		_ = os.RemoveAll(dir)
		os.Exit(code)
	}))
}

// open is a circuit of a host of its own, which prepare may change first.
func open(dir string, prepare func(*host.Host) error) (*host.Circuit, error) {
	b, err := bundle.Open(context.Background(), dir)
	if err != nil {
		return nil, err
	}
	h, err := host.New(host.Config{})
	if err != nil {
		return nil, err
	}
	if err := prepare(h); err != nil {
		return nil, err
	}
	return h.Open(context.Background(), b)
}

// hangForever is the helper: it says when the plugin hangs and never returns.
func hangForever(dir string) error {
	c, err := open(dir, func(*host.Host) error { return nil })
	if err != nil {
		return err
	}
	t, err := newTask(faulty.Hang, 1)
	if err != nil {
		return err
	}
	return solveAloud(c, t)
}

// hangWithChild is hangForever with the plugin fault, which leaves a child first.
func hangWithChild(dir string) error {
	c, err := open(dir, func(h *host.Host) error {
		only := sandbox.Support{Layers: []sandbox.Status{{Layer: sandbox.Namespaces, InForce: true}}}
		some, _, err := only.Choose(sandbox.BestEffort)
		if err != nil {
			return err
		}
		host.SetSandbox(h, some)
		return nil
	})
	if err != nil {
		return err
	}
	for _, mode := range []fault.Mode{fault.Child, fault.Hang} {
		t, err := faultTask(1, fault.BatchNormal, string(mode))
		if err != nil {
			return err
		}
		if err := solveAloud(c, t); err != nil {
			return err
		}
	}
	return nil
}

// solveAloud prints the plugin's progress.
func solveAloud(c *host.Circuit, t host.Task) error {
	t.Progress = func(stage string) { fmt.Println(stage) }
	_, err := c.Solve(context.Background(), t)
	return err
}
