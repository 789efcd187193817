package machine

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"time"

	"golang.org/x/sys/unix"
)

// CPUTime is what this process and the children it has waited for have used of
// the processor so far: on a busy machine it tells two programs apart where the
// clock does not.
func CPUTime() time.Duration {
	var usage unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &usage) != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// Resident gives memory back to the system and says how much of it this process
// still has; 0 where that can not be read.
func Resident() int64 {
	runtime.GC()
	debug.FreeOSMemory()
	return procKilobytes("/proc/self/status", "VmRSS")
}

// ResetPeak starts a new measurement of the process's peak memory. Where the
// system can not, the peak is that of the whole process so far.
func ResetPeak() {
	// 5 resets the high-water mark; a kernel without that leaves it alone.
	_ = os.WriteFile("/proc/self/clear_refs", []byte("5"), 0)
}

// Peak is the most memory that this process had since ResetPeak; 0 where it can
// not be read.
func Peak() int64 { return procKilobytes("/proc/self/status", "VmHWM") }

// PeakOf is the most memory that another process ever had; 0 where it can not
// be read.
func PeakOf(pid int) int64 { return procKilobytes(fmt.Sprintf("/proc/%d/status", pid), "VmHWM") }
