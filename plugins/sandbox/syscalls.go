package sandbox

import (
	"slices"

	"github.com/elastic/go-seccomp-bpf"
	"github.com/elastic/go-seccomp-bpf/arch"
	"golang.org/x/sys/unix"
)

// allowed are the system calls of a program that computes, logs and serves a
// socket, whatever their arguments. They are those that Go's runtime and static C
// libraries make. All others fail with EPERM.
var allowed = []string{
	// memory
	"mprotect", "munmap", "mremap", "madvise", "brk", "mincore", "membarrier", "msync",
	// threads and signals
	"futex", "futex_waitv", "set_robust_list", "get_robust_list", "set_tid_address", "rseq", "gettid", "sched_yield",
	"sched_getaffinity", "sched_setaffinity", "exit", "exit_group", "restart_syscall", "arch_prctl",
	"rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "rt_sigtimedwait", "rt_sigsuspend", "rt_sigpending", "sigaltstack",
	"timer_create", "timer_settime", "timer_gettime", "timer_delete", "setitimer", "getitimer",
	// time and identity
	"clock_gettime", "clock_getres", "clock_nanosleep", "nanosleep", "gettimeofday", "time", "times",
	"timerfd_create", "timerfd_settime", "timerfd_gettime",
	"getpid", "getppid", "getpgid", "getpgrp", "getsid", "getuid", "geteuid", "getgid", "getegid", "getgroups", "capget",
	"getrlimit", "setrlimit", "getrusage", "sysinfo", "uname", "getcpu", "getrandom",
	// files: which ones there are is for other layers to say
	"read", "write", "readv", "writev", "pread64", "pwrite64", "preadv", "pwritev", "preadv2", "pwritev2", "lseek",
	"open", "openat", "close", "close_range", "dup", "dup2", "dup3", "fstat", "stat", "lstat", "newfstatat", "statx", "fstatfs",
	"access", "faccessat", "faccessat2", "readlink", "readlinkat", "getdents64", "getcwd", "unlink", "unlinkat",
	"ftruncate", "fsync", "fdatasync", "fadvise64", "sendfile", "copy_file_range", "splice", "umask",
	"pipe", "pipe2", "eventfd2", "epoll_create1", "epoll_ctl", "epoll_wait", "epoll_pwait", "epoll_pwait2",
	"poll", "ppoll", "select", "pselect6",
	// the socket that it listens on; none is ever connected
	"bind", "listen", "accept", "accept4", "getsockname", "getpeername", "getsockopt", "setsockopt", "shutdown",
	"sendto", "recvfrom", "sendmsg", "recvmsg",
}

func when(name string, conditions ...seccomp.Condition) seccomp.NameWithConditions {
	return seccomp.NameWithConditions{Name: name, Conditions: conditions}
}

func argument(n uint32, op seccomp.Operation, value uint64) seccomp.Condition {
	return seccomp.Condition{Argument: n, Operation: op, Value: value}
}

// conditional are the system calls that are allowed with some arguments only;
// the same name again is another way to be allowed.
func conditional(binary, pid int) []seccomp.NameWithConditions {
	self := uint64(pid)
	calls := []seccomp.NameWithConditions{
		// Threads, no processes.
		when("clone", argument(0, seccomp.BitsSet, unix.CLONE_THREAD)),
		// Memory that counts towards its limit: none that is shared and in no file.
		when("mmap", argument(3, seccomp.BitsNotSet, unix.MAP_SHARED)),
		when("mmap", argument(3, seccomp.BitsNotSet, unix.MAP_ANONYMOUS)),
		// Its own executable, which gives it nothing that it has not got.
		when("execveat", argument(0, seccomp.Equal, uint64(binary)), argument(4, seccomp.Equal, unix.AT_EMPTY_PATH)),
		// Itself only.
		when("kill", argument(0, seccomp.Equal, self)),
		when("tgkill", argument(0, seccomp.Equal, self)),
		when("prlimit64", argument(0, seccomp.Equal, 0)),
		when("prlimit64", argument(0, seccomp.Equal, self)),
		when("socketpair", argument(0, seccomp.Equal, unix.AF_UNIX)),
	}
	for _, flags := range []uint64{0, unix.SOCK_CLOEXEC, unix.SOCK_NONBLOCK, unix.SOCK_CLOEXEC | unix.SOCK_NONBLOCK} {
		calls = append(calls, when("socket", argument(0, seccomp.Equal, unix.AF_UNIX), argument(1, seccomp.Equal, unix.SOCK_STREAM|flags)))
	}
	// Names for threads and memory; not what happens when the host dies.
	for _, option := range []uint64{unix.PR_SET_NAME, unix.PR_GET_NAME, unix.PR_SET_VMA} {
		calls = append(calls, when("prctl", argument(0, seccomp.Equal, option)))
	}
	// Not whom a descriptor sends signals to.
	for _, command := range []uint64{
		unix.F_DUPFD, unix.F_DUPFD_CLOEXEC, unix.F_GETFD, unix.F_SETFD, unix.F_GETFL, unix.F_SETFL,
		unix.F_GETLK, unix.F_SETLK, unix.F_SETLKW, unix.F_GET_SEALS, unix.F_ADD_SEALS,
	} {
		calls = append(calls, when("fcntl", argument(1, seccomp.Equal, command)))
	}
	// Whether a descriptor is a terminal, and what waits to be read.
	for _, request := range []uint64{unix.TCGETS, unix.TIOCGWINSZ, unix.TIOCINQ} {
		calls = append(calls, when("ioctl", argument(1, seccomp.Equal, request)))
	}
	return calls
}

// policy is what a plugin may ask the kernel for. Its executable is behind the
// descriptor binary, and its number is pid.
func policy(binary, pid int) (seccomp.Policy, error) {
	machine, err := arch.GetInfo("")
	if err != nil {
		return seccomp.Policy{}, err
	}
	// Machines that came later have no open, fork and the like.
	unknown := func(name string) bool {
		_, known := machine.SyscallNames[name]
		return !known
	}
	return seccomp.Policy{
		DefaultAction: seccomp.ActionErrno,
		Syscalls: []seccomp.SyscallGroup{
			{
				Action: seccomp.ActionAllow,
				Names:  slices.DeleteFunc(slices.Clone(allowed), unknown),
				NamesWithCondtions: slices.DeleteFunc(conditional(binary, pid), func(c seccomp.NameWithConditions) bool {
					return unknown(c.Name)
				}),
			},
			// Its flags are in memory, where no filter looks: C libraries then use clone.
			{Action: seccomp.ActionErrno&^0xffff | seccomp.Action(unix.ENOSYS), Names: []string{"clone3"}},
		},
	}, nil
}

// restrictCalls leaves the thread the policy's system calls.
func restrictCalls(binary int) error {
	p, err := policy(binary, unix.Getpid())
	if err != nil {
		return err
	}
	return seccomp.LoadFilter(seccomp.Filter{NoNewPrivs: true, Policy: p})
}
