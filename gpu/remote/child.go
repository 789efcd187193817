package remote

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"github.com/hashicorp/go-plugin/runner"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc"

	"github.com/gristmill-zk/gristmill/gpu"
	"github.com/gristmill-zk/gristmill/gpu/proto"
	"github.com/gristmill-zk/gristmill/internal/subprocess"
)

// killPatience is how long the kernel may take to end a process that was killed.
// A driver that hangs can keep it from doing so for ever.
const killPatience = 20 * time.Second

// exitGrace is how long a process that broke its connection is given to end by
// itself, so that its own way of ending is what is reported.
const exitGrace = 2 * time.Second

// child is one process of the engine. It is running until gone is closed.
type child struct {
	cfg     Config
	log     *subprocess.Log
	client  *plugin.Client
	process *subprocess.Process
	files   *subprocess.FileSender
	rpc     proto.EngineClient
	words   *tail
	started time.Time
	gone    chan struct{}
	reason  error         // why it ended; set before gone is closed
	doomed  chan struct{} // closed when it is killed for what it did
	doom    sync.Once

	mu       sync.Mutex
	verdict  string // why it was killed, when it was
	stopped  bool   // it was meant to end
	retired  string // why it takes no more work, when it does not
	calls    map[*call]struct{}
	progress time.Time // when anything moved last
}

// startChild starts the process and learns what its engine is. When it fails
// nothing is left running.
func startChild(ctx context.Context, cfg Config, spawner *subprocess.Spawner, runDir string) (*child, gpu.Info, error) {
	parent := ctx
	ctx, stop := context.WithTimeout(ctx, cfg.StartTimeout)
	defer stop()
	c := &child{
		cfg: cfg, log: subprocess.NewLog(cfg.Logger, nil), words: &tail{}, started: time.Now(),
		gone: make(chan struct{}), doomed: make(chan struct{}), calls: map[*call]struct{}{}, progress: time.Now(),
	}
	info, err := c.connect(ctx, spawner, runDir)
	if err == nil {
		go c.watch()
		return c, info, nil
	}
	c.stop()
	var said *engineError
	switch {
	case parent.Err() != nil:
		return nil, info, context.Cause(parent)
	case ctx.Err() != nil:
		err = fmt.Errorf("%w: the engine was not ready within StartTimeout (%v)%s", gpu.ErrDevice, cfg.StartTimeout, c.lastWords())
	case errors.As(err, &said):
		err = fmt.Errorf("the engine has no device: %w", err)
	case strings.Contains(err.Error(), "incompatible API version"):
		err = fmt.Errorf("%w: engine and worker speak different versions of their protocol: use those of one release: %s", gpu.ErrDevice, subprocess.Clean(err.Error()))
	case c.process == nil || c.process.ID() == "":
		err = fmt.Errorf("%w: %w", gpu.ErrDevice, err)
	case c.ownEnd():
		err = fmt.Errorf("%w: the engine's process %s before it was ready%s", gpu.ErrDevice, describeExit(c.process.Exit()), c.lastWords())
	default:
		err = fmt.Errorf("%w: start the engine: %s%s", gpu.ErrDevice, subprocess.Clean(err.Error()), c.lastWords())
	}
	return nil, info, err
}

// connect starts the process. On failure the caller stops what there is of it.
func (c *child) connect(ctx context.Context, spawner *subprocess.Spawner, runDir string) (gpu.Info, error) {
	program, err := c.cfg.program()
	if err != nil {
		return gpu.Info{}, err
	}
	files, theirs, err := subprocess.NewFileSender()
	if err != nil {
		return gpu.Info{}, err
	}
	defer theirs.Close()
	c.files = files
	c.client = plugin.NewClient(&plugin.ClientConfig{
		HandshakeConfig:  handshake(),
		Plugins:          plugin.PluginSet{proto.Service: &link{}},
		AllowedProtocols: []plugin.Protocol{plugin.ProtocolGRPC},
		AutoMTLS:         true,
		SkipHostEnv:      true,
		StartTimeout:     c.cfg.StartTimeout,
		UnixSocketConfig: &plugin.UnixSocketConfig{TempDir: runDir},
		Logger:           c.log.HCLog(),
		Stderr:           c.words,
		RunnerFunc: func(_ hclog.Logger, cmd *exec.Cmd, dir string) (runner.Runner, error) {
			cmd.Path, cmd.Args, cmd.Err, cmd.Dir = program, c.cfg.Command, nil, dir
			cmd.Env = append(c.cfg.environment(), cmd.Env...)
			cmd.ExtraFiles = []*os.File{theirs} // becomes proto.FDFiles
			c.process = subprocess.NewProcess(ctx, cmd, subprocess.Options{
				Spawner: spawner, SocketDir: dir,
				// A core file would have the witnesses.
				Limits: []subprocess.Limit{{Resource: unix.RLIMIT_CORE, Value: 0}},
				Advice: "the program must be a gristmill engine of this platform",
			})
			return c.process, nil
		},
	})
	client, err := c.client.Client()
	if err != nil {
		return gpu.Info{}, err
	}
	dispensed, err := client.Dispense(proto.Service)
	if err != nil {
		return gpu.Info{}, err
	}
	engine, ok := dispensed.(proto.EngineClient)
	if !ok {
		return gpu.Info{}, fmt.Errorf("dispensed a %T", dispensed)
	}
	c.rpc = engine
	d, err := engine.Describe(ctx, &proto.DescribeRequest{}, grpc.MaxCallRecvMsgSize(proto.MaxMessage))
	if err != nil {
		return gpu.Info{}, err
	}
	c.process.Outlive()
	return gpu.Info{
		Name: subprocess.Clean(d.GetName()), Device: subprocess.Clean(d.GetDevice()), ID: subprocess.Clean(d.GetId()),
		Runtime: subprocess.Clean(d.GetRuntime()), Parallel: int(d.GetParallel()), Memory: d.GetMemory(),
	}, decodeFailure(d.GetFailure())
}

// ownEnd says whether a process that never came to serve ended by itself. It is
// killed then in any case.
func (c *child) ownEnd() bool {
	select {
	case <-c.process.Gone():
	default:
		return false
	}
	var exit *exec.ExitError
	if errors.As(c.process.Exit(), &exit) {
		status, ok := exit.Sys().(syscall.WaitStatus)
		return !ok || status.Signal() != syscall.SIGKILL
	}
	return true
}

// lastWords are what the process printed last, for the end of an error.
func (c *child) lastWords() string {
	if words := c.words.String(); words != "" {
		return "; its last words: " + subprocess.Clean(words)
	}
	return ""
}

// kill ends the process because of what it did; the first reason stands.
func (c *child) kill(verdict string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.condemn(verdict)
}

// condemn is kill for who has the mutex.
func (c *child) condemn(verdict string) {
	if c.verdict == "" {
		c.verdict = verdict
	}
	c.doom.Do(func() { close(c.doomed) })
	c.process.End()
}

// end waits for a process that was killed and returns why it ended.
func (c *child) end() error {
	if err := c.ended(context.Background()); err != nil {
		return err
	}
	return c.reason
}

// ended waits for a process that was killed. It fails when it does not end, which
// only a hanging driver can do.
func (c *child) ended(ctx context.Context) error {
	timer := time.NewTimer(killPatience)
	defer timer.Stop()
	select {
	case <-c.gone:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return fmt.Errorf("%w: the engine's process %s was killed but does not end: its driver hangs: reset the device or restart the machine",
			gpu.ErrDevice, c.process.ID())
	}
}

// over says whether the process takes no more work: it is gone or going.
func (c *child) over() bool {
	c.mu.Lock()
	doomed := c.verdict != "" || c.retired != ""
	c.mu.Unlock()
	select {
	case <-c.process.Gone():
		return true
	default:
		return doomed
	}
}

// lost is called with the error of a broken connection. It returns when the
// process is gone.
func (c *child) lost(err error) error {
	timer := time.NewTimer(exitGrace)
	defer timer.Stop()
	select {
	case <-c.gone:
	case <-timer.C:
		c.kill("broke its connection: " + subprocess.Clean(err.Error()))
	}
	return c.end()
}

// broke ends a process that answered what is no answer.
func (c *child) broke(format string, args ...any) error {
	c.kill("broke the protocol: " + subprocess.Clean(fmt.Sprintf(format, args...)))
	return c.end()
}

// watch ends the process when it is stuck and tidies up when it is gone.
func (c *child) watch() {
	tick := time.NewTicker(max(c.cfg.StallTimeout/8, time.Millisecond))
	defer tick.Stop()
	for running := true; running; {
		select {
		case <-c.process.Gone():
			running = false
		case now := <-tick.C:
			if stuck := c.stuck(now); stuck != "" {
				c.kill(stuck)
			}
		}
	}
	c.release()
	c.mu.Lock()
	verdict, stopped := c.verdict, c.stopped
	c.mu.Unlock()
	pid, level := c.process.ID(), slog.LevelError
	switch {
	case verdict != "":
		c.reason = fmt.Errorf("%w: the engine's process %s %s, so it was killed%s", gpu.ErrDevice, pid, verdict, c.lastWords())
	case stopped:
		c.reason, level = gpu.ErrClosed, slog.LevelDebug
	default:
		c.reason = fmt.Errorf("%w: the engine's process %s %s%s", gpu.ErrDevice, pid, describeExit(c.process.Exit()), c.lastWords())
	}
	c.log.Emit(level, "engine process ended", slog.String("pid", pid), slog.Any("reason", c.reason),
		slog.Duration("after", time.Since(c.started)))
	close(c.gone)
}

// shutdown closes the engine and ends the process. A process that does not close
// in time is killed; one that does not end then is an error.
func (c *child) shutdown() error {
	c.mu.Lock()
	c.stopped = true
	c.mu.Unlock()
	if !c.over() {
		ctx, stop := context.WithTimeout(context.Background(), c.cfg.CancelGrace)
		defer stop()
		if _, err := c.rpc.Shutdown(ctx, &proto.ShutdownRequest{}); err != nil {
			c.log.Emit(slog.LevelWarn, "engine did not close in time", slog.String("error", subprocess.Clean(err.Error())))
		}
	}
	c.process.End()
	err := c.end()
	select {
	case <-c.gone:
		return nil
	default:
		return err
	}
}

// stop ends a process that never came to serve.
func (c *child) stop() {
	if c.process != nil && c.process.ID() != "" {
		c.process.End()
		timer := time.NewTimer(killPatience)
		defer timer.Stop()
		select {
		case <-c.process.Gone():
		case <-timer.C:
			return // a driver hangs: what belongs to the process is lost
		}
	}
	c.release()
}

// release waits for the process and gives back what belongs to it here.
func (c *child) release() {
	if c.process != nil && c.process.ID() != "" {
		<-c.process.Gone()
	}
	if c.client != nil {
		c.client.Kill()
	}
	if c.process != nil && c.process.ID() != "" {
		c.process.ClosePipes()
	}
	if c.files != nil {
		_ = c.files.Close()
	}
}
