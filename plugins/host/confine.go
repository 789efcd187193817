package host

import (
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os/exec"
	"slices"
	"strings"

	"github.com/hashicorp/go-plugin"

	"github.com/gristmill-zk/gristmill/internal/subprocess"
	"github.com/gristmill-zk/gristmill/plugins/proto"
	"github.com/gristmill-zk/gristmill/plugins/sandbox"
)

// chooseSandbox finds out what the machine can hold plugins with, and says once
// what it can not.
func chooseSandbox(cfg Config) (*sandbox.Sandbox, error) {
	if cfg.Sandbox == sandbox.Off {
		cfg.Logger.Warn("plugins run without a sandbox: they can do whatever this process may do")
		return nil, nil
	}
	support, err := sandbox.Probe(context.Background())
	if err != nil {
		return nil, err
	}
	chosen, missing, err := support.Choose(cfg.Sandbox)
	if err != nil {
		return nil, err
	}
	for _, s := range missing {
		cfg.Logger.Warn("plugins run without a layer of the sandbox",
			slog.String("layer", string(s.Layer)), slog.String("why", s.Detail), slog.String("advice", s.Advice))
	}
	return chosen, nil
}

// checkStatic refuses executables that need others: in the sandbox there are
// none, and what the kernel says of it then helps nobody.
func (h *Host) checkStatic(binary io.ReaderAt) error {
	if h.sandbox == nil {
		return nil
	}
	file, err := elf.NewFile(binary)
	if err != nil {
		return fmt.Errorf("the plugin is no executable of this platform: %w", err)
	}
	for _, p := range file.Progs {
		if p.Type == elf.PT_INTERP {
			return errors.New("the plugin is linked dynamically and the sandbox has no libraries: build it with CGO_ENABLED=0, or else linked statically")
		}
	}
	return nil
}

// confine has a prepared command run in the host's sandbox.
func (h *Host) confine(cmd *exec.Cmd, dir string, opts *subprocess.Options) error {
	if h.sandbox == nil {
		return nil
	}
	// The shim sets the limits, before there is a plugin.
	start := sandbox.Start{Dir: dir, Binary: proto.FDBinary, Limits: opts.Limits}
	opts.Limits = nil
	opts.SocketDir = h.sandbox.SocketDir(dir)
	opts.HostDir = func(pid int) string { return h.sandbox.HostDir(dir, pid) }
	cmd.Env = slices.DeleteFunc(cmd.Env, func(v string) bool { return strings.HasPrefix(v, plugin.EnvUnixSocketDir+"=") })
	cmd.Env = append(cmd.Env, plugin.EnvUnixSocketDir+"="+opts.SocketDir)
	if err := h.sandbox.Prepare(cmd, start); err != nil {
		return fmt.Errorf("plugin host: %w", err)
	}
	return nil
}
