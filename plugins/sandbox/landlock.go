package sandbox

import (
	"errors"
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The kernel's calls are made here and not through a library, since those that
// there are restrict all threads of a process, by way of signals and /proc; the
// shim needs it for the one that becomes the plugin.

// inSocketDir is what a plugin may do in the directory of its socket: go-plugin
// makes a file to find a free name, and removes it. No right to execute is ever
// given: the plugin's own executable has no path.
const inSocketDir = unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_WRITE_FILE | unix.LANDLOCK_ACCESS_FS_READ_DIR |
	unix.LANDLOCK_ACCESS_FS_MAKE_REG | unix.LANDLOCK_ACCESS_FS_MAKE_SOCK | unix.LANDLOCK_ACCESS_FS_REMOVE_FILE

// fileRights are all that a version of Landlock can forbid about files.
func fileRights(version int) uint64 {
	// The rights were added one after the other, from the lowest bit on.
	newest := uint64(unix.LANDLOCK_ACCESS_FS_MAKE_SYM)
	for _, added := range []struct {
		version int
		right   uint64
	}{
		{2, unix.LANDLOCK_ACCESS_FS_REFER}, {3, unix.LANDLOCK_ACCESS_FS_TRUNCATE},
		{5, unix.LANDLOCK_ACCESS_FS_IOCTL_DEV}, {9, unix.LANDLOCK_ACCESS_FS_RESOLVE_UNIX},
	} {
		if version >= added.version {
			newest = added.right
		}
	}
	return newest<<1 - 1
}

// landlockVersion is what the kernel has; it fails when that is less than
// needed.
func landlockVersion(needed int) (int, error) {
	v, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	switch {
	case errors.Is(errno, unix.ENOSYS) || errors.Is(errno, unix.EOPNOTSUPP):
		return 0, errors.New("the kernel has no Landlock, or it is not switched on")
	case errno != 0:
		return 0, fmt.Errorf("version of Landlock: %w", errno)
	case int(v) < needed:
		return 0, fmt.Errorf("the kernel's Landlock is of version %d, this needs %d", v, needed)
	}
	return int(v), nil
}

// restrictFiles leaves the thread nothing but a directory.
func restrictFiles(dir string) error {
	version, err := landlockVersion(1)
	if err != nil {
		return err
	}
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("directory of the socket: %w", err)
	}
	defer unix.Close(fd)
	return restrict(unix.LandlockRulesetAttr{Handled_access_fs: fileRights(version)},
		&unix.LandlockPathBeneathAttr{Allowed_access: inSocketDir, Parent_fd: int32(fd)})
}

func restrictNetwork() error {
	version, err := landlockVersion(4)
	if err != nil {
		return err
	}
	rights := uint64(unix.LANDLOCK_ACCESS_NET_BIND_TCP | unix.LANDLOCK_ACCESS_NET_CONNECT_TCP)
	if version >= 10 {
		rights |= unix.LANDLOCK_ACCESS_NET_BIND_UDP | unix.LANDLOCK_ACCESS_NET_CONNECT_SEND_UDP
	}
	return restrict(unix.LandlockRulesetAttr{Handled_access_net: rights}, nil)
}

func restrictSignals() error {
	if _, err := landlockVersion(6); err != nil {
		return err
	}
	return restrict(unix.LandlockRulesetAttr{Scoped: unix.LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET | unix.LANDLOCK_SCOPE_SIGNAL}, nil)
}

// restrict forbids the calling thread what attr names, but for the exception.
func restrict(attr unix.LandlockRulesetAttr, exception *unix.LandlockPathBeneathAttr) error {
	rules, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr), 0)
	if errno != 0 {
		return fmt.Errorf("make rules: %w", errno)
	}
	defer unix.Close(int(rules))
	if exception != nil {
		_, _, errno = unix.Syscall6(unix.SYS_LANDLOCK_ADD_RULE, rules, unix.LANDLOCK_RULE_PATH_BENEATH, uintptr(unsafe.Pointer(exception)), 0, 0, 0)
		if errno != 0 {
			return fmt.Errorf("add a rule: %w", errno)
		}
	}
	if _, _, errno = unix.Syscall(unix.SYS_LANDLOCK_RESTRICT_SELF, rules, 0, 0); errno != 0 {
		return fmt.Errorf("obey the rules: %w", errno)
	}
	return nil
}
