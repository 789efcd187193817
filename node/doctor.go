package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/sys/unix"

	"github.com/gristmill-zk/gristmill/gpu/check"
	"github.com/gristmill-zk/gristmill/gpu/engines"
	"github.com/gristmill-zk/gristmill/gpu/health"
	"github.com/gristmill-zk/gristmill/plugins/sandbox"
	"github.com/gristmill-zk/gristmill/scheduler/queue"
)

// Verdict is how a check ended.
type Verdict string

// The verdicts.
const (
	OK   Verdict = "ok"
	Warn Verdict = "warn" // works, but an operator should know
	Fail Verdict = "fail"
	Note Verdict = "note" // not there, and nobody asked for it
)

// Check is one thing that a doctor looked at.
type Check struct {
	What    string  `json:"what"`
	Verdict Verdict `json:"verdict"`
	Detail  string  `json:"detail"`
	// Advice says what to do; empty when there is nothing to do.
	Advice string `json:"advice,omitempty"`
}

// DoctorOptions say what to look at.
type DoctorOptions struct {
	Dir DataDir
	// Engines are proved on; what is not there of them is a failure.
	Engines Engines
	// Sandbox is what a worker would do about missing layers: with
	// sandbox.Require each is a failure. Empty is sandbox.BestEffort.
	Sandbox sandbox.Mode
	// Redis is looked at when it is given.
	Redis string
	// Bundles are the sources that a worker would fetch bundles from, Trust its
	// allow-list of them; each source is asked.
	Bundles BundleSources
	Trust   string
	// Each is told of every check as it ends; nil is fine.
	Each func(Check)
}

// proveLimit bounds one known answer, start of the engine included.
const proveLimit = 3 * time.Minute

// Doctor looks at this machine, its devices and what a worker on it would need.
// The error is that of ctx only: what is wrong is in the checks.
func Doctor(ctx context.Context, opts DoctorOptions) ([]Check, error) {
	d := &doctor{opts: opts}
	for _, look := range []func(context.Context){d.machine, d.dataDir, d.memoryFiles, d.sandbox, d.cards, d.icicle, d.engines, d.queue, d.bundles} {
		if ctx.Err() != nil {
			return d.checks, context.Cause(ctx)
		}
		look(ctx)
	}
	return d.checks, nil
}

type doctor struct {
	opts   DoctorOptions
	checks []Check
}

func (d *doctor) add(what string, verdict Verdict, advice, format string, args ...any) {
	c := Check{What: what, Verdict: verdict, Detail: fmt.Sprintf(format, args...), Advice: advice}
	d.checks = append(d.checks, c)
	if d.opts.Each != nil {
		d.opts.Each(c)
	}
}

const gib = 1 << 30

func (d *doctor) machine(context.Context) {
	var info unix.Sysinfo_t
	memory := 0.0
	if unix.Sysinfo(&info) == nil {
		memory = float64(info.Totalram) * float64(info.Unit) / gib
	}
	d.add("machine", OK, "", "%s/%s, %d cores for this process, %.1f GiB of memory", runtime.GOOS, runtime.GOARCH, runtime.GOMAXPROCS(0), memory)
}

func (d *doctor) dataDir(context.Context) {
	path := d.opts.Dir.Path()
	if err := os.MkdirAll(path, 0o700); err != nil {
		d.add("data directory", Fail, "choose another with --data-dir, or mend its rights", "%v", err)
		return
	}
	f, err := os.CreateTemp(path, ".doctor")
	if err == nil {
		_, err = f.Write([]byte("gristmill"))
		err = errors.Join(err, f.Sync(), f.Close(), os.Remove(f.Name()))
	}
	if err != nil {
		d.add("data directory", Fail, "choose another with --data-dir, or mend its rights and room", "%v", err)
		return
	}
	var fs unix.Statfs_t
	if err := unix.Statfs(path, &fs); err != nil {
		d.add("data directory", Fail, "", "%s: %v", path, err)
		return
	}
	free := float64(fs.Bavail) * float64(fs.Bsize) / gib
	if free < 2 {
		d.add("data directory", Warn, "make room: bundles, bodies and databases are kept here", "%s has %.1f GiB free", path, free)
		return
	}
	d.add("data directory", OK, "", "%s, %.0f GiB free", path, free)
}

// memoryFiles: plugins and engines are given their work in sealed memory files.
func (d *doctor) memoryFiles(context.Context) {
	fd, err := unix.MemfdCreate("doctor", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err == nil {
		defer unix.Close(fd)
		if err = unix.Ftruncate(fd, 4096); err == nil {
			_, err = unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, unix.F_SEAL_GROW|unix.F_SEAL_SHRINK)
		}
	}
	if err != nil {
		d.add("memory files", Fail, "plugins and engines need memfd_create with sealing (Linux 3.17); a container's seccomp profile may forbid it", "%v", err)
		return
	}
	d.add("memory files", OK, "", "can be made and sealed")
}

// sandbox tries what would keep a plugin in.
func (d *doctor) sandbox(ctx context.Context) {
	if d.opts.Sandbox == sandbox.Off {
		d.add("sandbox", Warn, "leave --sandbox at its default", "off: plugins may do whatever this user may do")
		return
	}
	verdict := Warn
	if d.opts.Sandbox == sandbox.Require {
		verdict = Fail
	}
	support, err := sandbox.Probe(ctx)
	if err != nil {
		d.add("sandbox", Fail, "", "%v", err)
		return
	}
	for _, l := range support.Layers {
		what := "sandbox: " + string(l.Layer)
		if l.InForce {
			d.add(what, OK, "", "%s", l.Detail)
		} else {
			d.add(what, verdict, l.Advice, "missing: %s", l.Detail)
		}
	}
}

// cards reads NVIDIA's devices.
func (d *doctor) cards(ctx context.Context) {
	wanted := slices.ContainsFunc(d.opts.Engines.Names, engines.OnCard)
	source := health.Open(os.Getenv, engines.HealthReader())
	readings, err := source.Read(ctx)
	if err != nil {
		verdict := Note
		if wanted {
			verdict = Fail
		}
		d.add("cards", verdict, "", "%v", err)
		return
	}
	for _, r := range readings {
		what := fmt.Sprintf("card %d", r.Index)
		if r.Fake {
			what += " (FAKE)"
		}
		detail := fmt.Sprintf("%s, %s, driver %s, %.1f GiB", r.Name, r.UUID, r.Driver, float64(r.MemoryTotal)/gib)
		if ok, reasons := health.Healthy(r, health.Limits{}); !ok {
			d.add(what, Fail, "a worker gives it no work while this lasts", "%s: %s", detail, health.Sentence(reasons))
			continue
		}
		d.add(what, OK, "", "%s", detail)
	}
}

// icicle asks the engine's program what it sees.
func (d *doctor) icicle(ctx context.Context) {
	wanted := false
	for _, name := range d.opts.Engines.Names {
		wanted = wanted || strings.HasPrefix(name, "icicle")
	}
	devices, noCUDA, err := engines.ICICLEDevices(ctx)
	switch {
	case err != nil && wanted:
		d.add("ICICLE", Fail, "", "%v", err)
	case err != nil:
		d.add("ICICLE", Note, "", "%v", err)
	case noCUDA != "" && wanted:
		d.add("ICICLE", Warn, "", "no CUDA device: %s", noCUDA)
	default:
		var names []string
		for i := range devices {
			names = append(names, fmt.Sprintf("%s is %s", devices[i].Engine(), devices[i].Name))
		}
		if noCUDA != "" {
			names = append(names, "no CUDA device: "+noCUDA)
		}
		d.add("ICICLE", OK, "", "%s", strings.Join(names, "; "))
	}
}

// engines has each engine prove a known answer.
func (d *doctor) engines(ctx context.Context) {
	names := d.opts.Engines.Names
	if len(names) == 0 {
		names = []string{"cpu"}
	}
	for _, name := range names {
		d.engine(ctx, name)
	}
}

func (d *doctor) engine(ctx context.Context, name string) {
	ctx, cancel := context.WithTimeout(ctx, proveLimit)
	defer cancel()
	what := "engine " + name
	started := time.Now()
	engine, err := engines.Open(name, engines.Options{Memory: d.opts.Engines.Memory})
	if err != nil {
		d.add(what, Fail, "", "%v", err)
		return
	}
	defer func() { _ = engine.Close() }()
	info, opened := engine.Info(), time.Since(started)
	if err := check.KnownAnswer(ctx, engine); err != nil {
		d.add(what, Fail, "take it out of service: its proofs are not to be trusted", "%s (%s): %v", info.Device, info.Runtime, err)
		return
	}
	d.add(what, OK, "", "%s (%s): known answer proved; open in %d ms, answer in %d ms, %.1f GiB for keys",
		info.Device, info.Runtime, opened.Milliseconds(), (time.Since(started) - opened).Milliseconds(), float64(info.Memory)/gib)
}

func (d *doctor) queue(ctx context.Context) {
	if d.opts.Redis == "" {
		return
	}
	opt, err := redisFlag(d.opts.Redis)
	if err != nil {
		d.add("queue", Fail, "", "%v", err)
		return
	}
	client, ok := opt.MakeRedisClient().(redis.UniversalClient)
	if !ok {
		return // asynq's option for one server makes such a client
	}
	defer func() { _ = client.Close() }()
	warning, err := queue.CheckServer(ctx, client)
	switch {
	case err != nil:
		d.add("queue", Fail, "", "%v", err)
	case warning != "":
		d.add("queue", Warn, "", "%s", warning)
	default:
		d.add("queue", OK, "", "Redis at %s keeps what it is given", opt.Addr)
	}
}

// Healthy says whether no check failed.
func Healthy(checks []Check) bool {
	for _, c := range checks {
		if c.Verdict == Fail {
			return false
		}
	}
	return true
}

// Card is a device as `gpu ls` shows it.
type Card struct {
	health.Reading
	Fit     bool            `json:"fit"`
	Reasons []health.Reason `json:"reasons,omitempty"`
}

// Cards reads the machine's NVIDIA devices and judges them.
func Cards(ctx context.Context) ([]Card, error) {
	readings, err := health.Open(os.Getenv, engines.HealthReader()).Read(ctx)
	if err != nil {
		return nil, err
	}
	cards := make([]Card, len(readings))
	for i, r := range readings {
		cards[i].Reading = r
		cards[i].Fit, cards[i].Reasons = health.Healthy(r, health.Limits{})
	}
	return cards, nil
}
