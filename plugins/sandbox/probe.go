package sandbox

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gristmill-zk/gristmill/internal/subprocess"
)

// probeLimit bounds one probe, which takes a few times as long as this program
// needs to start.
const probeLimit = 30 * time.Second

// Support is what this machine can put in force.
type Support struct {
	// Layers are all layers, in the order in which they come into force.
	Layers []Status
	bare   bool
}

var probed struct {
	sync.Mutex
	support *Support
}

// Probe finds out which layers work here, once per process: it puts them in
// force in processes of this program and tries there what they forbid. The error
// says why that could not be found out.
func Probe(ctx context.Context) (*Support, error) {
	if !ready.Load() {
		return nil, ErrNoShim
	}
	probed.Lock()
	defer probed.Unlock()
	if probed.support != nil {
		return probed.support, nil
	}
	s, err := probe(ctx)
	if err != nil {
		return nil, fmt.Errorf("sandbox: find out what works here: %w", err)
	}
	probed.support = s
	return s, nil
}

// Choose gives what a mode puts in force, nil when that is nothing at all, and
// the layers that are missing. It fails with a *MissingError when the mode does
// not do without them.
func (s *Support) Choose(mode Mode) (*Sandbox, []Status, error) {
	if mode == Off {
		return nil, nil, nil
	}
	chosen := &Sandbox{bare: s.bare}
	var missing []Status
	for _, l := range s.Layers {
		if l.InForce {
			chosen.layers = append(chosen.layers, l.Layer)
		} else {
			missing = append(missing, l)
		}
	}
	if mode == Require && len(missing) > 0 {
		return nil, missing, &MissingError{Missing: missing}
	}
	return chosen, missing, nil
}

func probe(ctx context.Context) (_ *Support, err error) {
	ctx, stop := context.WithTimeout(ctx, probeLimit)
	defer stop()
	runDir, err := subprocess.NewRunDir("")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, runDir.Remove()) }()
	dir := runDir.Path()
	if err := os.WriteFile(filepath.Join(dir, probeSecret), []byte("secret"), 0o600); err != nil {
		return nil, err
	}
	p := &prober{dir: dir}
	// First each layer of its own, where what it forbids would work without it.
	plain := slices.DeleteFunc(Layers(), func(l Layer) bool { return l == Namespaces || l == Root })
	found, err := p.run(ctx, &Sandbox{layers: plain}, "plain")
	if err != nil {
		return nil, err
	}
	whole := &Sandbox{layers: []Layer{Namespaces, Root}}
	for _, l := range plain {
		if found[l] == "" {
			whole.layers = append(whole.layers, l)
		}
	}
	// Then all that work together, in namespaces.
	apart, err := p.run(ctx, whole, "apart")
	if err != nil && os.Geteuid() == 0 {
		whole.bare = true
		apart, err = p.run(ctx, whole, "bare")
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if err != nil {
		apart = map[Layer]string{Namespaces: err.Error(), Root: "it needs namespaces"}
	}
	for l, why := range apart {
		if found[l] == "" {
			found[l] = why
		}
	}
	return &Support{Layers: statuses(found), bare: whole.bare}, nil
}

// statuses puts what was found into words; the empty reason is success.
func statuses(found map[Layer]string) []Status {
	out := make([]Status, 0, len(found))
	for _, l := range Layers() {
		s := Status{Layer: l, InForce: found[l] == "", Detail: found[l]}
		if s.InForce {
			s.Detail = l.stops()
		} else {
			s.Advice = l.advice()
		}
		out = append(out, s)
	}
	return out
}

// Names of what is in a probe's directory.
const (
	probeSecret = "secret" // a file that must become unreadable
	probeSocket = "probe"  // the socket it listens on, in its own directory
)

type prober struct{ dir string }

// run starts a shim that tries the layers, and gives for each why it does not
// work, or nothing.
func (p *prober) run(ctx context.Context, s *Sandbox, name string) (_ map[Layer]string, err error) {
	own := filepath.Join(p.dir, name)
	if err := os.Mkdir(own, 0o700); err != nil {
		return nil, err
	}
	// The kernel forgets an abstract address with its listener.
	abstract, err := net.Listen("unix", "@"+own)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, abstract.Close()) }()
	spec, err := json.Marshal(trial{
		Plan: plan{Layers: s.layers, Dir: own, Binary: probeBinary}, Outside: p.dir, Abstract: "@" + own, Parent: os.Getpid(),
	})
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self)
	s.shim(cmd, verbProbe, string(spec))
	cmd.Env = []string{} // nothing of ours
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	stdin, err1 := cmd.StdinPipe()
	stdout, err2 := cmd.StdoutPipe()
	if err := errors.Join(err1, err2, cmd.Start()); err != nil {
		return nil, err
	}
	found, err := p.talk(stdout, s.HostDir(own, cmd.Process.Pid))
	_ = stdin.Close() // it ends
	if waited := cmd.Wait(); waited != nil && err != nil {
		return nil, fmt.Errorf("%w: %s", waited, subprocess.Clean(strings.TrimSpace(complaint.String())))
	}
	return found, err
}

// talk reads what a shim found and reaches it over its socket.
func (p *prober) talk(stdout io.Reader, dir string) (map[Layer]string, error) {
	line, err := bufio.NewReader(stdout).ReadBytes('\n')
	if err != nil {
		return nil, err
	}
	var found map[Layer]string
	if err := json.Unmarshal(line, &found); err != nil {
		return nil, err
	}
	if found[Namespaces] != "" || found[Root] != "" {
		return found, nil
	}
	conn, err := net.Dial("unix", filepath.Join(dir, probeSocket))
	if err != nil {
		return nil, fmt.Errorf("reach a process in the sandbox: %w", err)
	}
	return found, conn.Close()
}
