package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/gristmill-zk/gristmill/internal/subprocess"
)

// probeBinary is where a plugin's executable would be; a probe has none.
const probeBinary = 3

// trial is what a probing shim is told.
type trial struct {
	Plan     plan   `json:"plan"`
	Outside  string `json:"outside"`  // directory with a file that must become unreadable
	Abstract string `json:"abstract"` // somebody listens there
	Parent   int    `json:"parent"`   // process that must become unreachable

	outside int // descriptor of Outside, which no change of the root takes away
}

// probeMain is the shim that tries what the layers forbid. It prints what it
// found, listens as a plugin would, and ends with its standard input.
func probeMain(spec string) error {
	var t trial
	if err := json.Unmarshal([]byte(spec), &t); err != nil {
		return fmt.Errorf("the probe's task is not readable: %w", err)
	}
	runtime.LockOSThread()
	var err error
	if t.outside, err = unix.Open(t.Outside, unix.O_PATH|unix.O_CLOEXEC, 0); err != nil {
		return err
	}
	found := map[Layer]string{}
	if err := t.Plan.apply(func(l Layer, err error) {
		if err == nil {
			err = t.holds(l)
		}
		found[l] = ""
		if err != nil {
			found[l] = subprocess.Clean(err.Error())
		}
	}); err != nil {
		return err
	}
	l, err := net.Listen("unix", filepath.Join(t.Plan.socketDir(), probeSocket))
	if err != nil {
		return err
	}
	if err := json.NewEncoder(os.Stdout).Encode(found); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, os.Stdin)
	return errors.Join(err, l.Close())
}

// holds tries what a layer forbids.
func (t *trial) holds(l Layer) error {
	switch l {
	case Namespaces:
		return t.namespaces()
	case Root:
		_, err := os.Stat(t.Outside)
		return want("a file outside", err, unix.ENOENT)
	case Capabilities:
		if has, err := hasCapabilities(); err != nil || has {
			return errors.Join(errors.New("the process keeps capabilities"), err)
		}
		return nil
	case NoNewPrivileges:
		if v, err := unix.PrctlRetInt(unix.PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0); err != nil || v != 1 {
			return errors.Join(errors.New("it does not stay set"), err)
		}
		return nil
	case Files:
		return want("a file outside", open(t.outside, probeSecret), unix.EACCES)
	case Network:
		return errors.Join(want("a connection", connect(), unix.EACCES), want("a listener", listen(), unix.EACCES))
	case Signals:
		return t.signals()
	default:
		return systemCalls()
	}
}

// want says whether something was refused in the way it should be.
func want(what string, got, refusal error) error {
	switch {
	case errors.Is(got, refusal):
		return nil
	case got == nil:
		return fmt.Errorf("%s is not refused", what)
	default:
		return fmt.Errorf("%s is refused as %q, not as %q", what, got, refusal)
	}
}

func (t *trial) namespaces() error {
	if pid := unix.Getpid(); pid != 1 {
		return fmt.Errorf("the process has number %d among its own", pid)
	}
	return errors.Join(
		want("the parent process", unix.Kill(t.Parent, 0), unix.ESRCH),
		want("a connection", connect(), unix.ENETUNREACH))
}

func (t *trial) signals() error {
	if t.Plan.has(Namespaces) {
		return nil // there is nobody to try it with
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return errors.Join(
		want("a signal", unix.Kill(t.Parent, 0), unix.EPERM),
		want("an abstract socket", unix.Connect(fd, &unix.SockaddrUnix{Name: t.Abstract}), unix.EPERM))
}

func open(dir int, name string) error {
	fd, err := unix.Openat(dir, name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err == nil {
		_ = unix.Close(fd)
	}
	return err
}

func tcp(use func(fd int, address unix.Sockaddr) error, port int) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return use(fd, &unix.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}})
}

// connect tries a port that nothing needs to listen on: the refusals that are
// wanted come first.
func connect() error { return tcp(unix.Connect, 1) }

// listen tries any free port.
func listen() error { return tcp(unix.Bind, 0) }

// systemCalls tries some of those that the filter refuses.
func systemCalls() error {
	memory := func() error {
		fd, err := unix.MemfdCreate("probe", unix.MFD_CLOEXEC)
		if err == nil {
			_ = unix.Close(fd)
		}
		return err
	}
	child := func() error {
		// Without the filter it fails too, but later and for another reason.
		_, err := syscall.ForkExec("/nonexistent", nil, &syscall.ProcAttr{})
		return err
	}
	return errors.Join(
		want("a child process", child(), unix.EPERM),
		want("a network socket", connect(), unix.EPERM),
		want("a memory file", memory(), unix.EPERM),
		want("outliving the host", unix.Prctl(unix.PR_SET_PDEATHSIG, 0, 0, 0, 0), unix.EPERM))
}
