package sandbox

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// apply puts the plan's layers in force for the calling thread, which must be
// locked to its goroutine. After each layer it calls tried, if there is one.
func (p *plan) apply(tried func(Layer, error)) error {
	for _, l := range Layers() {
		if !p.has(l) {
			continue
		}
		err := p.enforce(l)
		if tried != nil {
			tried(l, err)
			continue
		}
		if err != nil {
			return fmt.Errorf("%s: %w", l, err)
		}
	}
	return nil
}

func (p *plan) enforce(l Layer) error {
	switch l {
	case Namespaces:
		return nil // the parent's doing
	case Root:
		return ownRoot(p.Dir)
	case Capabilities:
		return dropCapabilities()
	case NoNewPrivileges:
		return unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
	case Files:
		return restrictFiles(p.socketDir())
	case Network:
		return restrictNetwork()
	case Signals:
		return restrictSignals()
	case SystemCalls:
		return restrictCalls(p.Binary)
	default:
		return errors.New("unknown layer")
	}
}

// rootOptions bound what a plugin can put into its own root.
const rootOptions = "size=64k,nr_inodes=16,mode=0700"

// ownRoot makes dir an empty file system and the only one there is.
func ownRoot(dir string) error {
	steps := []struct {
		what string
		do   func() error
	}{
		{"keep mounts private", func() error { return unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "") }},
		{"mount a file system in memory", func() error {
			return unix.Mount("gristmill-plugin", dir, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, rootOptions)
		}},
		{"enter it", func() error { return unix.Chdir(dir) }},
		{"make it the root", func() error { return unix.PivotRoot(".", ".") }},
		{"let the old root go", func() error { return unix.Unmount(".", unix.MNT_DETACH) }},
		{"enter the root", func() error { return unix.Chdir("/") }},
	}
	for _, step := range steps {
		if err := step.do(); err != nil {
			return fmt.Errorf("%s: %w", step.what, err)
		}
	}
	return nil
}

// dropCapabilities gives up all capabilities for good. With no-new-privileges
// not even root gets them back by executing something.
func dropCapabilities() error {
	if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); err != nil && !errors.Is(err, unix.EINVAL) {
		return fmt.Errorf("ambient capabilities: %w", err)
	}
	for c := uintptr(0); c <= unix.CAP_LAST_CAP; c++ {
		// A user without CAP_SETPCAP keeps the bounding set and has nothing in it.
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0); err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.EPERM) {
			return fmt.Errorf("bounding set: %w", err)
		}
	}
	var none [2]unix.CapUserData
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	if err := unix.Capset(&header, &none[0]); err != nil {
		return fmt.Errorf("capset: %w", err)
	}
	return nil
}

// hasCapabilities says whether the thread has any.
func hasCapabilities() (bool, error) {
	var data [2]unix.CapUserData
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	if err := unix.Capget(&header, &data[0]); err != nil {
		return false, err
	}
	return data[0].Effective|data[0].Permitted|data[0].Inheritable|data[1].Effective|data[1].Permitted|data[1].Inheritable != 0, nil
}
