package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// exitShim is the code of a shim that did not become the plugin.
const exitShim = 125

// Main must be called first by the main function of every program that runs
// plugins, and by TestMain of tests that do. It returns unless the process is a
// shim.
func Main() {
	if len(os.Args) < 3 {
		ready.Store(true)
		return
	}
	var err error
	switch os.Args[1] {
	case verbExec:
		err = become(os.Args[0], os.Args[2], os.Args[3:])
	case verbProbe:
		err = probeMain(os.Args[2])
	default:
		ready.Store(true)
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "sandbox:", err)
		os.Exit(exitShim)
	}
	os.Exit(0)
}

// become puts the layers in force and executes the plugin.
func become(name, spec string, args []string) error {
	var p plan
	if err := json.Unmarshal([]byte(spec), &p); err != nil {
		return fmt.Errorf("the plan is not readable: %w", err)
	}
	// Rights belong to threads. This one stays the one that executes the plugin,
	// which takes its rights over and ends the others.
	runtime.LockOSThread()
	// Also the signal at the worker's death belongs to a thread: what the parent
	// set is the first thread's, which need not be this one.
	if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0); err != nil {
		return fmt.Errorf("signal at the parent's death: %w", err)
	}
	// Should memory run out, the kernel takes the plugin's first.
	_ = os.WriteFile("/proc/self/oom_score_adj", []byte("1000"), 0)
	for _, l := range p.Limits {
		if err := unix.Prlimit(0, l.Resource, &unix.Rlimit{Cur: l.Value, Max: l.Value}, nil); err != nil {
			return fmt.Errorf("limit of resource %d: %w", l.Resource, err)
		}
	}
	// What the filter of system calls needs is ready before it is in force.
	program, err := newProgram(p.Binary, append([]string{name}, args...), os.Environ())
	if err != nil {
		return err
	}
	if err := p.apply(nil); err != nil {
		return err
	}
	return fmt.Errorf("execute the plugin: %w", program.exec())
}

// program is what execveat is told.
type program struct {
	fd        int
	argv, env []*byte
	empty     *byte
}

func newProgram(fd int, args, env []string) (*program, error) {
	pointers := func(texts []string) (out []*byte, err error) {
		for _, text := range texts {
			p, err := unix.BytePtrFromString(text)
			if err != nil {
				return nil, fmt.Errorf("argument %q: %w", text, err)
			}
			out = append(out, p)
		}
		return append(out, nil), nil
	}
	argv, err1 := pointers(args)
	envp, err2 := pointers(env)
	empty, err3 := unix.BytePtrFromString("")
	return &program{fd: fd, argv: argv, env: envp, empty: empty}, errors.Join(err1, err2, err3)
}

// exec executes the file behind the descriptor, which needs no path: there is
// none that the plugin could execute. It returns only on failure.
func (p *program) exec() error {
	_, _, errno := unix.RawSyscall6(unix.SYS_EXECVEAT, uintptr(p.fd), uintptr(unsafe.Pointer(p.empty)),
		uintptr(unsafe.Pointer(&p.argv[0])), uintptr(unsafe.Pointer(&p.env[0])), unix.AT_EMPTY_PATH, 0)
	return errno
}
