package health

import "errors"

// Errors of sources, wrapped with what was seen.
var (
	// ErrNoTool is a machine without nvidia-smi, which comes with the driver.
	ErrNoTool = errors.New("nvidia-smi is not there: install NVIDIA's driver, or set the path to it")
	// ErrNoDriver is a driver that is not loaded, or not the one that its tools
	// are of.
	ErrNoDriver = errors.New("NVIDIA's driver does not answer: install or load it (modprobe nvidia), or restart the machine after an update")
	// ErrNoDevices is a driver that has no device, or none that this process may
	// use.
	ErrNoDevices = errors.New("no NVIDIA device: check that the card is seated and powered, and that a container is given it")
	// ErrTimeout is a driver that does not come back with an answer.
	ErrTimeout = errors.New("NVIDIA's driver hangs: look for Xid events in the kernel's log and restart the machine")
	// ErrUnreadable is an answer that makes no sense.
	ErrUnreadable = errors.New("unreadable device reading")
)
