package health

import (
	"errors"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// maxXids is how many of a device's events are kept, the newest.
const maxXids = 32

// kernelLine is a record of the kernel's log that speaks of an Xid:
// "priority,sequence,microseconds,flags;NVRM: Xid (PCI:0000:3b:00): 79, …".
var kernelLine = regexp.MustCompile(`^\d+,\d+,(\d+),[^;]*;NVRM: Xid \(PCI:([0-9A-Fa-f]+:[0-9A-Fa-f]+:[0-9A-Fa-f]+)[^)]*\): (\d+)(?:, )?(.*)`)

// addXids adds the events of the kernel's log to the readings, if it can be
// read; that usually takes a right (CAP_SYSLOG).
func addXids(readings []Reading, path string) {
	if path == "-" {
		return
	}
	if path == "" {
		path = "/dev/kmsg"
	}
	records, err := kernelLog(path)
	if err != nil {
		return
	}
	events := xids(records, bootTime())
	for i := range readings {
		r := &readings[i]
		r.XidsKnown = true
		r.Xids = events[slot(r.PCI)]
	}
}

// kernelLog reads what the log has now. Each read of the device gives one
// record; one that was overwritten meanwhile is skipped.
func kernelLog(path string) ([]string, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	defer unix.Close(fd)
	var text strings.Builder
	record := make([]byte, 8192)
	for {
		n, err := unix.Read(fd, record)
		switch {
		case errors.Is(err, unix.EPIPE) || errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EAGAIN) || n == 0 && err == nil:
			return strings.Split(text.String(), "\n"), nil
		case err != nil:
			return nil, &os.PathError{Op: "read", Path: path, Err: err}
		}
		text.Write(record[:n])
	}
}

// xids are the events in the log by the device's slot.
func xids(records []string, boot time.Time) map[string][]Xid {
	events := map[string][]Xid{}
	for _, record := range records {
		m := kernelLine.FindStringSubmatch(record)
		if m == nil {
			continue
		}
		since, err1 := strconv.ParseInt(m[1], 10, 64)
		code, err2 := strconv.Atoi(m[3])
		if err1 != nil || err2 != nil {
			continue
		}
		at := slot(m[2])
		events[at] = append(events[at], Xid{
			Code: code, Text: firstLine(m[4]), At: boot.Add(time.Duration(since) * time.Microsecond),
		})
		if n := len(events[at]); n > maxXids {
			events[at] = events[at][n-maxXids:]
		}
	}
	return events
}

// slot is a bus address as far as the kernel's log and the tool agree: domain,
// bus and device, in small letters.
func slot(pci string) string {
	parts := strings.Split(strings.ToLower(pci), ":")
	if len(parts) != 3 {
		return pci
	}
	domain, _ := strconv.ParseUint(parts[0], 16, 64)
	device, _, _ := strings.Cut(parts[2], ".")
	return strconv.FormatUint(domain, 16) + ":" + parts[1] + ":" + device
}

// bootTime is when the clock of the kernel's log was zero.
func bootTime() time.Time {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		return time.Time{}
	}
	return time.Now().Add(-time.Duration(now.Nano()))
}
