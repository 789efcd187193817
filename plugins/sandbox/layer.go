package sandbox

import (
	"fmt"
	"strings"
)

// Layer is one thing that keeps a plugin in. Each holds without the others.
type Layer string

// The layers, in the order in which they come into force.
const (
	// Namespaces gives the plugin processes, network, interprocess
	// communication and host name of its own: it sees no other process and no
	// network, and all it could have started dies with it.
	Namespaces Layer = "namespaces"
	// Root gives it a file system of its own: an empty directory in memory,
	// with room for its socket and hardly more.
	Root Layer = "root"
	// Capabilities takes away what makes root more than a user.
	Capabilities Layer = "capabilities"
	// NoNewPrivileges keeps it from gaining rights through what it executes.
	NoNewPrivileges Layer = "no-new-privileges"
	// Files leaves it only its socket's directory (Landlock).
	Files Layer = "files"
	// Network forbids TCP (Landlock).
	Network Layer = "tcp"
	// Signals forbids signals to, and abstract sockets of, others (Landlock).
	Signals Layer = "signals"
	// SystemCalls leaves it those that a solver needs: no processes, no
	// programs, no sockets to others, no shared memory of its own (seccomp).
	SystemCalls Layer = "system-calls"
)

// Layers are all layers, in the order in which they come into force.
func Layers() []Layer {
	return []Layer{Namespaces, Root, Capabilities, NoNewPrivileges, Files, Network, Signals, SystemCalls}
}

// stops says what a plugin could do without the layer.
func (l Layer) stops() string {
	switch l {
	case Namespaces:
		return "processes and the network are hidden, and all descendants die with the plugin"
	case Root:
		return "the file system is an empty one of its own, of 64 KiB"
	case Capabilities:
		return "the plugin has no capabilities"
	case NoNewPrivileges:
		return "executing a program gains no rights"
	case Files:
		return "no file is read or written outside the directory of its socket"
	case Network:
		return "no TCP"
	case Signals:
		return "no signals to other processes, no abstract sockets of theirs"
	default:
		return "no processes, no programs, no sockets but the one it listens on"
	}
}

// advice says what an operator can do about a missing layer.
func (l Layer) advice() string {
	switch l {
	case Namespaces, Root:
		return "let this user make user namespaces: user.max_user_namespaces above 0, and where AppArmor restricts them kernel.apparmor_restrict_unprivileged_userns=0 or a profile; " +
			"in a container a seccomp profile that allows clone and unshare with namespaces, mount and pivot_root; in a systemd unit no RestrictNamespaces="
	case Files:
		return "run Linux 5.13 or later with landlock in the list of lsm= (see /sys/kernel/security/lsm); in a container a seccomp profile that allows landlock_create_ruleset"
	case Network:
		return "run Linux 6.7 or later with Landlock"
	case Signals:
		return "run Linux 6.12 or later with Landlock"
	case SystemCalls:
		return "run a Linux with CONFIG_SECCOMP_FILTER; in a container a seccomp profile that allows seccomp"
	default:
		return "let the container or the unit allow prctl and capset"
	}
}

// Status says whether a layer can be put in force here.
type Status struct {
	Layer   Layer
	InForce bool
	// Detail is what the layer stops, or why it is missing.
	Detail string
	// Advice says what to do about a missing one.
	Advice string
}

// Mode is what to do when layers are missing.
type Mode string

// The modes.
const (
	BestEffort Mode = "best-effort" // run plugins with the layers there are
	Require    Mode = "require"     // run none unless all are there
	Off        Mode = "off"         // put no layer in force
)

// UnmarshalText reads a mode as people write it.
func (m *Mode) UnmarshalText(text []byte) error {
	switch read := Mode(text); read {
	case BestEffort, Require, Off:
		*m = read
		return nil
	default:
		return fmt.Errorf("%q is no sandbox mode: want %s, %s or %s", text, Require, BestEffort, Off)
	}
}

// MarshalText is how a mode is written.
func (m Mode) MarshalText() ([]byte, error) { return []byte(m), nil }

// MissingError says that a required layer is not there.
type MissingError struct{ Missing []Status }

// Error implements error.
func (e *MissingError) Error() string {
	text := make([]string, len(e.Missing))
	for i, s := range e.Missing {
		text[i] = fmt.Sprintf("%s is missing: %s (%s)", s.Layer, s.Detail, s.Advice)
	}
	return "the sandbox is required and not whole: " + strings.Join(text, "; ")
}
