// Package redistest gives tests a Redis server of their own.
//
// [Start] runs the real redis-server on a free loopback port with a directory
// of the test's; [Embedded] runs the in-process server that `gristmill up`
// uses. Both end with the test. A machine without redis-server fails the test
// and says how to install it: what a real server does is part of what is
// tested, so it is never skipped.
package redistest

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/gristmill-zk/gristmill/internal/embedredis"
	"github.com/gristmill-zk/gristmill/internal/service"
	"github.com/gristmill-zk/gristmill/internal/testport"
)

const startTimeout = time.Minute

// Redis is a running redis-server.
type Redis struct {
	// Addr is host:port.
	Addr string

	t    testing.TB
	dir  string
	args []string
	cmd  *exec.Cmd
	done chan struct{}
}

// Start runs redis-server as the product wants it (append-only file, no
// eviction); extra are further command line options that override those.
func Start(t testing.TB, extra ...string) *Redis {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		t.Fatalf("redis-server is not installed: `make test` installs it: %v", err)
	}
	r := &Redis{t: t, dir: t.TempDir(), args: extra, Addr: testport.Reserve(t)}
	if err := r.start(); err != nil {
		r.Kill()
		t.Fatalf("start redis-server: %v", err)
	}
	t.Cleanup(r.Kill)
	return r
}

// Kill ends the server with SIGKILL. A second Kill is harmless.
func (r *Redis) Kill() {
	if r.cmd.Process != nil {
		_ = r.cmd.Process.Kill()
	}
	<-r.done
}

// Restart starts a killed server again on the same address and directory.
func (r *Redis) Restart() {
	r.t.Helper()
	if err := r.start(); err != nil {
		r.t.Fatalf("restart redis-server: %v", err)
	}
}

// FlushAll wipes the server.
func (r *Redis) FlushAll() {
	r.t.Helper()
	client := redis.NewClient(&redis.Options{Addr: r.Addr, Password: r.password()})
	defer func() { _ = client.Close() }()
	if err := client.FlushAll(context.Background()).Err(); err != nil {
		r.t.Fatalf("flush redis: %v", err)
	}
}

func (r *Redis) start() error {
	_, port, err := net.SplitHostPort(r.Addr)
	if err != nil {
		return err
	}
	args := append([]string{
		"--port", port, "--bind", "127.0.0.1", "--dir", r.dir, "--save", "",
		"--appendonly", "yes", "--appendfsync", "always", "--maxmemory-policy", "noeviction",
	}, r.args...)
	r.cmd, r.done = exec.Command("redis-server", args...), make(chan struct{})
	r.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	started := make(chan error, 1)
	go func() {
		// Pdeathsig fires when the starting thread ends, so it is kept.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(r.done)
		err := r.cmd.Start()
		started <- err
		if err == nil {
			_ = r.cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		return err
	}
	return r.await()
}

// await returns once the server answers, or with an error if it ended.
func (r *Redis) await() error {
	client := redis.NewClient(&redis.Options{Addr: r.Addr, Password: r.password(), MaxRetries: -1})
	defer func() { _ = client.Close() }()
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	retry := time.NewTicker(20 * time.Millisecond)
	defer retry.Stop()
	for {
		pid, err := serverPID(ctx, client)
		if err == nil && pid == r.cmd.Process.Pid {
			return nil
		}
		select {
		case <-r.done:
			return fmt.Errorf("redis-server ended: %v", r.cmd.ProcessState)
		case <-ctx.Done():
			return fmt.Errorf("redis-server does not answer: %w", err)
		case <-retry.C:
		}
	}
}

// password is what the test gave with --requirepass, else empty.
func (r *Redis) password() string {
	at := slices.Index(r.args, "--requirepass") + 1
	if at == 0 || at == len(r.args) {
		return ""
	}
	return r.args[at]
}

func serverPID(ctx context.Context, client *redis.Client) (int, error) {
	info, err := client.InfoMap(ctx, "server").Result()
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(info["Server"]["process_id"])
}

// Embedded runs the in-process server of `gristmill up`, its keys expiring a
// hundred times a second.
func Embedded(t testing.TB) *embedredis.Server {
	t.Helper()
	server, err := embedredis.Start(embedredis.Config{
		Tick: 10 * time.Millisecond, Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	unit := service.New("embedded queue", server.Run)
	if err := unit.Start(context.Background()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(unit.Stop)
	return server
}
