package circuit

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/hashicorp/go-plugin"
	"golang.org/x/sys/unix"
)

// Got begins what an act says when it got hold of what it wanted.
const Got = "GOT "

// acts are what the plugin tries before it solves. Each says what came of it.
var acts = map[Mode]func(path string) string{
	ForkBomb: func(string) string { return forks(50, true) },
	Child:    func(string) string { return forks(1, false) },
	Fill:     func(string) string { return fill() },
	Read: func(path string) string {
		text, err := os.ReadFile(or(path, "/etc/shadow"))
		return outcome(fmt.Sprintf("%d bytes", len(text)), err)
	},
	Write: func(path string) string {
		return outcome("the file", os.WriteFile(or(path, "/tmp/gristmill-fault"), []byte("fault"), 0o600))
	},
	TCP: func(string) string { return tcp() },
	Signal: func(string) string {
		host := unix.Getppid()
		if host == 0 {
			return "no such process: the host is not among those it sees"
		}
		return outcome("the host", unix.Kill(host, unix.SIGCONT)) // which does no harm
	},
	Shared: func(string) string { return shared() },
}

func or(path, other string) string {
	if path == "" {
		return other
	}
	return path
}

func outcome(got string, err error) string {
	if err != nil {
		return err.Error()
	}
	return Got + got
}

// verbChild makes the plugin's executable a child of the plugin.
const verbChild = "child"

// child stays. With one more argument it starts children of its own first.
func child() {
	if len(os.Args) > 2 {
		forks(3, true)
	}
	time.Sleep(time.Minute) // a bound, should nothing else end it
}

// forks starts children, each in a session of its own.
func forks(n int, more bool) string {
	args := []string{"fault", verbChild}
	if more {
		args = append(args, "more")
	}
	for i := range n {
		_, err := os.StartProcess("/proc/self/exe", args, &os.ProcAttr{
			Files: []*os.File{os.Stdin, os.Stdout, os.Stderr}, Sys: &syscall.SysProcAttr{Setsid: true},
		})
		if err != nil {
			return fmt.Sprintf("%d of %d children: %v", i, n, err)
		}
	}
	return fmt.Sprintf("%s%d children", Got, n)
}

// fill writes files into the directory of the socket until it may not, or has
// written more than anybody should let it.
func fill() string {
	dir := os.Getenv(plugin.EnvUnixSocketDir)
	chunk := make([]byte, 16<<10)
	written, most := 0, 64<<20
	for i := 0; written < most; i++ {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("fill-%d", i)), chunk, 0o600); err != nil {
			return fmt.Sprintf("%d bytes: %v", written, err)
		}
		written += len(chunk)
	}
	return fmt.Sprintf("%s%d bytes of room", Got, written)
}

func tcp() string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err == nil {
		_ = l.Close()
		return Got + "a listener"
	}
	conn, dialErr := net.DialTimeout("tcp", "127.0.0.1:1", time.Second)
	if dialErr == nil {
		_ = conn.Close()
		return Got + "a connection"
	}
	return err.Error() + "; " + dialErr.Error()
}

// shared asks for memory that belongs to no file and to no process alone.
func shared() string {
	m, err := unix.Mmap(-1, 0, 1<<20, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_ANONYMOUS)
	if err == nil {
		_ = unix.Munmap(m)
	}
	fd, fileErr := unix.MemfdCreate("fault", 0)
	if fileErr == nil {
		_ = unix.Close(fd)
	}
	if err == nil || fileErr == nil {
		return Got + "shared memory"
	}
	return fmt.Sprintf("%v; %v", err, fileErr)
}

// kept is what takeMemory has.
var kept [][]byte

// takeMemory takes memory and uses it until the process ends, or it has more
// than anybody should let it.
func takeMemory() {
	const chunk, most = 16 << 20, 64 << 30
	for range most / chunk {
		m := make([]byte, chunk)
		for i := 0; i < len(m); i += 4096 {
			m[i] = 1
		}
		kept = append(kept, m)
	}
}
