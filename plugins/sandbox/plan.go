package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"sync/atomic"
	"syscall"

	"github.com/gristmill-zk/gristmill/internal/subprocess"
)

// self is this program, whatever happened to its file.
const self = "/proc/self/exe"

// The verbs of a shim. A process with one of them as its first argument is one.
const (
	verbExec  = "gristmill-sandbox-exec"
	verbProbe = "gristmill-sandbox-probe"
)

// ready says that Main was called, so that starting this program again gives a
// shim and not a second worker.
var ready atomic.Bool

// ErrNoShim says that this program can not be started as a shim.
var ErrNoShim = errors.New("this program is no sandbox: its main function must call sandbox.Main first")

// Sandbox is a set of layers that were seen to work here.
type Sandbox struct {
	layers []Layer
	// bare makes namespaces without one for users, which only root can.
	bare bool
}

// Layers are the layers that are put in force.
func (s *Sandbox) Layers() []Layer { return slices.Clone(s.layers) }

// Start is how one plugin is started.
type Start struct {
	// Dir is the directory for the plugin's socket. The plugin must be told
	// SocketDir instead.
	Dir string
	// Binary is the descriptor of the plugin's executable.
	Binary int
	// Limits are the resource limits it has from its first instruction on.
	Limits []subprocess.Limit
}

// Prepare turns a command that would execute the plugin into one that does so in
// the sandbox. Its path is replaced; arguments, environment and files are passed
// on.
func (s *Sandbox) Prepare(cmd *exec.Cmd, start Start) error {
	spec, err := json.Marshal(plan{Layers: s.layers, Dir: start.Dir, Binary: start.Binary, Limits: start.Limits})
	if err != nil {
		return fmt.Errorf("sandbox: %w", err)
	}
	s.shim(cmd, verbExec, string(spec))
	return nil
}

func (s *Sandbox) shim(cmd *exec.Cmd, verb, spec string) {
	cmd.Path, cmd.Err = self, nil
	cmd.Args = slices.Insert(slices.Clone(cmd.Args), 1, verb, spec)
	cmd.SysProcAttr = s.attributes()
}

// attributes are what only the parent of a process can give it.
func (s *Sandbox) attributes() *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{}
	if !slices.Contains(s.layers, Namespaces) {
		return attr
	}
	attr.Cloneflags = syscall.CLONE_NEWPID | syscall.CLONE_NEWNET | syscall.CLONE_NEWIPC | syscall.CLONE_NEWUTS | syscall.CLONE_NEWNS
	if !s.bare {
		// The shim is root in a user namespace of its own until it gives that up.
		attr.Cloneflags |= syscall.CLONE_NEWUSER
		attr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Geteuid(), Size: 1}}
		attr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getegid(), Size: 1}}
	}
	return attr
}

// SocketDir is the directory for the socket as the plugin sees it.
func (s *Sandbox) SocketDir(dir string) string {
	if slices.Contains(s.layers, Root) {
		return "/"
	}
	return dir
}

// HostDir is the directory for the socket as this process sees it, once the
// plugin runs as process pid.
func (s *Sandbox) HostDir(dir string, pid int) string {
	if slices.Contains(s.layers, Root) {
		return "/proc/" + strconv.Itoa(pid) + "/root"
	}
	return dir
}

// plan is what a shim is told.
type plan struct {
	Layers []Layer            `json:"layers"`
	Dir    string             `json:"dir"`
	Binary int                `json:"binary"`
	Limits []subprocess.Limit `json:"limits"`
}

func (p *plan) has(l Layer) bool { return slices.Contains(p.Layers, l) }

func (p *plan) socketDir() string {
	return (&Sandbox{layers: p.Layers}).SocketDir(p.Dir)
}
